import type { Logger } from 'pino';
import type { AccessMemory } from '#core/access/access-memory.ts';
import type { DocumentRefusal } from '#core/sync/document.ts';
import { changesOf, isBefore } from '#core/sync/progress.ts';
import { retryAfterMs } from '#core/sync/retry.ts';
import { checkRevocation, type KnownChanges, type Revocation } from '#core/sync/revocation.ts';
import { decodeSigned } from '#core/sync/signed.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { PolicySync } from '#ports/policy-sync.ts';
import { type DistributionTrust, furtherFact, revokedKey } from './distribution-trust.ts';
import type { JournalWriter } from './journal-writer.ts';

export interface RevocationsParts {
  readonly sync: Pick<PolicySync, 'revoke' | 'revoked'>;
  readonly trust: DistributionTrust;
  readonly memory: Pick<AccessMemory, 'declare'>;
  readonly journal: Pick<JournalWriter, 'note'>;
  readonly clock: Clock;
  readonly chance: () => number;
  readonly log: Logger;
}

/** what may wait for a disk that takes nothing; the rest counts until a restart, after which the server says it again */
const mostUnwritten = 256;

/** The fast path of what must open nothing from now on, ahead of the manifest that says the same. */
export class Revocations {
  readonly #parts: RevocationsParts;
  /** counts already, and is not on the disk yet */
  #unwritten: Revocation[] = [];
  #writing: Promise<void> | undefined;
  #cancelRetry: CancelTimer | undefined;
  #failures = 0;
  #stopped = false;

  constructor(parts: RevocationsParts) {
    this.#parts = parts;
  }

  /** Takes what was kept before a restart. Rejects with database faults. */
  async load(): Promise<void> {
    const { sync, trust } = this.#parts;
    this.#stopped = false;
    for (const revoked of await sync.revoked()) trust.revoke(revoked);
  }

  /** Resolves when everything is on the disk; what it does not take is lost, until the server says it again. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    while (this.#writing) await this.#writing;
  }

  /**
   * What of it is refused. It counts when this returns, whatever the disk is busy with; it is put there after what came
   * before it, and tried again where the disk takes nothing.
   */
  take(bytes: Uint8Array, known: KnownChanges | undefined): DocumentRefusal | undefined {
    const { trust, log } = this.#parts;
    const read = decodeSigned(bytes);
    if (read.kind === 'refused') return read.reason;
    const checked = checkRevocation(read.value, { root: trust.root(), known });
    // the manifest that says the same was faster
    if (checked.kind === 'refused') return checked.reason === 'older' ? undefined : checked.reason;
    trust.revoke(checked.value);
    log.info(countsOf(checked.value), 'revoked');
    if (this.#unwritten.length < mostUnwritten) this.#unwritten.push(checked.value);
    else log.error('too much that is revoked waits for the disk: some of it counts until a restart only');
    this.#writeSoon();
    return undefined;
  }

  /** A policy with these changes is in force: what it has need not be kept. */
  dropped(known: KnownChanges): void {
    this.#unwritten = this.#unwritten.filter((one) => isBefore(changesOf(known), changesOf(one)));
  }

  #writeSoon(): void {
    if (this.#writing || this.#cancelRetry || this.#unwritten.length === 0) return;
    if (this.#stopped && this.#failures > 0) return;
    this.#writing = this.#write().finally(() => {
      this.#writing = undefined;
      this.#writeSoon();
    });
  }

  async #write(): Promise<void> {
    const [next] = this.#unwritten;
    if (!next) return;
    const { sync, log } = this.#parts;
    try {
      const { rootVersion, changeNumber, holders, cards } = next;
      await sync.revoke({ rootVersion, changeNumber, holders, cards });
      this.#unwritten = this.#unwritten.filter((one) => one !== next);
      this.#failures = 0;
      this.#record(next);
    } catch (error) {
      this.#failures += 1;
      if (this.#failures === 1) log.error({ err: error }, 'what is revoked cannot be kept yet');
      this.#retryLater();
    }
  }

  #retryLater(): void {
    if (this.#stopped) return;
    const { clock, chance } = this.#parts;
    this.#cancelRetry = clock.after(retryAfterMs(this.#failures, chance()), () => {
      this.#cancelRetry = undefined;
      this.#writeSoon();
    });
  }

  /** The journal knows of it once the disk has it: that it is missing there is what somebody has deleted. */
  #record(revoked: Revocation): void {
    const { journal, memory } = this.#parts;
    journal.note({
      kind: 'policy',
      body: { event: 'revoked', ...countsOf(revoked) },
      facts: memory.declare((state) => [furtherFact(state, revokedKey, changesOf(revoked))]),
    });
  }
}

function countsOf({ changeNumber, holders, cards }: Revocation) {
  return { changeNumber, holders: holders.length, cards: cards.length };
}
