import type { JsonValue } from '#core/journal/record.ts';
import type { AccessState, StateChange } from './access-state.ts';
import { decide, effectiveMs } from './decide.ts';
import type { Decision } from './decision.ts';
import { type Passage, takenBack, type Unused } from './fact-kinds.ts';
import type { PolicySlice } from './policy.ts';
import type { RecordedTap, recordedCondition } from './recorded-tap.ts';
import type { DecisionTime } from './rule.ts';
import { afterFailure } from './rules/lock-out.ts';
import { declareCondition, endCondition, setThreatLevel } from './site-state.ts';

/** A tap that the card or its holder failed; `holderId` only of a card that has proven itself. */
type Failure = Pick<Parameters<typeof afterFailure>[0], 'rules' | 'reason' | 'readerId' | 'holderId'> & {
  readonly time: DecisionTime;
};

/**
 * Decides taps one after the other, at one terminal, on facts that begin as none and become what the decisions make of
 * them. For trying a policy out: nothing here opens or is recorded.
 */
export class Replay {
  readonly #terminal: string;
  readonly #facts = new Map<string, JsonValue>();
  /** holder by tap that waits */
  readonly #waiting = new Map<string, string>();
  readonly #granted = new Map<string, readonly Omit<Passage, 'now'>[]>();

  constructor(parts: { readonly terminal: string }) {
    this.#terminal = parts.terminal;
  }

  decide(tap: RecordedTap, slice: PolicySlice): Decision {
    const decision = decide({ ...tap, slice, state: this.#stateOf(slice.holder?.holderId) });
    if (decision.kind === 'needs') return decision;
    const { tapId } = tap.request;
    if (decision.kind === 'waits' && slice.holder) this.#waiting.set(tapId, slice.holder.holderId);
    if (decision.kind === 'granted') {
      this.#granted.set(
        tapId,
        decision.changes.map((change) => ({ change, before: this.#facts.get(nameOf(change)) })),
      );
    }
    this.#apply(decision.changes);
    return decision;
  }

  /** A tap failed for a reason that no rule gave: it counts where too many lock out. */
  failed(failure: Failure): void {
    const { time, holderId } = failure;
    const state = this.#stateOf(holderId);
    this.#apply(afterFailure({ ...failure, state, timeMs: effectiveMs(time) }).changes);
  }

  /** A condition of the site began or ended, everywhere or in zones, or its threat level changed. */
  declare(recorded: NonNullable<ReturnType<typeof recordedCondition>>): void {
    if ('threatLevel' in recorded) return this.#apply([setThreatLevel(recorded.threatLevel)]);
    const { condition, on, zones } = recorded;
    const set = on ? declareCondition : endCondition;
    this.#apply([set(condition, this.#stateOf(undefined), zones)]);
  }

  /** The grant of this tap went unused. */
  notPassed(tapId: string, unused: Unused): void {
    const passages = this.#granted.get(tapId) ?? [];
    this.#granted.delete(tapId);
    const now = passages.map((passage) => ({ ...passage, now: this.#facts.get(nameOf(passage.change)) }));
    this.#apply(takenBack(now, unused, this.#stateOf(undefined)));
  }

  #apply(changes: readonly StateChange[]): void {
    for (const change of changes) {
      if (change.value === undefined) this.#facts.delete(nameOf(change));
      else this.#facts.set(nameOf(change), change.value);
    }
  }

  #stateOf(holderId: string | undefined): AccessState {
    const fact = (of: string, key: string) => this.#facts.get(nameOf({ holderId: of, key }));
    return {
      terminal: this.#terminal,
      shared: (key) => this.#facts.get(nameOf({ key })),
      holder: (key) => (holderId === undefined ? undefined : fact(holderId, key)),
      apart: () => true,
      companion: (tapId) => {
        const of = this.#waiting.get(tapId);
        return of === undefined ? undefined : { holderId: of, fact: (key) => fact(of, key) };
      },
    };
  }
}

function nameOf({ holderId, key }: StateChange): string {
  return holderId === undefined ? key : `${key}\0${holderId}`;
}
