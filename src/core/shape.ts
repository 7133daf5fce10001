/**
 * The shape that data of our own databases has, for what threads beside the terminal's read: a validation library costs
 * each thread that loads it 9 MB and a twentieth of a second. A shape yields the paths at which `value` does not fit, and
 * makes nothing that is to be swept up where it fits, which is each time but one in a lifetime.
 */
export type Shape = (value: unknown) => readonly string[];

const fitting: readonly string[] = [];
/** it is the value itself that does not fit */
const here: readonly string[] = [''];

export const text = shapeOf((value) => typeof value === 'string');

export const finite = shapeOf((value) => Number.isFinite(value));

/** a whole number from 1 */
export const ordinal = shapeOf((value) => Number.isSafeInteger(value) && Number(value) >= 1);

export function shapeOf(fits: (value: unknown) => boolean): Shape {
  return (value) => (fits(value) ? fitting : here);
}

export function optional(shape: Shape): Shape {
  return (value) => (value === undefined ? fitting : shape(value));
}

export function listOf(shape: Shape): Shape {
  return (value) => {
    if (!Array.isArray(value)) return here;
    let wrong = fitting;
    for (let at = 0; at < value.length; at += 1) wrong = joined(wrong, at, shape(value[at]));
    return wrong;
  };
}

/** An object, each of whose members has this shape. */
export function recordOf(shape: Shape): Shape {
  return (value) => {
    if (!isObject(value)) return here;
    let wrong = fitting;
    for (const name of Object.keys(value)) wrong = joined(wrong, name, shape(value[name]));
    return wrong;
  };
}

/** An object with at least these members. */
export function objectOf(members: Readonly<Record<string, Shape>>): Shape {
  const shapes = Object.entries(members);
  return (value) => {
    if (!isObject(value)) return here;
    let wrong = fitting;
    for (const [name, shape] of shapes) wrong = joined(wrong, name, shape(value[name]));
    return wrong;
  };
}

/** An object with exactly these members, of which `more` may be missing. */
export function exactly(
  members: Readonly<Record<string, Shape>>,
  more: Readonly<Record<string, Shape>> = {},
): Shape {
  const shapes = new Map(Object.entries({ ...members, ...more }));
  const required = Object.keys(members);
  return (value) => {
    if (!isObject(value)) return here;
    let wrong = fitting;
    for (const name of required) if (!Object.hasOwn(value, name)) wrong = joined(wrong, name, here);
    for (const name of Object.keys(value)) {
      wrong = joined(wrong, name, shapes.get(name)?.(value[name]) ?? here);
    }
    return wrong;
  };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `wrong`, and what is wrong below `member`. */
function joined(
  wrong: readonly string[],
  member: string | number,
  below: readonly string[],
): readonly string[] {
  if (below.length === 0) return wrong;
  return [...wrong, ...below.map((path) => (path === '' ? String(member) : `${member}.${path}`))];
}
