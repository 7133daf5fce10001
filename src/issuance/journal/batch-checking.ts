import { setImmediate } from 'node:timers/promises';
import type { DevicePublicKey } from '#core/crypto/device-signature.ts';
import type { DocumentRefusal } from '#core/sync/document.ts';
import { decodeJournalBatch } from '#core/sync/journal-batch.ts';
import type { TerminalIdentity } from '#core/sync/terminal-identity.ts';
import { type CheckedBatch, type CheckedEntry, checkBatch } from './checked-batch.ts';

export type CheckResult =
  | { readonly kind: 'checked'; readonly checked: CheckedBatch }
  | { readonly kind: 'refused'; readonly reason: DocumentRefusal };

/** Unpacks and checks a batch that a terminal sent; `keys` may sign its journal. */
export type CheckSent = (
  from: TerminalIdentity,
  payload: Uint8Array,
  keys: ReadonlyMap<string, DevicePublicKey>,
) => Promise<CheckResult>;

/** Does it here; others have their turn between two batches. */
export const checkHere: CheckSent = async (from, payload, keys) => {
  await setImmediate();
  return checkSent(from, payload, keys);
};

export function checkSent(...[from, payload, keys]: Parameters<CheckSent>): CheckResult {
  const read = decodeJournalBatch(payload, from);
  return read.kind === 'refused' ? read : { kind: 'checked', checked: checkBatch(read.value, keys) };
}

/**
 * A result as it goes from thread to thread: many small byte strings and objects would each cost more than to check what
 * is in them, so they are columns, and one byte string.
 */
export type PackedResult =
  | Extract<CheckResult, { kind: 'refused' }>
  | {
      readonly kind: 'packed';
      readonly rest: Omit<CheckedBatch, 'entries'>;
      readonly first: number;
      readonly bytes: Uint8Array;
      /** where the bytes of each entry end */
      readonly ends: readonly number[];
      readonly columns: readonly Column[];
      /** by the place of the entry: what most entries do not have, or of which they have several */
      readonly others: readonly Pick<CheckedEntry, 'personal' | 'erasure' | 'wrong'>[];
      readonly plain: readonly number[];
      readonly salts: Uint8Array;
      readonly fields: readonly string[];
      readonly values: readonly string[];
    };
type Column = readonly (string | number | undefined)[];

const columnNames = ['hashText', 'previous', 'atMs', 'kind', 'tapId', 'door'] as const;

export function packResult(result: CheckResult): PackedResult {
  if (result.kind === 'refused') return result;
  const { entries, ...rest } = result.checked;
  const bytes = new Uint8Array(entries.reduce((length, { raw }) => length + raw.length, 0));
  const ends: number[] = [];
  let end = 0;
  for (const { raw } of entries) {
    bytes.set(raw, end);
    end += raw.length;
    ends.push(end);
  }
  const plain: number[] = [];
  const others: Pick<CheckedEntry, 'personal' | 'erasure' | 'wrong'>[] = [];
  const [fields, values]: [string[], string[]] = [[], []];
  const salts: Uint8Array[] = [];
  for (const { personal, erasure, wrong } of entries) {
    const [only] = personal;
    if (!only || personal.length > 1 || erasure || wrong.length > 0) {
      plain.push(-1 - others.length);
      others.push({ personal, erasure, wrong });
      continue;
    }
    plain.push(fields.length);
    fields.push(only.field);
    values.push(only.value);
    salts.push(only.salt);
  }
  const columns = columnNames.map((name) => entries.map((entry) => entry[name]));
  const first = rest.batch.first;
  return {
    ...{ kind: 'packed', rest, first, bytes, ends, columns, others, plain },
    salts: joined(salts),
    fields,
    values,
  };
}

export function unpackResult(packed: PackedResult): CheckResult {
  if (packed.kind === 'refused') return packed;
  const { rest, first, bytes, ends, columns, others, plain, salts, fields, values } = packed;
  const [hashes = [], previous = [], times = [], kinds = [], taps = [], doors = []] = columns;
  const saltLength = fields.length === 0 ? 0 : salts.length / fields.length;
  const entries = ends.map((end, at): CheckedEntry => {
    const place = plain[at] ?? 0;
    const other = place < 0 ? others[-1 - place] : undefined;
    const salt = salts.subarray(place * saltLength, (place + 1) * saltLength);
    return {
      sequence: first + at,
      raw: bytes.subarray(ends[at - 1] ?? 0, end),
      hashText: hashes[at] as string,
      previous: previous[at] as string | undefined,
      atMs: times[at] as number | undefined,
      kind: kinds[at] as string | undefined,
      tapId: taps[at] as string | undefined,
      door: doors[at] as string | undefined,
      ...(other ?? {
        personal: [{ field: fields[place] ?? '', salt, value: values[place] ?? '' }],
        erasure: undefined,
        wrong: [],
      }),
    };
  });
  return { kind: 'checked', checked: { ...rest, entries } };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const length = parts[0]?.length ?? 0;
  const whole = new Uint8Array(length * parts.length);
  for (const [at, part] of parts.entries()) whole.set(part, at * length);
  return whole;
}
