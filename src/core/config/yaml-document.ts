import { isAlias, isCollection, isMap, isPair, LineCounter, parseDocument, visit } from 'yaml';
import type { z } from 'zod';
import { looksLikeIndividualNumber } from '#core/card/user-number.ts';
import { Fault, type FaultCode } from '#core/fault.ts';

/** One thing wrong in a file: where it stands and what to do. Lines and columns count from 1. */
interface Problem {
  readonly line: number;
  readonly column: number;
  readonly text: string;
}

/**
 * Parses one YAML document (YAML 1.2, no aliases, no duplicate keys) and checks it against `schema`. Everything
 * wrong is reported together, each with its line; nothing is returned unless all is right.
 *
 * @throws Fault `code`, with one line of message per problem
 */
export function parseYaml<S extends z.ZodType>(
  text: string,
  source: string,
  schema: S,
  code: FaultCode,
): z.output<S> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, merge: false });
  const at = (offset: number) => {
    const position = lines.linePos(offset);
    return { line: position.line, column: position.col };
  };
  const problems: Problem[] = [...document.errors, ...document.warnings].map((error) => ({
    ...at(error.pos[0]),
    text: (error.message.split('\n')[0] ?? 'not YAML').replace(/ at line \d+, column \d+:?$/, ''),
  }));
  visit(document, {
    Alias: (_key, alias) => {
      problems.push({ ...at(alias.range?.[0] ?? 0), text: `alias *${alias.source}: write the value itself` });
    },
  });
  if (problems.length === 0) {
    const value: unknown = document.toJS();
    if (value === null) throw new Fault(code, `${source}:1:1: the file is empty`);
    const parsed = schema.safeParse(value, { reportInput: true });
    if (parsed.success) return deepFreeze(parsed.data);
    for (const { path, text } of parsed.error.issues.flatMap(describe)) {
      problems.push({ ...at(offsetOf(document.contents, path)), text });
    }
  }
  problems.sort((a, b) => a.line - b.line || a.column - b.column);
  const list = problems.map(
    ({ line, column, text }) => `${source}:${line}:${column}: ${withoutNumbers(text)}`,
  );
  throw new Fault(code, list.join('\n'));
}

/** What to say of an issue, and where; each unknown key stands for itself. */
function describe(issue: z.core.$ZodIssue): { path: readonly PropertyKey[]; text: string }[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      path: [...issue.path, key],
      text: `unknown key "${key}"; remove it or correct its spelling`,
    }));
  }
  const where = issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
  const missing = issue.code !== 'custom' && 'input' in issue && issue.input === undefined;
  return [{ path: issue.path, text: `${where}${missing ? 'is missing' : issue.message}` }];
}

/** A key or value that passes for an Individual Number is not repeated, wherever in a file it stands. */
function withoutNumbers(text: string): string {
  return text.replace(/\d{12,}/g, (digits) =>
    looksLikeIndividualNumber(digits) ? '(a number not repeated here)' : digits,
  );
}

/** Offset of the deepest node on `path` that the document has. */
function offsetOf(contents: unknown, path: readonly PropertyKey[]): number {
  let node: unknown = contents;
  let offset = 0;
  for (const step of [...path, undefined]) {
    const range = isCollection(node) || isNode(node) ? node.range : undefined;
    if (range) offset = range[0];
    if (step === undefined || !isCollection(node) || isAlias(node)) break;
    if (isMap(node)) {
      const pair = node.items.find((item) => isPair(item) && String(item.key) === String(step));
      if (!pair) break;
      if (isNode(pair.key) && pair.key.range) offset = pair.key.range[0];
      node = pair.value;
    } else {
      node = node.items[Number(step)];
    }
  }
  return offset;
}

function isNode(value: unknown): value is { range?: [number, number, number] | null } {
  return typeof value === 'object' && value !== null && 'range' in value;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const member of Object.values(value)) deepFreeze(member);
  }
  return value;
}
