import type { Logger } from 'pino';
import type { AccessMemory } from '#core/access/access-memory.ts';
import type { DocumentRefusal } from '#core/sync/document.ts';
import { checkRevocation } from '#core/sync/revocation.ts';
import { decodeSigned } from '#core/sync/signed.ts';
import type { PolicySync } from '#ports/policy-sync.ts';
import { type DistributionTrust, higherFact, revokedKey } from './distribution-trust.ts';
import type { JournalWriter } from './journal-writer.ts';

/** The fast path of what must open nothing from now on, ahead of the manifest that says the same. */
export class Revocations {
  readonly #sync: Pick<PolicySync, 'revoke' | 'revoked'>;
  readonly #trust: DistributionTrust;
  readonly #memory: Pick<AccessMemory, 'declare'>;
  readonly #journal: Pick<JournalWriter, 'note'>;
  readonly #log: Logger;

  constructor(parts: {
    readonly sync: Pick<PolicySync, 'revoke' | 'revoked'>;
    readonly trust: DistributionTrust;
    readonly memory: Pick<AccessMemory, 'declare'>;
    readonly journal: Pick<JournalWriter, 'note'>;
    readonly log: Logger;
  }) {
    this.#sync = parts.sync;
    this.#trust = parts.trust;
    this.#memory = parts.memory;
    this.#journal = parts.journal;
    this.#log = parts.log;
  }

  /** Takes what was kept before a restart. Rejects with database faults. */
  async load(): Promise<void> {
    for (const revoked of await this.#sync.revoked()) this.#trust.revoke(revoked);
  }

  /**
   * What of it is refused; it counts at once, and when this resolves it is on the disk. Rejects with `policy-unwritable`
   * where the disk takes nothing: it counts until the next restart, and is to be sent again.
   */
  async received(
    bytes: Uint8Array,
    known: { readonly changeNumber: number } | undefined,
  ): Promise<DocumentRefusal | undefined> {
    const read = decodeSigned(bytes);
    if (read.kind === 'refused') return read.reason;
    const checked = checkRevocation(read.value, { root: this.#trust.root(), known });
    // the manifest that says the same was faster
    if (checked.kind === 'refused') return checked.reason === 'older' ? undefined : checked.reason;
    const { changeNumber, holders, cards } = checked.value;
    this.#trust.revoke(checked.value);
    await this.#sync.revoke({ changeNumber, holders, cards });
    const told = { changeNumber, holders: holders.length, cards: cards.length };
    this.#log.info(told, 'revoked');
    this.#journal.note({
      kind: 'policy',
      body: { event: 'revoked', ...told },
      facts: this.#memory.declare((state) => [higherFact(state, revokedKey, changeNumber)]),
    });
    return undefined;
  }
}
