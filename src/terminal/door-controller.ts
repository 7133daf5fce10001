import type { Logger } from 'pino';
import { next } from '#core/access/door.ts';
import { type DoorSettings, grantTimes } from '#core/access/door-settings.ts';
import {
  type DoorEffect,
  type DoorIndication,
  type DoorMachineInput,
  type DoorState,
  type DoorTimer,
  doorStateName,
  initialDoorState,
} from '#core/access/door-state.ts';
import { type FaultRecord, isFault, toFaultRecord } from '#core/fault.ts';
import type { JsonValue } from '#core/journal/record.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { DoorHardware } from '#ports/door.ts';
import type { KeptFacts } from './access-memory.ts';
import type { JournalWriter } from './journal-writer.ts';

export interface DoorControllerParts {
  readonly doorId: string;
  readonly settings: DoorSettings;
  readonly hardware: DoorHardware;
  readonly journal: JournalWriter;
  readonly clock: Clock;
  readonly log: Logger;
  readonly changed: (state: ReturnType<typeof doorStateName>, locked: boolean) => void;
  /** Takes back what holds only of who went through, nobody having done so for this tap. */
  readonly notPassed: (tapId: string) => KeptFacts;
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
  readonly #opening: ((fault: FaultRecord | undefined) => void)[] = [];
  #state: DoorState = initialDoorState;
  #stopped = false;

  constructor(parts: DoorControllerParts) {
    this.#parts = parts;
  }

  /** Locks and begins to watch the inputs. */
  start(): Promise<void> {
    return this.#parts.hardware.start((input) => this.#take(input));
  }

  /** Unlocks for the door's strike time. Resolves when the hardware confirmed, or with its fault. */
  grant(tapId: string): Promise<FaultRecord | undefined> {
    if (this.#stopped) return Promise.resolve(outOfService);
    return new Promise((resolve) => {
      this.#opening.push(resolve);
      this.#take({ kind: 'grant', tapId, ...grantTimes(this.#parts.settings, false) });
    });
  }

  state(): DoorState {
    return this.#state;
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
    const turn = next(this.#state, input, this.#parts.settings);
    this.#state = turn.state;
    for (const effect of turn.effects) this.#carryOut(effect);
    this.#parts.changed(doorStateName(this.#state), this.#state.strike.kind === 'locked');
  }

  #carryOut(effect: DoorEffect): void {
    const { hardware, indicate, journal, doorId } = this.#parts;
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
        return journal.note({ kind: 'alarm', body: { door: doorId, alarm: effect.alarm, on: effect.on } });
      case 'indicate':
        return indicate(effect.indication);
      case 'record': {
        const { kind: _, tapId, ...event } = effect;
        const body: { [key: string]: JsonValue } = { door: doorId, ...event };
        if (tapId === undefined) return journal.note({ kind: 'door', body });
        const unused = event.event === 'granted-not-opened';
        return journal.note({
          kind: 'door',
          tapId,
          body,
          ...(unused && { facts: this.#parts.notPassed(tapId) }),
        });
      }
      default:
        return effect satisfies never;
    }
  }

  #command(
    command: 'unlock' | 'lock',
    done: Promise<void>,
    waiting: readonly ((fault: FaultRecord | undefined) => void)[],
  ): void {
    done.then(
      () => {
        for (const resolve of waiting) resolve(undefined);
        this.#take({ kind: 'actuated', command });
      },
      (error: unknown) => {
        const fault: FaultRecord = isFault(error)
          ? toFaultRecord(error)
          : { code: 'door-hardware-failed', message: 'the door hardware failed in an unknown way' };
        this.#parts.log.error({ door: this.#parts.doorId, command, err: error }, 'door hardware failed');
        for (const resolve of waiting) resolve(fault);
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
