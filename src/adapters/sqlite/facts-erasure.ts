import { statSync } from 'node:fs';
import type { StateChange } from '#core/access/access-state.ts';
import { holderForgotten } from '#core/access/fact-kinds.ts';
import { Fault } from '#core/fault.ts';
import type { Clock } from '#ports/clock.ts';
import { guarded, isBlank, type Sqlite } from './database.ts';
import { holderFacts, sharedFacts } from './facts.ts';
import { type ErasureResult, eraseFor, erasureRecord } from './journal-erasure.ts';
import { JournalFile } from './journal-file.ts';

/**
 * Erases what access rules remember of holders, as if this terminal had never seen them, and records how much in the
 * same transaction, not of whom. For holders who have left, and for requests. `confirm` is asked with the number of facts.
 *
 * @throws Fault `database-in-use` while a terminal writes the journal, `journal-full`, `journal-unwritable` or database faults
 */
export async function eraseFacts(request: {
  readonly file: string;
  readonly isErased: (holderId: string) => boolean;
  readonly clock: Clock;
  readonly confirm: (facts: number) => Promise<boolean>;
}): Promise<ErasureResult> {
  const { file, isErased, clock, confirm } = request;
  if (isBlank(file)) throw new Fault('file-unreadable', `${file} does not exist`);
  const reserveMiB = Math.floor(statSync(file).size / 1_048_576);
  const journal = JournalFile.open({ file, terminal: undefined, create: false, reserveMiB });
  try {
    const db = journal.database();
    const { holders, facts, changes } = guarded(file, () => forgetting(db, journal.terminal(), isErased));
    if (facts === 0 || !(await confirm(facts))) return { values: facts, erased: false, logCleared: true };
    const body = { event: 'facts-erased', holders, facts };
    const logCleared = eraseFor(file, db, () => {
      journal.append([[{ ...erasureRecord(body, clock), changes }]]);
    });
    return { values: facts, erased: true, logCleared };
  } finally {
    journal.close();
  }
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
