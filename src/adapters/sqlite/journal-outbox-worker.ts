import { runWhenIdle } from '#adapters/process/idle-thread.ts';
import type { ChainPosition } from '#core/sync/journal-batch.ts';
import type { LiveEvent } from '#core/sync/live-events.ts';
import type {
  BatchRequest,
  LiveRequest,
  LocatedPosition,
  OutboxExtent,
  OutgoingBatch,
} from '#ports/journal-outbox.ts';
import { guarded, openDatabase, type Sqlite } from './database.ts';
import { journalFormat } from './journal-format.ts';
import { liveEventsOf, locate, outboxExtent, outgoingBatch } from './journal-outgoing.ts';
import { linkToMain } from './worker-link.ts';

/** The thread that reads a journal for the server. Everybody at a door comes before it. */

export type JournalOutboxOffer = {
  readonly open: (file: string) => void;
  readonly extent: (nothing: undefined) => OutboxExtent;
  readonly locate: (asked: {
    readonly position: ChainPosition;
    readonly signedThrough: number;
    readonly signed: number;
  }) => LocatedPosition | undefined;
  readonly batch: (request: BatchRequest) => OutgoingBatch | undefined;
  readonly live: (request: LiveRequest) => readonly LiveEvent[];
};

let path = '';
let db: Sqlite | undefined;

/** Reads at one moment of the journal. */
function read<T>(action: (db: Sqlite) => T): T {
  const open = db;
  if (!open) throw new Error('the journal is not open');
  return guarded(path, () => open.transaction(() => action(open))());
}

const offer: JournalOutboxOffer = {
  open: (file) => {
    path = file;
    db?.close();
    db = openDatabase(file, journalFormat, { readonly: true });
    runWhenIdle();
  },
  extent: () => read(outboxExtent),
  locate: ({ position, signedThrough, signed }) =>
    read((open) => locate(open, position, signedThrough, signed)),
  batch: (request) => read((open) => outgoingBatch(open, request)),
  live: (request) => read((open) => liveEventsOf(open, request)),
};

linkToMain(offer);
