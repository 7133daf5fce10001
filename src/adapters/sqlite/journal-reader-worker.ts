import type { Facts } from '#core/access/access-state.ts';
import { rollCall } from '#core/access/rules/position.ts';
import type { JournalHead } from '#core/journal/record.ts';
import type { JournalItem } from '#core/journal/verify.ts';
import type { RollCall } from '#core/sync/command.ts';
import type { FactQuery, StoredFact } from '#ports/holder-facts.ts';
import type { JournalQuery, JournalView } from '#ports/journal-read.ts';
import { guarded, openDatabase, type Sqlite } from './database.ts';
import { eachHolders, factsOfHolder, factsPage, sharedFacts } from './facts.ts';
import { journalFormat } from './journal-format.ts';
import { type ItemPage, listEntries, readHead, readKeys, readPage } from './journal-pages.ts';
import { linkToMain } from './worker-link.ts';

/** The thread that reads a journal: for lists, verification and export, and for what operators ask about holders. */

export type JournalReaderOffer = {
  readonly open: (file: string) => void;
  readonly head: (nothing: undefined) => JournalHead | undefined;
  readonly list: (query: JournalQuery) => readonly JournalView[];
  readonly keys: (nothing: undefined) => readonly JournalItem[];
  readonly page: (after: number) => ItemPage;
  readonly factsOf: (holderId: string) => Facts;
  readonly whereabouts: (zone: string | undefined) => RollCall;
  readonly facts: (query: FactQuery) => readonly StoredFact[];
};

let path = '';
let db: Sqlite | undefined;

function read<T>(action: (db: Sqlite) => T): T {
  const open = db;
  if (!open) throw new Error('the journal is not open');
  return guarded(path, () => action(open));
}

const offer: JournalReaderOffer = {
  open: (file) => {
    path = file;
    db = openDatabase(file, journalFormat, { readonly: true });
  },
  head: () => read(readHead),
  list: (query) => read((open) => listEntries(open, query)),
  keys: () => read(readKeys),
  page: (after) => read((open) => readPage(open, after)),
  factsOf: (holderId) => read((open) => factsOfHolder(open, holderId)),
  facts: (query) => read((open) => factsPage(open, query)),
  whereabouts: (zone) => read((open) => open.transaction(() => called(open, zone))()),
};

/** Who is in which zone, or in this one, at one moment of the database. */
function called(open: Sqlite, zone: string | undefined): RollCall {
  const shared = sharedFacts(open);
  const inside = rollCall(eachHolders(open, 'at'), { shared: (key) => shared.get(key) });
  return [...inside]
    .filter(([name]) => zone === undefined || name === zone)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, holders]) => ({
      zone: name,
      holders: holders.map(({ holderId, sinceMs }) => ({ holder: holderId, sinceMs })),
    }));
}

linkToMain(offer);
