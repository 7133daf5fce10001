import { z } from 'zod';

/** One parameter of a configuration as the sheet shows it; values as they are written in the file. */
export interface Parameter {
  readonly path: string;
  readonly description: string;
  /** undefined where the parameter has no default and must be given */
  readonly default: unknown;
  readonly value: unknown;
  readonly differs: boolean;
  /** why it differs, from `reasons:` */
  readonly reason?: string;
}

interface JsonSchema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly default?: unknown;
  readonly description?: string;
}

/** The JSON Schema (draft 2020-12) of what a person may write, generated from `schema`. */
export function jsonSchemaOf(schema: z.ZodType): object {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
}

/**
 * Lists every parameter of `written` (a checked configuration as it stands in its file) with default, value in
 * force and, where it differs from the default, the reason given under `reasons:`.
 */
export function parameterSheet(
  schema: z.ZodType,
  written: Readonly<Record<string, unknown>>,
): readonly Parameter[] {
  const given = (written.reasons ?? {}) as Readonly<Record<string, string>>;
  const rows: Parameter[] = [];
  collect(jsonSchemaOf(schema) as JsonSchema, written, '', rows);
  return rows
    .filter(({ path }) => path !== 'reasons' && !path.startsWith('reasons.'))
    .map((row) => {
      const reason = given[row.path];
      return reason === undefined ? row : { ...row, reason };
    });
}

/** `reasons:` of a configuration. */
export const reasons = z
  .record(z.string(), z.string().min(1))
  .default({})
  .describe('why a parameter differs from its default, by its path, such as `log.level`');

/** What is wrong with `reasons:` of `written`: those of no parameter, or of one that does not differ from its default. */
export function idleReasons(
  schema: z.ZodType,
  written: Readonly<Record<string, unknown>>,
): readonly string[] {
  const sheet = parameterSheet(schema, written);
  const changed = new Set(sheet.filter(({ differs }) => differs).map(({ path }) => path));
  return Object.keys(written.reasons ?? {})
    .filter((path) => !changed.has(path))
    .map((path) => `reasons: "${path}" is no parameter that differs from its default`);
}

function collect(schema: JsonSchema, written: unknown, path: string, rows: Parameter[]): void {
  const branch = branchFor(schema, written);
  if (branch.items && Array.isArray(written)) {
    if (branch.items.properties || branch.items.anyOf || branch.items.oneOf) {
      written.forEach((item, index) => {
        const id = typeof item === 'object' && item !== null ? (item as { id?: unknown }).id : undefined;
        collect(branch.items ?? {}, item, `${path}[${typeof id === 'string' ? id : index}]`, rows);
      });
      return;
    }
  }
  if (branch.properties) {
    const values = (typeof written === 'object' && written !== null ? written : {}) as Readonly<
      Record<string, unknown>
    >;
    for (const [key, member] of Object.entries(branch.properties)) {
      collect(member, values[key], path === '' ? key : `${path}.${key}`, rows);
    }
    return;
  }
  const value = written ?? schema.default;
  if (value === undefined && schema.default === undefined) return;
  rows.push({
    path,
    description: schema.description ?? '',
    default: schema.default,
    value,
    differs: schema.default !== undefined && JSON.stringify(value) !== JSON.stringify(schema.default),
  });
}

/** Of a union, the branch whose constant members fit what is written. */
function branchFor(schema: JsonSchema, written: unknown): JsonSchema {
  const branches = schema.oneOf ?? schema.anyOf;
  if (!branches) return schema;
  const kind =
    typeof written === 'object' && written !== null ? (written as { kind?: unknown }).kind : undefined;
  const fits = (branch: JsonSchema) =>
    (branch.properties?.kind as { const?: unknown } | undefined)?.const === kind;
  return branches.find(fits) ?? schema;
}
