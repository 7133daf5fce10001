import type { JsonValue } from '#core/journal/record.ts';
import { AccessMemory, type FactsView, type FoundFacts } from './access-memory.ts';
import { decide, effectiveMs } from './decide.ts';
import type { Decision } from './decision.ts';
import type { Unused } from './fact-kinds.ts';
import type { KeptFacts } from './kept-facts.ts';
import type { PolicySlice } from './policy.ts';
import type { RecordedTap } from './recorded-tap.ts';
import type { DecisionTime } from './rule.ts';
import { afterFailure } from './rules/lock-out.ts';
import { forgetPosition } from './rules/position.ts';
import type { Declaration } from './terminal-facts.ts';

/** A tap that the card or its holder failed; `holderId` only of a card that has proven itself. */
type Failure = Pick<Parameters<typeof afterFailure>[0], 'rules' | 'reason' | 'readerId' | 'holderId'> & {
  readonly time: DecisionTime;
};

/**
 * Decides taps one after the other, at one terminal, on facts that begin as none and become what the decisions make of
 * them. For trying a policy out: nothing here opens or is recorded.
 */
export class Replay {
  readonly #memory: AccessMemory;
  /** what a terminal's disk would have, by holder */
  readonly #facts = new Map<string, Map<string, JsonValue>>();

  constructor({ terminal }: { readonly terminal: string }) {
    this.#memory = new AccessMemory({ terminal, sharedChanged: () => undefined });
  }

  decide(tap: RecordedTap, slice: PolicySlice): Decision {
    const found = this.#found(slice.holder?.holderId);
    const decision = decide({ ...tap, slice, state: this.#view(found) });
    if (decision.kind === 'needs') return decision;
    const { tapId } = tap.request;
    if (decision.kind === 'waits') this.#memory.waits(tapId, found);
    this.#apply(this.#memory.keep(tapId, decision.changes, found));
    return decision;
  }

  /** A tap failed for a reason that no rule gave: it counts where too many lock out. */
  failed(failure: Failure): void {
    const found = this.#found(failure.holderId);
    const { changes } = afterFailure({
      ...failure,
      state: this.#view(found),
      timeMs: effectiveMs(failure.time),
    });
    this.#apply(this.#memory.keep('', changes, found));
  }

  /** Something of the terminal as a whole was declared, or ended. */
  declare(make: Declaration): void {
    this.#apply(this.#memory.declare(make));
  }

  /** A command forgot where this holder is. */
  forget(holderId: string): void {
    const found = this.#found(holderId);
    const state = this.#view(found);
    this.#apply(this.#memory.keep('', forgetPosition(holderId, state.holder('at'), state), found));
  }

  /** The grant of this tap went unused. */
  notPassed(tapId: string, unused: Unused): void {
    const kept = this.#memory.notPassed(tapId, unused);
    // everything before has been applied: nothing is on its way
    if (!(kept instanceof Promise)) this.#apply(kept);
  }

  #found(holderId: string | undefined): FoundFacts {
    const facts = this.#facts.get(holderId ?? '') ?? new Map<string, JsonValue>();
    if (holderId !== undefined) this.#facts.set(holderId, facts);
    return { holderId, facts, asked: this.#memory.asked() };
  }

  #view(found: FoundFacts): FactsView {
    const view = this.#memory.view(found);
    if (!view) throw new Error('a look-up made now is never too old');
    return view;
  }

  #apply(kept: KeptFacts): void {
    for (const { holderId, key, value } of kept.changes) {
      if (holderId === undefined) continue;
      const facts = this.#facts.get(holderId);
      if (value === undefined) facts?.delete(key);
      else facts?.set(key, value);
    }
    kept.durable();
  }
}
