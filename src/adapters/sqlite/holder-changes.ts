import type { ImportMode, ImportProblem } from '#core/access/holder-row.ts';
import type { ImportPreview } from '#ports/policy-install.ts';
import type { Sqlite } from './database.ts';
import { keepRows, keepVersion } from './policy-undo.ts';

/** So many holders, or such a share of those who have access, may lose it without a question. */
const unaskedLosses = 10;
const unaskedShare = 0.05;

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
  const holdersBefore = count('SELECT count(*) FROM holders');
  db.exec(`DROP TABLE IF EXISTS temp.able_before; CREATE TEMP TABLE able_before AS ${ableHolders}`);
  const ableBefore = count('SELECT count(*) FROM able_before');
  const known = count('SELECT count(*) FROM staged_holders s JOIN holders h USING (holder_id)');
  const same = count(
    `SELECT count(*) FROM staged_holders s JOIN holders h USING (holder_id) WHERE ${sameHolder}`,
  );
  const cardKey = 'USING (profile_id, user_number, diversifier)';
  const cardsKnown = count(`SELECT count(*) FROM staged_cards s JOIN cards c ${cardKey}`);
  const cardsSame = count(`SELECT count(*) FROM staged_cards s JOIN cards c ${cardKey} WHERE ${sameCard}`);
  const staged = count('SELECT count(*) FROM staged_holders');
  const cardsStaged = count('SELECT count(*) FROM staged_cards');
  const removed = mode === 'complete' ? holdersBefore - known : 0;
  const cardsRemoved = mode === 'complete' ? count('SELECT count(*) FROM cards') - cardsKnown : 0;
  const removing = removed + cardsRemoved > 0;
  keepVersion(db);
  keepRows(db, { removing });
  writeStaged(db, { removing });
  const losingAccess = count(
    `SELECT count(*) FROM (SELECT holder_id FROM able_before EXCEPT ${ableHolders})`,
  );
  return {
    holdersBefore,
    holdersAfter: holdersBefore + staged - known - removed,
    added: staged - known,
    changed: known - same,
    removed,
    cardsAdded: cardsStaged - cardsKnown,
    cardsChanged: cardsKnown - cardsSame,
    cardsRemoved,
    losingAccess,
    needsConfirmation: losingAccess > unaskedLosses && losingAccess > unaskedShare * ableBefore,
  };
}

/** Lines whose user number belongs to another holder once the list is applied: one person's card must not become another's. */
export function sharedUserNumbers(db: Sqlite): Iterable<ImportProblem> {
  return db
    .prepare<[], ImportProblem>(
      `SELECT DISTINCT s.line AS line,
         'the user number belongs to another holder already; give all its cards the same holder' AS text
       FROM staged_cards s JOIN cards c USING (profile_id, user_number)
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
