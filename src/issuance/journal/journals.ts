import type { VerifyReport } from '#core/journal/verify-report.ts';
import type { Clock } from '#ports/clock.ts';
import type { JournalDatabase } from '../storage/databases.ts';
import type { Actor, Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { deviceKeysIn } from './device-keys.ts';
import { JournalEntries } from './journal-entries.ts';
import { type JournalState, JournalStates } from './journal-states.ts';
import { type ErasedPersonal, LettingGo } from './letting-go.ts';
import { StoredJournal } from './stored-journal.ts';

/** Somebody by a holder's id, by user numbers that need not be anybody's any more, or both. */
export interface Person {
  readonly holderId?: string;
  readonly userNumbers?: readonly string[];
}

export interface JournalsParts {
  readonly journal: JournalDatabase;
  readonly ledger: Ledger<PermissionsTables>;
  readonly clock: Pick<Clock, 'utcMs'>;
}

/** What administrators do with the journals of the terminals of one organization. */
export class Journals {
  readonly entries: JournalEntries;
  readonly lettingGo: LettingGo;
  readonly #states: JournalStates;
  readonly #parts: JournalsParts;

  constructor(parts: JournalsParts) {
    this.#parts = parts;
    this.entries = new JournalEntries({ db: parts.journal });
    this.#states = new JournalStates({ db: parts.journal });
    this.lettingGo = new LettingGo({ db: parts.journal, ledger: parts.ledger, clock: parts.clock });
  }

  states(): Promise<readonly JournalState[]> {
    return this.#states.list();
  }

  /** Walks the journal of a terminal again, with the keys of every device that was ever enrolled as it. */
  async verify(terminal: string): Promise<VerifyReport> {
    return this.#stored(terminal).verify(await deviceKeysIn(this.#parts.ledger.db, terminal));
  }

  /** Lines of an export of the whole journal of a terminal, as `journal export` of the terminal writes it. */
  async exported(terminal: string, personal: boolean): Promise<AsyncIterable<string>> {
    return this.#stored(terminal).exported(await deviceKeysIn(this.#parts.ledger.db, terminal), personal);
  }

  /** The user numbers by which entries are about somebody; it is recorded that `actor` looked for them. */
  async lookFor(person: Person, actor: Actor): Promise<readonly string[]> {
    const userNumbers = await this.#userNumbersOf(person);
    await this.#parts.ledger.change(actor, ({ audit }) =>
      audit({ action: 'journal-searched', personal: { sought: named(person) } }),
    );
    return userNumbers;
  }

  /** It is recorded that `actor` took personal values away. */
  async recordExport(terminal: string, actor: Actor): Promise<void> {
    await this.#parts.ledger.change(actor, ({ audit }) =>
      audit({ action: 'journal-exported', body: { terminal, personal: true } }),
    );
  }

  /** Erases what entries say of somebody, and groups of terminals know, for good. */
  async erase(person: Person, actor: Actor): Promise<ErasedPersonal> {
    const userNumbers = await this.#userNumbersOf(person);
    const { holderId } = person;
    const sought = { userNumbers, ...(holderId !== undefined && { holderId }), name: named(person) };
    return this.lettingGo.erase(sought, actor);
  }

  #stored(terminal: string): StoredJournal {
    return new StoredJournal({ db: this.#parts.journal, terminal });
  }

  async #userNumbersOf({ holderId, userNumbers = [] }: Person): Promise<readonly string[]> {
    if (holderId === undefined) return userNumbers;
    const rows = await this.#parts.ledger.db
      .selectFrom('cards')
      .select('user_number')
      .where('holder_id', '=', holderId)
      .execute();
    return [...new Set([...userNumbers, ...rows.map((row) => row.user_number)])];
  }
}

function named({ holderId, userNumbers = [] }: Person): string {
  return [...(holderId === undefined ? [] : [holderId]), ...userNumbers].join(' ');
}
