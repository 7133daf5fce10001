import type { Logger } from 'pino';
import type { DoorPolicy } from '#core/access/policy.ts';
import { type PolicyTier, policyStanding } from '#core/access/rules/policy-age.ts';
import type { JournalWriter } from './journal-writer.ts';

/** Tells beforehand what a door will admit no more because its policy ages, and each step when it comes. */
export class AgeingWatch {
  readonly #journal: Pick<JournalWriter, 'note'>;
  readonly #log: Logger;
  /** by door id: the tier told last; absent while there is nothing to tell */
  readonly #told = new Map<string, PolicyTier>();

  constructor(parts: { journal: Pick<JournalWriter, 'note'>; log: Logger }) {
    this.#journal = parts.journal;
    this.#log = parts.log;
  }

  /** Looks at a door; `nowMs` is the time by which policies age (`ageingMs`). */
  look(door: string, policy: DoorPolicy | undefined, nowMs: number): void {
    const standing = policy && policyStanding(policy.rules.door?.ageing, policy.version, nowMs);
    const tier = standing?.announced ? standing.tier : undefined;
    if (tier === this.#told.get(door)) return;
    if (tier) this.#told.set(door, tier);
    else this.#told.delete(door);
    const comes = standing?.next ? { nextTier: standing.next.tier, nextTierAtMs: standing.next.atMs } : {};
    const told = { door, on: tier !== undefined, tier: tier ?? 'full', ...comes };
    this.#journal.note({ kind: 'alarm', body: { alarm: 'policy-ageing', ...told } });
    this.#log[tier ? 'warn' : 'info'](told, tier ? 'the policy ages unconfirmed' : 'the policy is confirmed');
  }
}
