import type { Logger } from 'pino';
import { next } from '#core/access/door.ts';
import { type DoorSettings, grantTimes } from '#core/access/door-settings.ts';
import {
  type DoorEffect,
  type DoorEvent,
  type DoorIndication,
  type DoorMachineInput,
  type DoorMode,
  type DoorState,
  type DoorTimer,
  doorStateName,
  initialDoorState,
} from '#core/access/door-state.ts';
import { modeWithin, type Refusal, refusalOf, type Surroundings } from '#core/access/interlock.ts';
import type { TapRequest } from '#core/access/rule.ts';
import { type FaultRecord, isFault, toFaultRecord } from '#core/fault.ts';
import type { JsonValue } from '#core/journal/record.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { DoorHardware } from '#ports/door.ts';
import type { JournalWriter } from './journal-writer.ts';
import type { Passages } from './passages.ts';

/** A durable decision that grants, as far as the door is concerned. */
export interface Grant {
  readonly tapId: string;
  /** the holder needs longer than others */
  readonly longer: boolean;
  /** lockdown does not keep this holder out */
  readonly exempt: boolean;
  /** where the tap leads; absent where the holder may come into what is being evacuated */
  readonly way?: Pick<TapRequest, 'from' | 'to' | 'zones'>;
  /** in milliseconds, where the settings of the door do not say how long */
  readonly openMs?: number;
}

/** What became of a grant. */
export type Actuation =
  | { readonly kind: 'unlocked' }
  /** the card ended what held the door unlocked */
  | { readonly kind: 'locked' }
  /** nothing has moved, as something stands in the way since the decision */
  | { readonly kind: 'refused'; readonly reason: Refusal | 'no-permission' }
  | { readonly kind: 'failed'; readonly fault: FaultRecord };

export interface DoorControllerParts {
  readonly doorId: string;
  /** of an elevator: the floor whose button this output frees */
  readonly floor?: string;
  readonly settings: DoorSettings;
  readonly hardware: DoorHardware;
  readonly journal: JournalWriter;
  readonly clock: Clock;
  readonly log: Logger;
  readonly changed: (state: ReturnType<typeof doorStateName>, locked: boolean) => void;
  /** the other doors of its interlocks, and whether people are to get out */
  readonly surroundings: () => Surroundings;
  readonly happened: (event: DoorEvent) => void;
  /** Records that nobody went through for a tap, and takes back what holds only of who did. */
  readonly notPassed: (occurrence: Parameters<Passages['notPassed']>[0]) => void;
  /** the tamper input was raised */
  readonly tampered: () => void;
  /** what the door's readers show until something else happens */
  readonly indicate: (indication: DoorIndication) => void;
}

const outOfService: FaultRecord = { code: 'door-hardware-absent', message: 'the door is not in service' };

/** Runs one door: feeds the state machine and carries out its effects in order. Nothing here waits for a disk. */
export class DoorController {
  readonly #parts: DoorControllerParts;
  readonly #timers = new Map<DoorTimer, CancelTimer>();
  readonly #opening: ((done: Actuation) => void)[] = [];
  readonly settings: DoorSettings;
  state: DoorState = initialDoorState;
  #wanted: DoorMode = initialDoorState.mode;
  #stopped = false;

  constructor(parts: DoorControllerParts) {
    this.#parts = parts;
    this.settings = parts.settings;
  }

  /** Locks and begins to watch the inputs. */
  start(): Promise<void> {
    return this.#parts.hardware.start((input) => this.#take(input));
  }

  /** Unlocks, unless something stands in the way by now. Resolves when the hardware has confirmed or failed. */
  grant({ tapId, longer, exempt, openMs }: Grant): Promise<Actuation> {
    if (this.#stopped) return Promise.resolve({ kind: 'failed', fault: outOfService });
    // from here to the command nothing is awaited: no other door of an interlock unlocks in between
    const reason = this.refusal(exempt);
    if (reason) return Promise.resolve({ kind: 'refused', reason });
    return new Promise((resolve) => {
      this.#opening.push(resolve);
      const times = grantTimes(this.settings, longer);
      this.#take({ kind: 'grant', tapId, ...times, ...(openMs !== undefined && { openMs }) });
    });
  }

  /** What a grant would run into now; `exempt` from lockdown or not. */
  refusal(exempt: boolean): Refusal | undefined {
    return refusalOf(this.state, this.#parts.surroundings(), exempt);
  }

  /** Puts the door into `mode`, as soon as its interlocks allow. */
  want(mode: DoorMode): void {
    this.#wanted = mode;
    this.reconsider();
  }

  /** Something has changed around the door: whether it may be as it is wanted now. */
  reconsider(): void {
    const surroundings = this.#parts.surroundings();
    const mode = modeWithin(this, this.#wanted, surroundings);
    this.#take({ kind: 'mode', mode, emergency: surroundings.emergency });
  }

  /** Locks; nothing that ends later moves this door or its timers again. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    await this.#parts.hardware.stop();
  }

  #take(input: DoorMachineInput): void {
    if (this.#stopped) return;
    const { state, effects } = next(this.state, input, this.settings);
    if (state === this.state && effects.length === 0) return;
    this.state = state;
    for (const effect of effects) this.#carryOut(effect);
    this.#parts.changed(doorStateName(this.state), this.state.strike.kind === 'locked');
    // rules may answer by moving this very door: only once all of this is done
    for (const effect of effects) if (effect.kind === 'record') this.#parts.happened(effect.event);
  }

  #carryOut(effect: DoorEffect): void {
    const { hardware, indicate, journal, doorId, floor } = this.#parts;
    const place = floor === undefined ? { door: doorId } : { door: doorId, floor };
    switch (effect.kind) {
      case 'unlock':
        return this.#command(
          'unlock',
          hardware.unlock(effect.limitMs, effect.cause),
          this.#opening.splice(0),
        );
      case 'lock':
        return this.#command('lock', hardware.lock(), []);
      case 'set-timer':
        return this.#setTimer(effect.timer, effect.delayMs);
      case 'cancel-timer':
        this.#timers.get(effect.timer)?.();
        this.#timers.delete(effect.timer);
        return;
      case 'alarm':
        if (effect.alarm === 'tamper' && effect.on) this.#parts.tampered();
        return journal.note({ kind: 'alarm', body: { ...place, alarm: effect.alarm, on: effect.on } });
      case 'indicate':
        return indicate(effect.indication);
      case 'record': {
        const { kind: _, tapId, ...event } = effect;
        const body: { [key: string]: JsonValue } = { ...place, ...event };
        if (tapId === undefined) return journal.note({ kind: 'door', body });
        const occurrence = { kind: 'door' as const, tapId, body };
        if (event.event === 'granted-not-opened') return this.#parts.notPassed(occurrence);
        return journal.note(occurrence);
      }
      default:
        return effect satisfies never;
    }
  }

  #command(
    command: 'unlock' | 'lock',
    done: Promise<void>,
    waiting: readonly ((done: Actuation) => void)[],
  ): void {
    done.then(
      () => {
        for (const resolve of waiting) resolve({ kind: 'unlocked' });
        this.#take({ kind: 'actuated', command });
      },
      (error: unknown) => {
        const fault: FaultRecord = isFault(error)
          ? toFaultRecord(error)
          : { code: 'door-hardware-failed', message: 'the door hardware failed in an unknown way' };
        this.#parts.log.error({ door: this.#parts.doorId, command, err: error }, 'door hardware failed');
        for (const resolve of waiting) resolve({ kind: 'failed', fault });
        this.#take({ kind: 'actuation-failed', command, fault });
      },
    );
  }

  #setTimer(timer: DoorTimer, delayMs: number): void {
    this.#timers.get(timer)?.();
    this.#timers.set(
      timer,
      this.#parts.clock.after(delayMs, () => {
        this.#timers.delete(timer);
        this.#take({ kind: 'timer', timer });
      }),
    );
  }
}
