import { Fault } from '#core/fault.ts';
import { type JournalEntry, parseEntry } from '#core/journal/entry.ts';
import type { BatchEntry, ChainPosition, JournalBatch } from '#core/sync/journal-batch.ts';
import { encodeJournalBatch, sendable } from '#core/sync/journal-batch-writing.ts';
import type { LiveEvent } from '#core/sync/live-events.ts';
import type {
  BatchRequest,
  LiveRequest,
  LocatedPosition,
  OutboxExtent,
  OutgoingBatch,
} from '#ports/journal-outbox.ts';
import type { Sqlite } from './database.ts';
import {
  endOf,
  forgottenPosition,
  headAt,
  incarnationAt,
  lastPosition,
  uploadedThrough,
} from './journal-forgetting.ts';
import type { Incarnation } from './journal-incarnation.ts';
import { personalBetween } from './journal-pages.ts';

/** bytes of entries in one batch, far below what unpacks; one entry more than that goes alone */
const mostBatchBytes = 1_048_576;
const mostCheckpoints = 200;
/** of one that a disk has damaged nobody could read what it came with */
const signatureBytes = 64;
/** how far back alarms that the server does not have are looked for */
const alarmsWithin = 20_000;
const liveRows = 200;
const liveEvents = 50;
const liveBytes = 49_152;

export function outboxExtent(db: Sqlite): OutboxExtent {
  return { uploaded: uploadedThrough(db), last: lastPosition(db) };
}

/** Where the server's position is in this journal. */
export function locate(
  db: Sqlite,
  { incarnation, sequence, hash }: ChainPosition,
  signedThrough: number,
  signed: number,
): LocatedPosition | undefined {
  const found = db.prepare<[string], Incarnation>('SELECT * FROM incarnations WHERE id = ?').get(incarnation);
  if (!found) return undefined;
  const before = found.first_position - 1;
  const end = endOf(db, found);
  const forgotten = found.forgotten_through;
  const position = before + sequence;
  // more of an incarnation that has ended here is what a device has lost that was restored
  const isEnded = position > end && end < lastPosition(db);
  const isComparable = sequence > 0 && sequence >= forgotten;
  return {
    stored: Math.min(position, end),
    signed: signedThrough > 0 ? Math.min(before + signedThrough, end) : Math.min(signed, before),
    agrees: isEnded || (position <= end && (!isComparable || headAt(db, found, position).hash === hash)),
    ...(sequence < forgotten && { missing: [sequence + 1, forgotten] as const }),
  };
}

/** The next batch to send, as bytes; undefined for none. Throws Fault `journal-broken` for an entry that no message holds. */
export function outgoingBatch(db: Sqlite, request: BatchRequest): OutgoingBatch | undefined {
  for (let most = request.mostEntries; ; most = Math.floor(most / 2)) {
    const part = nextPart(db, request, most);
    if (!part) return undefined;
    const { batch, ...outgoing } = part;
    const payload = encodeJournalBatch({ ...request.to, ...batch });
    if (payload.length <= request.mostBytes) return { payload, ...outgoing };
    if (batch.entries.length <= 1) {
      throw new Fault('journal-broken', `entry ${batch.first} is too large to be sent`);
    }
  }
}

function nextPart(
  db: Sqlite,
  { behind, signedBehind, asks }: BatchRequest,
  most: number,
):
  | (Omit<OutgoingBatch, 'payload'> & { readonly batch: Omit<JournalBatch, 'organization' | 'terminal'> })
  | undefined {
  const from = Math.max(behind, forgottenPosition(db)) + 1;
  const last = lastPosition(db);
  const incarnation = incarnationAt(db, Math.min(from, last));
  if (!incarnation || last === 0) return undefined;
  const entries = entriesOf(db, from, Math.min(endOf(db, incarnation), from + most - 1));
  const through = from + entries.length - 1;
  const checkpoints = checkpointsOf(db, Math.max(signedBehind, incarnation.first_position - 1), through);
  if (entries.length === 0 && checkpoints.length === 0 && !asks) return undefined;
  return {
    from,
    through,
    signedThrough: checkpoints.at(-1)?.position ?? signedBehind,
    batch: {
      incarnation: incarnation.id,
      first: from - incarnation.first_position + 1,
      oldestKept: incarnation.forgotten_through + 1,
      after: from === incarnation.first_position ? endBefore(db, from) : null,
      entries,
      checkpoints,
    },
  };
}

/** The end of the incarnation before the one that begins at `position`. */
function endBefore(db: Sqlite, position: number): JournalBatch['after'] {
  const before = position > 1 ? incarnationAt(db, position - 1) : undefined;
  if (!before) return null;
  return { ...headAt(db, before, position - 1), oldestKept: before.forgotten_through + 1 };
}

function entriesOf(db: Sqlite, from: number, through: number): readonly BatchEntry[] {
  const rows = db
    .prepare<[number, number], { position: number; raw: Uint8Array }>(
      'SELECT position, raw FROM entries WHERE position BETWEEN ? AND ? ORDER BY position',
    )
    .iterate(from, through);
  const taken: { position: number; raw: Uint8Array }[] = [];
  let bytes = 0;
  for (const row of rows) {
    bytes += row.raw.length;
    if (taken.length > 0 && bytes > mostBatchBytes) break;
    taken.push(row);
  }
  const personal = personalBetween(db, from - 1, taken.at(-1)?.position ?? from - 1);
  return taken.map(({ position, raw }) => ({ raw, personal: sendable(personal.get(position) ?? []) }));
}

function checkpointsOf(db: Sqlite, behind: number, through: number) {
  return db
    .prepare<[number, number, number], { position: number; raw: Uint8Array; signature: Uint8Array }>(
      `SELECT position, raw, signature FROM checkpoints WHERE position > ? AND position <= ?
       AND length(signature) = ${signatureBytes} ORDER BY position LIMIT ?`,
    )
    .all(behind, through, mostCheckpoints);
}

/** What is told at once of the entries that are new. */
export function liveEventsOf(db: Sqlite, { behind, alarmsOnly }: LiveRequest): readonly LiveEvent[] {
  const last = lastPosition(db);
  const rows = db
    .prepare<[number, Uint8Array, number], Uint8Array>(
      'SELECT raw FROM entries WHERE position > ? AND instr(raw, ?) > 0 ORDER BY position DESC LIMIT ?',
    )
    .pluck()
    .all(
      Math.max(behind, last - alarmsWithin),
      new TextEncoder().encode(alarmsOnly ? '"kind":"alarm"' : '{'),
      liveRows,
    );
  const entries = rows.flatMap((raw) => {
    const entry = parseEntry(raw);
    return entry && (!alarmsOnly || entry.kind === 'alarm') ? [{ entry, bytes: raw.length }] : [];
  });
  const isAlarm = ({ entry }: (typeof entries)[number]) => entry.kind === 'alarm';
  const chosen: LiveEvent[] = [];
  let size = 0;
  for (const { entry, bytes } of [...entries.filter(isAlarm), ...entries.filter((one) => !isAlarm(one))]) {
    if (chosen.length >= liveEvents || size + bytes > liveBytes) continue;
    size += bytes;
    chosen.push(liveEvent(entry));
  }
  return chosen;
}

function liveEvent({ incarnation, sequence, atMs, clock, kind, tapId, body }: JournalEntry): LiveEvent {
  const event = { incarnation, sequence, atMs, clock, kind, body: body as LiveEvent['body'] };
  return tapId === undefined ? event : { ...event, tapId };
}
