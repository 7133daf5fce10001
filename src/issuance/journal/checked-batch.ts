import { type DevicePublicKey, isSignedBy } from '#core/crypto/device-signature.ts';
import { sha256Text } from '#core/crypto/digest.ts';
import { parseCheckpoint, type StoredCheckpoint } from '#core/journal/checkpoint.ts';
import { type PersonalValue, parseEntry, personalHash } from '#core/journal/entry.ts';
import { type Erasure, erasureOf, mostErasedRanges } from '#core/journal/erasure.ts';
import type { BatchEntry, JournalBatch } from '#core/sync/journal-batch.ts';
import type { JournalAlarmKind } from '../storage/journal-tables.ts';

const longestName = 64;

/** Something wrong with entries of one incarnation, both inclusive. */
export interface Wrong {
  readonly kind: JournalAlarmKind;
  readonly fromSequence: number;
  readonly toSequence: number;
}

/** An entry as it came, what of it is looked for, and what is wrong with it by itself. */
export interface CheckedEntry {
  readonly sequence: number;
  readonly raw: Uint8Array;
  /** upper-case hexadecimal */
  readonly hashText: string;
  /** hash of the entry before, as the bytes name it; undefined where they are no entry. So are the others. */
  readonly previous: string | undefined;
  readonly atMs: number | undefined;
  readonly kind: string | undefined;
  readonly tapId: string | undefined;
  readonly door: string | undefined;
  /** those whose hash is in the entry */
  readonly personal: readonly PersonalValue[];
  /** what it says was erased at the terminal */
  readonly erasure: Erasure | undefined;
  readonly wrong: readonly Wrong[];
}

/** A checkpoint that a key of the terminal has signed. */
export interface CheckedCheckpoint extends StoredCheckpoint {
  readonly sequence: number;
  readonly hash: string;
}

/** A batch with all that can be said of it without knowing what is stored. */
export interface CheckedBatch {
  readonly batch: Omit<JournalBatch, 'entries' | 'checkpoints'>;
  readonly entries: readonly CheckedEntry[];
  readonly checkpoints: readonly CheckedCheckpoint[];
  readonly wrong: readonly Wrong[];
}

/**
 * Hashes entries and verifies signatures: most of the work of a batch, done while nothing is locked. Of a batch that
 * erases in more ranges than one commit is to bear, only the first entries are taken: the others come again.
 */
export function checkBatch(
  { entries, checkpoints, ...batch }: JournalBatch,
  keys: ReadonlyMap<string, DevicePublicKey>,
): CheckedBatch {
  const last = batch.first + entries.length - 1;
  const signed = checkpoints.map((stored) => checkCheckpoint(stored, { ...batch, last, keys }));
  return {
    batch,
    entries: bearable(entries.map((entry, at) => checkEntry(entry, batch.incarnation, batch.first + at))),
    checkpoints: signed.flatMap((one) => ('raw' in one ? [one] : [])),
    wrong: signed.flatMap((one) => ('raw' in one ? [] : [one])),
  };
}

function bearable(entries: readonly CheckedEntry[]): readonly CheckedEntry[] {
  let ranges = 0;
  const end = entries.findIndex(({ erasure }) => {
    ranges += erasure?.ranges.length ?? 0;
    return ranges > mostErasedRanges;
  });
  return end < 0 ? entries : entries.slice(0, end);
}

function checkEntry({ raw, personal }: BatchEntry, incarnation: string, sequence: number): CheckedEntry {
  const entry = parseEntry(raw);
  const hashes = entry?.personal ?? {};
  const sound = personal.filter(
    (value, index) =>
      hashes[value.field] === personalHash(value) &&
      personal.findIndex(({ field }) => field === value.field) === index,
  );
  const kinds: JournalAlarmKind[] = [];
  if (!entry) kinds.push('entry-malformed');
  // the name of the terminal may have changed since; an incarnation is of one device alone
  else if (entry.incarnation !== incarnation || entry.sequence !== sequence) kinds.push('entry-misplaced');
  if (sound.length < personal.length) kinds.push('personal-changed');
  const erasure = entry && erasureOf(entry);
  if (!erasure && entry?.kind === 'terminal' && entry.body.event === 'personal-erased') {
    kinds.push('entry-malformed');
  }
  const door = entry?.body.door;
  return {
    sequence,
    raw,
    hashText: sha256Text(raw),
    previous: entry?.previous,
    atMs: entry?.atMs,
    kind: nameOf(entry?.kind),
    tapId: nameOf(entry?.tapId),
    door: nameOf(door),
    personal: sound,
    erasure,
    wrong: kinds.map((kind) => at(kind, sequence)),
  };
}

/** What can be looked for: a terminal that makes names up that no column holds has them in its bytes alone. */
function nameOf(value: unknown): string | undefined {
  const fits =
    typeof value === 'string' && value.length <= longestName && value.isWellFormed() && !value.includes('\0');
  return fits ? value : undefined;
}

function checkCheckpoint(
  stored: StoredCheckpoint,
  {
    incarnation,
    last,
    keys,
  }: { incarnation: string; last: number; keys: ReadonlyMap<string, DevicePublicKey> },
): CheckedCheckpoint | Wrong {
  const said = parseCheckpoint(stored.raw);
  if (said?.incarnation !== incarnation) return at('checkpoint-malformed', Math.max(1, last));
  // whoever makes numbers up fills no table
  const sequence = Math.min(said.sequence, last + 1);
  const key = keys.get(said.keyId);
  if (!key) return at('checkpoint-key-unknown', sequence);
  if (!isSignedBy(key, stored.raw, stored.signature)) return at('checkpoint-signature-wrong', sequence);
  return { ...stored, sequence: said.sequence, hash: said.hash };
}

export function at(kind: JournalAlarmKind, sequence: number): Wrong {
  return { kind, fromSequence: sequence, toSequence: sequence };
}
