import type { Logger } from 'pino';
import type { DoorPolicy } from '#core/access/policy.ts';
import type { DecisionTime } from '#core/access/rule.ts';
import { ageingMs } from '#core/access/rules/policy-age.ts';
import { isFault } from '#core/fault.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { PolicyLookup } from '#ports/policy-lookup.ts';
import { AgeingWatch } from './ageing-watch.ts';
import type { JournalWriter } from './journal-writer.ts';
import { PolicyWatch } from './policy-watch.ts';
import type { TerminalSettings } from './terminal.ts';

/** how long the policy may take to say what holds the doors before they go by what it said last, in milliseconds */
const lookUpWithinMs = 1_000;

export interface DoorPoliciesParts {
  readonly settings: Pick<TerminalSettings, 'doors' | 'readers'>;
  readonly policy: PolicyLookup;
  readonly journal: JournalWriter;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What the policy says of each door without a tap, as it was last looked up. */
export class DoorPolicies {
  readonly #parts: DoorPoliciesParts;
  /** by door id; a door whose rules have not been looked up yet, or are none, has none */
  readonly #policies = new Map<string, DoorPolicy>();
  readonly #ageing: AgeingWatch;
  readonly #watch: PolicyWatch;
  #lookingUp = false;

  constructor(parts: DoorPoliciesParts) {
    this.#parts = parts;
    this.#ageing = new AgeingWatch(parts);
    this.#watch = new PolicyWatch(parts);
  }

  of(doorId: string): DoorPolicy | undefined {
    return this.#policies.get(doorId);
  }

  /**
   * Looks all of them up and then calls `known`; earlier too where that takes its time, for a policy that never answers
   * keeps no door unlocked past its time.
   */
  async lookUp(known: () => void): Promise<void> {
    if (this.#lookingUp) return known();
    this.#lookingUp = true;
    const cancelLate: CancelTimer = this.#parts.clock.after(lookUpWithinMs, known);
    try {
      await Promise.all(this.#parts.settings.doors.map(({ doorId }) => this.#lookUp(doorId)));
    } finally {
      this.#lookingUp = false;
      cancelLate();
    }
    known();
  }

  /** Tells how they age, and what they lack. */
  tell(time: DecisionTime): void {
    for (const { doorId } of this.#parts.settings.doors) {
      const policy = this.#policies.get(doorId);
      this.#ageing.look(doorId, policy, ageingMs(time));
      this.#watch.look(doorId, policy);
    }
  }

  async #lookUp(doorId: string): Promise<void> {
    try {
      const policy = await this.#parts.policy.doorPolicy(doorId);
      if (policy) this.#policies.set(doorId, policy);
      else this.#policies.delete(doorId);
    } catch (error) {
      if (!isFault(error)) throw error;
      // what was known before holds on: a slow disk closes no door to the public at noon
      this.#parts.log.error({ door: doorId, fault: error.code }, error.message);
    }
  }
}
