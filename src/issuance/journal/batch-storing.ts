import { setImmediate } from 'node:timers/promises';
import { lengthUnpacked } from '#core/compression/packing.ts';
import type { DevicePublicKey } from '#core/crypto/device-signature.ts';
import { isFault } from '#core/fault.ts';
import type { DocumentRefusal } from '#core/sync/document.ts';
import type { Clock } from '#ports/clock.ts';
import { type CheckResult, type CheckSent, checkHere } from './batch-checking.ts';
import type { CheckedBatch } from './checked-batch.ts';
import type { JournalStore, StoredBatches } from './journal-store.ts';

/** of entries, in bytes, that one commit stores: what is unpacked at a time, but for the last batch */
const commitBytes = 4 * 1_048_576;
/** of what is checked ahead of its commit, as the batches say themselves */
const aheadBytes = 8 * 1_048_576;

/** What the journals of one organization need. */
export interface OrganizationJournal {
  readonly store: JournalStore;
  /** the keys that may sign the journal of a terminal */
  readonly deviceKeys: (terminal: string) => Promise<ReadonlyMap<string, DevicePublicKey>>;
}

/** A batch as a terminal of the organization sent it. */
export interface SentBatch {
  readonly terminal: string;
  readonly payload: Uint8Array;
}

/** A batch that was not stored; `bug` names what failed, where that is neither the batch's fault nor the database's. */
export interface RefusedBatch {
  readonly terminal: string;
  readonly reason: DocumentRefusal;
  readonly bug?: string;
}

/** What one commit has stored. */
export interface Committed extends StoredBatches {
  readonly refusals: readonly RefusedBatch[];
  /** how long it took, in milliseconds */
  readonly tookMs: number;
}

/** Unpacks batches one after another, checks them, and stores those of many terminals together. */
export class BatchStoring {
  readonly #journalOf: (organization: string) => Promise<OrganizationJournal | undefined>;
  readonly #clock: Pick<Clock, 'monotonicUs'>;
  readonly #check: CheckSent;
  /** by organization: resolves when what was given last is stored */
  readonly #given = new Map<string, Promise<void>>();

  /** `journalOf` resolves to undefined for an organization that is not here; `check` may be done elsewhere. */
  constructor(parts: {
    readonly journalOf: (organization: string) => Promise<OrganizationJournal | undefined>;
    readonly clock: Pick<Clock, 'monotonicUs'>;
    readonly check?: CheckSent;
  }) {
    this.#journalOf = parts.journalOf;
    this.#clock = parts.clock;
    this.#check = parts.check ?? checkHere;
  }

  /**
   * Yields what is durable after each commit, those of one terminal in the order given. Rejects with database faults:
   * what was yielded before is stored all the same, and what comes again is stored no second time. What is given while
   * others of the organization are being stored is checked meanwhile, and stored behind them.
   */
  async *store(organization: string, sent: readonly SentBatch[]): AsyncGenerator<Committed> {
    const before = this.#given.get(organization);
    const stored = Promise.withResolvers<void>();
    this.#given.set(organization, stored.promise);
    try {
      const journal = await this.#journalOf(organization);
      if (journal) yield* this.#storeBehind(before, journal, { organization, sent });
    } finally {
      stored.resolve();
      if (this.#given.get(organization) === stored.promise) this.#given.delete(organization);
    }
  }

  async *#storeBehind(
    before: Promise<void> | undefined,
    journal: OrganizationJournal,
    { organization, sent }: { readonly organization: string; readonly sent: readonly SentBatch[] },
  ): AsyncGenerator<Committed> {
    let group = new Group();
    let committing: Promise<Committed> | undefined;
    for await (const { terminal, result } of this.#checked(organization, sent, journal)) {
      if (result.kind === 'refused') {
        group.refusals.push({ terminal, reason: result.reason });
        continue;
      }
      group.take(result.checked);
      if (group.bytes >= commitBytes) {
        await before;
        // a database in another process works on one group while the next is checked
        if (committing) yield await committing;
        committing = this.#commit(journal.store, group);
        // whoever waits for it is told; until then it is nobody's
        committing.catch(() => undefined);
        group = new Group();
      }
    }
    await before;
    if (committing) yield await committing;
    if (group.checked.length > 0 || group.refusals.length > 0) yield await this.#commit(journal.store, group);
  }

  /** Batches in their order, of which some are checked ahead: elsewhere, while those before are stored here. */
  async *#checked(
    organization: string,
    sent: readonly SentBatch[],
    { deviceKeys }: OrganizationJournal,
  ): AsyncGenerator<{ readonly terminal: string; readonly result: CheckResult }> {
    const keys = new Map<string, ReadonlyMap<string, DevicePublicKey>>();
    const ahead: { terminal: string; bytes: number; result: Promise<CheckResult> }[] = [];
    let bytesAhead = 0;
    let next = 0;
    for (;;) {
      for (let one = sent[next]; one && bytesAhead < aheadBytes; one = sent[next]) {
        next += 1;
        const { terminal, payload } = one;
        const own = keys.get(terminal) ?? (await deviceKeys(terminal));
        keys.set(terminal, own);
        const bytes = lengthUnpacked(payload);
        bytesAhead += bytes;
        ahead.push({ terminal, bytes, result: this.#check({ organization, terminal }, payload, own) });
      }
      const first = ahead.shift();
      if (!first) return;
      yield { terminal: first.terminal, result: await first.result };
      bytesAhead -= first.bytes;
    }
  }

  async #commit(store: JournalStore, { checked, refusals }: Group): Promise<Committed> {
    // a commit into a file lets nobody have a turn: what has come by now is to be checked meanwhile
    await setImmediate();
    const beganUs = this.#clock.monotonicUs();
    const stored = await storeTogether(store, checked);
    return {
      ...stored,
      refusals: [...refusals, ...stored.refusals],
      tookMs: (this.#clock.monotonicUs() - beganUs) / 1_000,
    };
  }
}

/** Rejects with database faults alone. */
async function storeTogether(
  store: JournalStore,
  checked: readonly CheckedBatch[],
): Promise<Omit<Committed, 'tookMs'>> {
  try {
    return { ...(await store.store(checked)), refusals: [] };
  } catch (error) {
    if (isFault(error)) throw error;
    return storeApart(store, checked);
  }
}

/**
 * What nobody foresaw in one batch is not to keep out those of other terminals: each is stored by itself, and what fails
 * again is refused. Its terminal says so, keeps it, and sends it again.
 */
async function storeApart(
  store: JournalStore,
  checked: readonly CheckedBatch[],
): Promise<Omit<Committed, 'tookMs'>> {
  const all: StoredBatches[] = [];
  const refusals: RefusedBatch[] = [];
  for (const one of checked) {
    try {
      all.push(await store.store([one]));
    } catch (error) {
      if (isFault(error)) throw error;
      refusals.push({ terminal: one.batch.terminal, reason: 'malformed', bug: nameOf(error) });
    }
  }
  return {
    positions: all.flatMap(({ positions }) => positions),
    alarms: all.flatMap(({ alarms }) => alarms),
    entries: all.reduce((sum, { entries }) => sum + entries, 0),
    taps: all.flatMap(({ taps }) => taps),
    refusals,
  };
}

/** By its name alone: the message of a database may repeat what was to be stored. */
function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  return 'code' in error ? `${error.name} ${String(error.code)}` : error.name;
}

class Group {
  readonly checked: CheckedBatch[] = [];
  readonly refusals: RefusedBatch[] = [];
  bytes = 0;

  take(checked: CheckedBatch): void {
    this.checked.push(checked);
    for (const { raw, personal } of checked.entries) {
      this.bytes += raw.length;
      for (const { value } of personal) this.bytes += value.length;
    }
    for (const { raw } of checked.checkpoints) this.bytes += raw.length;
  }
}
