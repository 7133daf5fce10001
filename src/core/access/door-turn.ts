import type { DoorSettings } from './door-settings.ts';
import {
  type DoorAlarm,
  type DoorEffect,
  type DoorRecord,
  type DoorState,
  type DoorTimer,
  type Release,
  restingIndication,
  standingAlarms,
} from './door-state.ts';

/** The hardware's own limit comes this much after the time counted here, so that it acts only when this fails. */
export const limitMarginMs = 250;
/**
 * The hardware's own limit of what is renewed again and again, in milliseconds: whoever dies holds nothing, and one or
 * two renewals that come late lock nobody out.
 */
const renewedLimitMs = 30_000;

/** The work of one step: the state as it becomes, and the effects so far. Lives only inside `next` (door.ts). */
export class DoorTurn {
  readonly settings: DoorSettings;
  readonly #before: DoorState;
  readonly #effects: DoorEffect[] = [];
  state: DoorState;

  constructor(state: DoorState, settings: DoorSettings) {
    this.#before = state;
    this.state = state;
    this.settings = settings;
  }

  become(change: Partial<DoorState>): void {
    this.state = { ...this.state, ...change };
  }

  setTimer(timer: DoorTimer, delayMs: number): void {
    this.#effects.push({ kind: 'set-timer', timer, delayMs });
  }

  cancel(...timers: readonly DoorTimer[]): void {
    for (const timer of timers) this.#effects.push({ kind: 'cancel-timer', timer });
  }

  record(event: DoorRecord['event'], detail: Omit<DoorRecord, 'kind' | 'event'> = {}): void {
    this.#effects.push({ kind: 'record', event, ...detail });
  }

  /** Somebody presses to get out, and the exit request of this door unlocks; a stuck one where that is wanted. */
  exitHolds(): boolean {
    const { exit, emergency } = this.state;
    const { exitRequest, exitStuck } = this.settings;
    if (exitRequest !== 'unlock') return false;
    return exit === 'pressed' || (exit === 'stuck' && (emergency || exitStuck === 'unlock'));
  }

  unlock(release: Release): void {
    this.unlockAgain(release);
    this.setTimer('strike', release.lengthMs);
  }

  /** Tells the strike to unlock, of a release that goes on and keeps its time. */
  unlockAgain(release: Release): void {
    if (!release.over) this.#endOver();
    this.become({
      strike: { kind: 'unlocked', release },
      commandsInFlight: this.state.commandsInFlight + 1,
    });
    const renewed = release.by === 'hold' || release.over;
    const limitMs = renewed ? renewedLimitMs : release.lengthMs + limitMarginMs;
    this.#effects.push({
      kind: 'unlock',
      limitMs,
      ...(release.tapId === undefined ? {} : { cause: release.tapId }),
    });
  }

  lock(): void {
    this.#endOver();
    this.become({ strike: { kind: 'locked' }, commandsInFlight: this.state.commandsInFlight + 1 });
    this.#effects.push({ kind: 'lock' });
    this.cancel('strike');
  }

  #endOver(): void {
    const { strike } = this.state;
    if (strike.kind === 'unlocked' && strike.release.over) this.cancel('obstructed');
  }

  /** Adds what follows from the state alone: alarms that began or ended, and the indication. */
  end(indicateAnyway: boolean): { readonly state: DoorState; readonly effects: readonly DoorEffect[] } {
    const before = standingAlarms(this.#before);
    const after = standingAlarms(this.state);
    const alarm = (name: DoorAlarm, on: boolean): void => {
      this.#effects.push({ kind: 'alarm', alarm: name, on });
    };
    for (const name of before) if (!after.has(name)) alarm(name, false);
    for (const name of after) if (!before.has(name)) alarm(name, true);
    const indication = restingIndication(this.state);
    if (indicateAnyway || indication !== restingIndication(this.#before)) {
      this.#effects.push({ kind: 'indicate', indication });
    }
    return { state: this.state, effects: this.#effects };
  }
}

export function causeOf(cause: Release): { by: Release['by']; tapId?: string } {
  return { by: cause.by, ...(cause.tapId === undefined ? {} : { tapId: cause.tapId }) };
}
