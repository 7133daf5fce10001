import type { RollBackPreview } from '#ports/policy-install.ts';
import type { Sqlite } from './database.ts';
import { ableHolders, keepHolderCount, sameCard, sameHolder } from './holder-changes.ts';
import type { PolicyRow } from './policy-format.ts';

const holderColumns = 'holder_id, status, valid_from_ms, valid_until_ms, group_list';
const cardColumns = 'profile_id, user_number, diversifier, holder_id, status, key_version';
const cardKey = 'USING (profile_id, user_number, diversifier)';

/**
 * What a version changed is kept in one of two pairs of tables, so that the pair of the version before it can be
 * emptied once the new one is in force: to free a million rows takes longer than anybody waits for one change.
 */
interface UndoTables {
  readonly holders: string;
  readonly cards: string;
}

/** The pair that the parity of a version's number names. */
function tablesOf(version: number): UndoTables {
  return { holders: `undo_holders_${version % 2}`, cards: `undo_cards_${version % 2}` };
}

function keptNumber(db: Sqlite): number {
  return db.prepare<[], number>('SELECT number FROM undo_policy').pluck().get() ?? 0;
}

function empty(db: Sqlite, { holders, cards }: UndoTables): void {
  db.exec(`DELETE FROM ${holders}; DELETE FROM ${cards}`);
}

/** Keeps the present version as the one to go back to, in the transaction that replaces it. */
export function keepVersion(db: Sqlite): void {
  db.exec('DELETE FROM undo_policy; INSERT INTO undo_policy SELECT * FROM policy');
  // rows are left here only where their version was never forgotten
  empty(db, tablesOf(keptNumber(db)));
}

/** Frees what the version before the kept one has left, in a transaction of its own. */
export function forgetOlder(db: Sqlite): void {
  db.transaction(() => empty(db, tablesOf(keptNumber(db) + 1))).immediate();
}

/**
 * Erases what is kept of the holders `isErased` names, whose cards and numbers an older version had, and says how many
 * rows those were: going back then leaves each as the present version has them, and brings back none whom it has not.
 * Runs inside a transaction.
 */
export function forgetHolders(db: Sqlite, isErased: (holderId: string) => boolean): number {
  // whose its rows are, nobody knows any more; nothing can go back to them
  empty(db, tablesOf(keptNumber(db) + 1));
  const { holders, cards } = tablesOf(keptNumber(db));
  const known = db.prepare<[], string>(`
    SELECT holder_id FROM ${holders} UNION SELECT holder_id FROM ${cards} WHERE holder_id IS NOT NULL
    UNION SELECT c.holder_id FROM ${cards} b CROSS JOIN cards c ${cardKey} WHERE b.holder_id IS NULL`);
  db.exec('DROP TABLE IF EXISTS temp.erased; CREATE TEMP TABLE erased (holder_id TEXT PRIMARY KEY)');
  const erased = db.prepare<[string]>('INSERT INTO erased VALUES (?)');
  for (const holderId of known.pluck().all()) if (isErased(holderId)) erased.run(holderId);
  const remove = (sql: string) => db.prepare(sql).run().changes;
  const rows =
    remove(`DELETE FROM ${cards} WHERE coalesce(holder_id,
      (SELECT c.holder_id FROM cards c WHERE c.profile_id = ${cards}.profile_id
        AND c.user_number = ${cards}.user_number AND c.diversifier = ${cards}.diversifier)
      ) IN (SELECT holder_id FROM erased)`) +
    remove(`DELETE FROM ${holders} WHERE holder_id IN (SELECT holder_id FROM erased)`);
  db.exec('DROP TABLE temp.erased');
  return rows;
}

/** Keeps the rows that the staged list is about to change: those alone, so that a small change stays small. */
export function keepRows(db: Sqlite, { removing }: { readonly removing: boolean }): void {
  const kept = tablesOf(keptNumber(db));
  db.exec(`
    INSERT INTO ${kept.holders} (${holderColumns})
      SELECT s.holder_id, h.status, h.valid_from_ms, h.valid_until_ms, h.group_list
      FROM staged_holders s LEFT JOIN holders h USING (holder_id)
      WHERE h.holder_id IS NULL OR NOT (${sameHolder});
    INSERT INTO ${kept.cards} (${cardColumns})
      SELECT s.profile_id, s.user_number, s.diversifier, c.holder_id, c.status, c.key_version
      FROM staged_cards s LEFT JOIN cards c ${cardKey}
      WHERE c.holder_id IS NULL OR NOT (${sameCard});
  `);
  if (!removing) return;
  db.exec(`
    INSERT INTO ${kept.holders} SELECT ${holderColumns} FROM holders h WHERE NOT EXISTS
      (SELECT 1 FROM staged_holders s WHERE s.holder_id = h.holder_id);
    INSERT INTO ${kept.cards} SELECT ${cardColumns} FROM cards c WHERE NOT EXISTS
      (SELECT 1 FROM staged_cards s WHERE s.profile_id = c.profile_id
        AND s.user_number = c.user_number AND s.diversifier = c.diversifier);
  `);
}

/** The version that can be gone back to; undefined where there is none. */
export function keptVersion(db: Sqlite): PolicyRow | undefined {
  return db
    .prepare<[], PolicyRow>(
      'SELECT number, installed_at_ms, fresh_at_ms, expires_at_ms, rules FROM undo_policy',
    )
    .get();
}

/**
 * Puts holders and cards back as the kept version had them, and keeps the present ones in their place, so that going
 * back can itself be taken back. Runs inside a transaction; the rules are the caller's to put.
 */
export function restoreRows(db: Sqlite): RollBackPreview {
  const count = (sql: string) => db.prepare<[], number>(sql).pluck().get() ?? 0;
  const back = tablesOf(keptNumber(db));
  db.exec(`DROP TABLE IF EXISTS temp.able_before; CREATE TEMP TABLE able_before AS ${ableHolders}`);
  keepVersion(db);
  const kept = tablesOf(keptNumber(db));
  db.exec(`
    INSERT INTO ${kept.holders} (${holderColumns})
      SELECT b.holder_id, h.status, h.valid_from_ms, h.valid_until_ms, h.group_list
      FROM ${back.holders} b LEFT JOIN holders h USING (holder_id);
    INSERT INTO ${kept.cards} (${cardColumns})
      SELECT b.profile_id, b.user_number, b.diversifier, c.holder_id, c.status, c.key_version
      FROM ${back.cards} b LEFT JOIN cards c ${cardKey};
    DELETE FROM holders WHERE holder_id IN (SELECT holder_id FROM ${back.holders});
    INSERT INTO holders SELECT ${holderColumns} FROM ${back.holders} WHERE status IS NOT NULL;
    DELETE FROM cards WHERE (profile_id, user_number, diversifier) IN
      (SELECT profile_id, user_number, diversifier FROM ${back.cards});
    INSERT INTO cards SELECT ${cardColumns} FROM ${back.cards} WHERE status IS NOT NULL;
  `);
  keepHolderCount(db, count('SELECT count(*) FROM holders'));
  return {
    holders: count(`SELECT count(*) FROM ${back.holders}`),
    cards: count(`SELECT count(*) FROM ${back.cards}`),
    losingAccess: count(`SELECT count(*) FROM (SELECT holder_id FROM able_before EXCEPT ${ableHolders})`),
    gainingAccess: count(`SELECT count(*) FROM (${ableHolders} EXCEPT SELECT holder_id FROM able_before)`),
  };
}
