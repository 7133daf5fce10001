/**
 * The shape that data of our own databases has, for what threads beside the terminal's read: a validation library costs
 * each thread that loads it 9 MB and a twentieth of a second. A shape yields the paths at which `value` does not fit.
 */
export type Shape = (value: unknown, path?: string) => readonly string[];

export const text = shapeOf((value) => typeof value === 'string');

export const finite = shapeOf((value) => Number.isFinite(value));

/** a whole number from 1 */
export const ordinal = shapeOf((value) => Number.isSafeInteger(value) && Number(value) >= 1);

export function shapeOf(fits: (value: unknown) => boolean): Shape {
  return (value, path = '') => (fits(value) ? [] : [path]);
}

export function optional(shape: Shape): Shape {
  return (value, path) => (value === undefined ? [] : shape(value, path));
}

export function listOf(shape: Shape): Shape {
  return (value, path = '') =>
    Array.isArray(value) ? value.flatMap((each, index) => shape(each, below(path, index))) : [path];
}

/** An object, each of whose members has this shape. */
export function recordOf(shape: Shape): Shape {
  return (value, path = '') =>
    isObject(value)
      ? Object.entries(value).flatMap(([name, each]) => shape(each, below(path, name)))
      : [path];
}

/** An object with at least these members. */
export function objectOf(members: Readonly<Record<string, Shape>>): Shape {
  const shapes = Object.entries(members);
  return (value, path = '') =>
    isObject(value) ? shapes.flatMap(([name, shape]) => shape(value[name], below(path, name))) : [path];
}

/** An object with exactly these members, of which `more` may be missing. */
export function exactly(
  members: Readonly<Record<string, Shape>>,
  more: Readonly<Record<string, Shape>> = {},
): Shape {
  const shapes = new Map(Object.entries({ ...members, ...more }));
  const required = Object.keys(members);
  return (value, path = '') => {
    if (!isObject(value)) return [path];
    const missing = required.filter((name) => !Object.hasOwn(value, name)).map((name) => below(path, name));
    const wrong = Object.entries(value).flatMap(([name, each]) => {
      const shape = shapes.get(name);
      return shape ? shape(each, below(path, name)) : [below(path, name)];
    });
    return [...missing, ...wrong];
  };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function below(path: string, member: string | number): string {
  return path === '' ? String(member) : `${path}.${member}`;
}
