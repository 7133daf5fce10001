import type { JournalSpace } from '#ports/journal-append.ts';
import type { Sqlite } from './database.ts';
import {
  forgettableEntries,
  forgottenPosition,
  lastPosition,
  uploadedThrough,
} from './journal-forgetting.ts';
import { databasePages } from './journal-reserve.ts';

const dayMs = 86_400_000;
/** bytes an entry takes with its indexes and personal values, until enough are there to measure */
const typicalEntryBytes = 1_600;
const measurableEntries = 1_000;

/**
 * How full the journal is. Costs a few page reads however long it is: positions have no gaps, time is searched by halves.
 * `forgets`: a server stores it, so that entries which may be let go of take no space.
 */
export function journalSpace(db: Sqlite, forgets: boolean): JournalSpace {
  const { reservedBytes, usedBytes } = databasePages(db);
  const forgotten = forgottenPosition(db);
  const entries = lastPosition(db) - forgotten;
  const entryBytes = entries < measurableEntries ? typicalEntryBytes : usedBytes / entries;
  const left = Math.floor((reservedBytes - usedBytes) / entryBytes);
  const perDay = entriesPerDay(db, forgotten + 1, forgotten + entries);
  const available = left + (forgets ? forgettableEntries(db) : 0);
  const daysLeft = perDay === undefined ? undefined : available / perDay;
  const share = available / Math.max(1, left + entries);
  const space = {
    entries,
    reservedBytes,
    usedBytes,
    capacityEntries: entries + left,
    level: level(share, daysLeft),
    ...(forgets && { waiting: forgotten + entries - Math.max(forgotten, uploadedThrough(db).stored) }),
  };
  return daysLeft === undefined ? space : { ...space, daysLeft };
}

function level(shareLeft: number, daysLeft = Number.POSITIVE_INFINITY): JournalSpace['level'] {
  if (shareLeft < 0.05 || daysLeft < 7) return 'critical';
  return shareLeft < 0.2 || daysLeft < 30 ? 'low' : 'ample';
}

/** Rate over the last 30 days of entries; undefined while they span less than one day. */
function entriesPerDay(db: Sqlite, from: number, through: number): number | undefined {
  if (through < from) return undefined;
  const timeOf = db.prepare<[number], number>('SELECT at_ms FROM entries WHERE position = ?').pluck();
  const latest = timeOf.get(through) ?? 0;
  let first = from;
  for (let end = through; first < end; ) {
    const middle = Math.floor((first + end) / 2);
    if ((timeOf.get(middle) ?? 0) < latest - 30 * dayMs) first = middle + 1;
    else end = middle;
  }
  const days = (latest - (timeOf.get(first) ?? latest)) / dayMs;
  return days < 1 ? undefined : (through - first + 1) / days;
}
