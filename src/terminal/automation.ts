import type { Logger } from 'pino';
import {
  type AutomationEffect,
  type AutomationEvent,
  type AutomationInput,
  type AutomationRule,
  type AutomationState,
  initialAutomationState,
  next,
} from '#core/access/automation.ts';
import { auxiliaryId } from '#core/access/door-wiring.ts';
import { declareCondition, endCondition, siteConditions } from '#core/access/site-state.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { DoorHardware } from '#ports/door.ts';
import type { AccessMemory } from './access-memory.ts';
import type { JournalWriter } from './journal-writer.ts';

/** How long an output stays on unless that is renewed, in milliseconds: whoever dies leaves nothing on. */
const renewEveryMs = 30_000;
const renewMarginMs = 250;

export interface AutomationSettings {
  readonly rules: readonly AutomationRule[];
  /** ids of the inputs and outputs that belong to no door */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

export interface AutomationParts {
  readonly settings: AutomationSettings;
  /** by `auxiliaryId` */
  readonly hardware: ReadonlyMap<string, DoorHardware>;
  readonly memory: AccessMemory;
  readonly journal: JournalWriter;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Runs the rules on inputs and outputs. Nothing here waits for a disk; what it did is recorded as soon as it can be. */
export class Automation {
  readonly #parts: AutomationParts;
  readonly #inputs: ReadonlyMap<string, DoorHardware>;
  readonly #outputs: ReadonlyMap<string, DoorHardware>;
  /** of actions that last for a time, and of outputs to be renewed */
  readonly #timers = new Map<string, CancelTimer>();
  #state: AutomationState = initialAutomationState;
  #stopped = false;

  constructor(parts: AutomationParts) {
    this.#parts = parts;
    this.#inputs = this.#hardware('input', parts.settings.inputs);
    this.#outputs = this.#hardware('output', parts.settings.outputs);
  }

  /** Switches every output off and begins to read the inputs; the journal is open. */
  async start(): Promise<void> {
    this.refresh();
    for (const [id, output] of this.#outputs) {
      await output.start((input) => {
        if (input.kind === 'fault') this.#note({ output: id, fault: input.fault.code });
        if (input.kind === 'recovered') this.#note({ output: id, recovered: true });
      });
    }
    for (const [id, input] of this.#inputs) {
      await input.start((told) => {
        if (told.kind === 'contact') this.#inputChanged(id, told.open);
        if (told.kind === 'fault') this.#note({ input: id, fault: told.fault.code });
        if (told.kind === 'recovered') this.#note({ input: id, recovered: true });
      });
    }
  }

  /** A fact has changed, perhaps a condition of the site. */
  refresh(): void {
    for (const condition of siteConditions) {
      const { memory } = this.#parts;
      const on = memory.shared(`site/${condition}`) !== undefined;
      this.#take({ kind: 'level', level: { condition }, on });
    }
  }

  /** Something has happened at a door. */
  happened(event: AutomationEvent, door: string): void {
    this.#take({ kind: 'event', event, door });
  }

  /** Switches every output off; nothing that ends later switches one again. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    const all = [...this.#inputs.values(), ...this.#outputs.values()];
    const results = await Promise.allSettled(all.map((hardware) => hardware.stop()));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  #hardware(kind: 'input' | 'output', ids: readonly string[]): ReadonlyMap<string, DoorHardware> {
    return new Map(
      ids.map((id) => {
        const hardware = this.#parts.hardware.get(auxiliaryId(kind, id));
        if (!hardware) throw new Error(`no hardware for ${kind} ${id}`);
        return [id, hardware];
      }),
    );
  }

  #inputChanged(input: string, on: boolean): void {
    this.#note({ input, on });
    this.#take({ kind: 'level', level: { input }, on });
  }

  #take(input: AutomationInput): void {
    if (this.#stopped) return;
    const { state, effects } = next(this.#state, input, this.#parts.settings.rules);
    this.#state = state;
    for (const effect of effects) this.#carryOut(effect);
  }

  #carryOut(effect: AutomationEffect): void {
    const { memory, journal } = this.#parts;
    switch (effect.kind) {
      case 'output':
        this.#note({ output: effect.output, on: effect.on });
        return this.#switch(effect.output, effect.on);
      case 'alarm':
        return journal.note({ kind: 'alarm', body: { alarm: effect.alarm, on: effect.on } });
      case 'condition': {
        const { condition, on, zones } = effect;
        const set = on ? declareCondition : endCondition;
        const facts = memory.declare((state) => [set(condition, state, zones)]);
        const body = { condition, on, ...(zones && { zones }) };
        return journal.note({ kind: 'automation', body, facts });
      }
      case 'set-timer':
        return this.#after(effect.action, effect.delayMs, () =>
          this.#take({ kind: 'timer', action: effect.action }),
        );
      default:
        return effect satisfies never;
    }
  }

  /** On is renewed again and again, whatever the hardware answers: it comes back off when it was away. */
  #switch(id: string, on: boolean): void {
    const key = auxiliaryId('output', id);
    this.#timers.get(key)?.();
    this.#timers.delete(key);
    const output = this.#outputs.get(id);
    const done = on ? output?.unlock(renewEveryMs + renewMarginMs) : output?.lock();
    done?.catch((error: unknown) => this.#parts.log.error({ output: id, on, err: error }, 'output failed'));
    if (on) this.#after(key, renewEveryMs, () => this.#switch(id, true));
  }

  #after(key: string, delayMs: number, action: () => void): void {
    this.#timers.get(key)?.();
    this.#timers.set(
      key,
      this.#parts.clock.after(delayMs, () => {
        this.#timers.delete(key);
        action();
      }),
    );
  }

  #note(body: { readonly [key: string]: string | boolean }): void {
    this.#parts.journal.note({ kind: 'automation', body });
  }
}
