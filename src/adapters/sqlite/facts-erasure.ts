import { statSync } from 'node:fs';
import type { StateChange } from '#core/access/access-state.ts';
import { holderForgotten } from '#core/access/fact-kinds.ts';
import { Fault } from '#core/fault.ts';
import type { Clock } from '#ports/clock.ts';
import { guarded, isBlank, type Sqlite } from './database.ts';
import { holderFacts, sharedFacts } from './facts.ts';
import { type ErasureResult, eraseFor, erasureRecord } from './journal-erasure.ts';
import { JournalFile } from './journal-file.ts';
import { openPolicyForWriting } from './policy-format.ts';
import { forgetHolders } from './policy-undo.ts';

/**
 * Erases what access rules remember of holders, as if this terminal had never seen them, and what the policy database
 * keeps of them to go back to the version before; the journal then says how much that was, not of whom. For holders who
 * have left, and for requests. `confirm` is asked with the number of facts and rows.
 *
 * @throws Fault `database-in-use` while a terminal writes the journal, `journal-full`, `journal-unwritable` or database faults
 */
export async function eraseFacts(request: {
  readonly file: string;
  /** policy database, which must exist */
  readonly policy: string;
  readonly isErased: (holderId: string) => boolean;
  readonly clock: Clock;
  readonly confirm: (values: number) => Promise<boolean>;
}): Promise<ErasureResult> {
  const { file, policy, isErased } = request;
  if (isBlank(file)) throw new Fault('file-unreadable', `${file} does not exist`);
  const reserveMiB = Math.floor(statSync(file).size / 1_048_576);
  const journal = JournalFile.open({ file, terminal: undefined, create: false, reserveMiB });
  try {
    const kept = openPolicyForWriting(policy);
    try {
      // nobody installs another version from here to the end
      guarded(policy, () => kept.exec('BEGIN IMMEDIATE'));
      const rows = guarded(policy, () => forgetHolders(kept, isErased));
      return await erase(journal, { db: kept, rows }, request);
    } finally {
      kept.close();
    }
  } finally {
    journal.close();
  }
}

/** Ends the transaction on `kept`, in which `rows` are gone; the journal tells of the erasure only once it is done. */
async function erase(
  journal: JournalFile,
  kept: { readonly db: Sqlite; readonly rows: number },
  { file, policy, isErased, clock, confirm }: Parameters<typeof eraseFacts>[0],
): Promise<ErasureResult> {
  const db = journal.database();
  const { holders, facts, changes } = guarded(file, () => forgetting(db, journal.terminal(), isErased));
  const values = facts + kept.rows;
  if (values > 0 && !(await confirm(values))) return { values, erased: false, logCleared: true };
  guarded(policy, () => kept.db.exec('COMMIT'));
  const body = { event: 'facts-erased', holders, facts, policyRows: kept.rows };
  const record = () => journal.append([[{ ...erasureRecord(body, clock), changes }]]);
  const logCleared = values === 0 || eraseFor(file, db, record);
  return { values, erased: values > 0, logCleared: compact(policy, kept.db) && logCleared };
}

/** Leaves nothing in the file of what was ever deleted from it, by an import either; whether its log is empty too. */
function compact(file: string, db: Sqlite): boolean {
  return guarded(file, () => {
    db.exec('VACUUM');
    const [moved] = db.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[];
    return moved?.busy === 0;
  });
}

function forgetting(db: Sqlite, terminal: string, isErased: (holderId: string) => boolean) {
  const shared = new Map(sharedFacts(db));
  const state = { terminal, shared: (key: string) => shared.get(key) };
  const changes: StateChange[] = [];
  let [holders, erased] = [0, 0];
  for (const [holderId, facts] of holderFacts(db)) {
    if (!isErased(holderId)) continue;
    holders += 1;
    erased += facts.size;
    for (const change of holderForgotten(holderId, facts, state)) {
      changes.push(change);
      // the next holder's are counted on top
      if (change.holderId === undefined && change.value !== undefined) shared.set(change.key, change.value);
    }
  }
  return { holders, facts: erased, changes };
}
