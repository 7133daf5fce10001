import type { JournalHead } from '#core/journal/record.ts';
import type { JournalItem } from '#core/journal/verify.ts';
import type { JournalQuery, JournalView } from '#ports/journal-read.ts';
import { guarded, openDatabase, type Sqlite } from './database.ts';
import { journalFormat } from './journal-format.ts';
import { type ItemPage, listEntries, readHead, readKeys, readPage } from './journal-pages.ts';
import { linkToMain } from './worker-link.ts';

/** The thread that reads a journal for lists, verification and export. */

export type JournalReaderOffer = {
  readonly open: (file: string) => void;
  readonly head: (nothing: undefined) => JournalHead | undefined;
  readonly list: (query: JournalQuery) => readonly JournalView[];
  readonly keys: (nothing: undefined) => readonly JournalItem[];
  readonly page: (after: number) => ItemPage;
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
};

linkToMain(offer);
