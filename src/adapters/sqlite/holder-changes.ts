import { isMassRemoval, unaskedLosses } from '#core/access/holder-import.ts';
import type { ImportMode, ImportProblem } from '#core/access/holder-row.ts';
import type { ImportPreview } from '#ports/policy-install.ts';
import type { Sqlite } from './database.ts';
import { keepRows, keepVersion } from './policy-undo.ts';

/** Holders whom anything could open for. */
export const ableHolders = `
  SELECT DISTINCT cards.holder_id FROM cards JOIN holders USING (holder_id)
  WHERE cards.status = 'active' AND holders.status = 'active' AND holders.group_list <> ''
`;
export const sameHolder = `
  s.status = h.status AND s.valid_from_ms IS h.valid_from_ms AND s.valid_until_ms IS h.valid_until_ms
  AND s.group_list = h.group_list
`;
export const sameCard =
  's.status = c.status AND s.key_version IS c.key_version AND s.holder_id = c.holder_id';

/**
 * Applies the staged list inside the open transaction and says what that changed. The transaction can then be
 * committed or rolled back.
 */
export function applyStaged(db: Sqlite, mode: ImportMode): ImportPreview {
  const count = (sql: string) => db.prepare<[], number>(sql).pluck().get() ?? 0;
  const holdersBefore = holderCount(db);
  const able = mode === 'complete' ? ableHolders : ableAmong(db);
  db.exec(`DROP TABLE IF EXISTS temp.able_before; CREATE TEMP TABLE able_before AS ${able}`);
  const mayLose = count('SELECT count(*) FROM able_before');
  const ableBefore =
    mode === 'delta' && mayLose > unaskedLosses ? count(`SELECT count(*) FROM (${ableHolders})`) : mayLose;
  // CROSS JOIN keeps SQLite to the order written: a list of one line must not read a million rows
  const known = count('SELECT count(*) FROM staged_holders s CROSS JOIN holders h USING (holder_id)');
  const same = count(
    `SELECT count(*) FROM staged_holders s CROSS JOIN holders h USING (holder_id) WHERE ${sameHolder}`,
  );
  const cardKey = 'USING (profile_id, user_number, diversifier)';
  const cardsKnown = count(`SELECT count(*) FROM staged_cards s CROSS JOIN cards c ${cardKey}`);
  const cardsSame = count(
    `SELECT count(*) FROM staged_cards s CROSS JOIN cards c ${cardKey} WHERE ${sameCard}`,
  );
  const staged = count('SELECT count(*) FROM staged_holders');
  const cardsStaged = count('SELECT count(*) FROM staged_cards');
  const removed = mode === 'complete' ? holdersBefore - known : 0;
  const cardsRemoved = mode === 'complete' ? count('SELECT count(*) FROM cards') - cardsKnown : 0;
  const removing = removed + cardsRemoved > 0;
  keepVersion(db);
  keepRows(db, { removing });
  writeStaged(db, { removing });
  const losingAccess = count(`SELECT count(*) FROM (SELECT holder_id FROM able_before EXCEPT ${able})`);
  const holdersAfter = holdersBefore + staged - known - removed;
  keepHolderCount(db, holdersAfter);
  return {
    holdersBefore,
    holdersAfter,
    added: staged - known,
    changed: known - same,
    removed,
    cardsAdded: cardsStaged - cardsKnown,
    cardsChanged: cardsKnown - cardsSame,
    cardsRemoved,
    losingAccess,
    needsConfirmation: isMassRemoval(losingAccess, ableBefore),
  };
}

/** How many holders there are. The number is kept beside them: to count a million takes longer than to change one. */
function holderCount(db: Sqlite): number {
  const kept = db.prepare<[], string>("SELECT value FROM settings WHERE name = 'holders'").pluck().get();
  return Number(kept ?? db.prepare<[], number>('SELECT count(*) FROM holders').pluck().get());
}

/** To be called in the transaction that adds or removes holders. */
export function keepHolderCount(db: Sqlite, holders: number): void {
  db.prepare("INSERT OR REPLACE INTO settings VALUES ('holders', ?)").run(String(holders));
}

/** Those of `ableHolders` whom a delta names, or whose cards it names: only they can lose, so that one line stays cheap. */
function ableAmong(db: Sqlite): string {
  db.exec(`
    DROP TABLE IF EXISTS temp.touched;
    CREATE TEMP TABLE touched AS
      SELECT holder_id FROM staged_holders UNION
      SELECT c.holder_id FROM staged_cards s CROSS JOIN cards c USING (profile_id, user_number, diversifier);
  `);
  return `${ableHolders} AND cards.holder_id IN (SELECT holder_id FROM touched)`;
}

/** Lines whose user number belongs to another holder once the list is applied: one person's card must not become another's. */
export function sharedUserNumbers(db: Sqlite): Iterable<ImportProblem> {
  return db
    .prepare<[], ImportProblem>(
      `SELECT DISTINCT s.line AS line,
         'the user number belongs to another holder already; give all its cards the same holder' AS text
       FROM staged_cards s CROSS JOIN cards c USING (profile_id, user_number)
       WHERE c.holder_id <> s.holder_id ORDER BY s.line`,
    )
    .iterate();
}

/** Writes rows that differ alone, so that the unchanged part of a list costs no disk. */
function writeStaged(db: Sqlite, { removing }: { removing: boolean }): void {
  db.exec(`
    INSERT INTO holders
      SELECT s.holder_id, s.status, s.valid_from_ms, s.valid_until_ms, s.group_list
      FROM staged_holders s LEFT JOIN holders h USING (holder_id)
      WHERE h.holder_id IS NULL OR NOT (${sameHolder})
    ON CONFLICT DO UPDATE SET status = excluded.status, valid_from_ms = excluded.valid_from_ms,
      valid_until_ms = excluded.valid_until_ms, group_list = excluded.group_list;
    INSERT INTO cards
      SELECT s.profile_id, s.user_number, s.diversifier, s.holder_id, s.status, s.key_version
      FROM staged_cards s LEFT JOIN cards c USING (profile_id, user_number, diversifier)
      WHERE c.holder_id IS NULL OR NOT (${sameCard})
    ON CONFLICT DO UPDATE SET holder_id = excluded.holder_id, status = excluded.status,
      key_version = excluded.key_version;
  `);
  if (!removing) return;
  db.exec(`
    DELETE FROM holders WHERE NOT EXISTS
      (SELECT 1 FROM staged_holders s WHERE s.holder_id = holders.holder_id);
    DELETE FROM cards WHERE NOT EXISTS
      (SELECT 1 FROM staged_cards s WHERE s.profile_id = cards.profile_id
        AND s.user_number = cards.user_number AND s.diversifier = cards.diversifier);
  `);
}
