import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { AccessMemory } from '#core/access/access-memory.ts';
import type { AccessState, StateChange } from '#core/access/access-state.ts';
import {
  type AutomationEffect,
  type AutomationEvent,
  type AutomationInput,
  type AutomationRule,
  type AutomationState,
  initialAutomationState,
  next,
  type SiteEffect,
} from '#core/access/automation.ts';
import { auxiliaryId } from '#core/access/door-wiring.ts';
import { siteConditions } from '#core/access/site-state.ts';
import type { JsonValue } from '#core/journal/record.ts';
import { ruleChanges } from '#core/sync/site-command.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { DoorHardware } from '#ports/door.ts';
import type { JournalWriter } from './journal-writer.ts';

/** How long an output stays on unless that is renewed, in milliseconds: whoever dies leaves nothing on. */
const onForMs = 30_000;
const renewEveryMs = 10_000;

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
  /** whether the facts on the disk are known */
  readonly factsLoaded: () => boolean;
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
  /** what happened before the outputs could be switched */
  readonly #early: AutomationInput[] = [];
  /** inputs first heard of as off while nobody knew whether they were on when the last run ended */
  readonly #unsure = new Set<string>();
  #state: AutomationState = initialAutomationState;
  #started = false;
  #stopped = false;

  constructor(parts: AutomationParts) {
    this.#parts = parts;
    this.#inputs = this.#hardware('input', parts.settings.inputs);
    this.#outputs = this.#hardware('output', parts.settings.outputs);
  }

  /** Switches every output off and begins to read the inputs; the journal is open. */
  async start(): Promise<void> {
    for (const [id, output] of this.#outputs) {
      await output.start((input) => {
        if (input.kind === 'fault') this.#note({ output: id, fault: input.fault.code });
        if (input.kind === 'recovered') this.#note({ output: id, recovered: true });
      });
    }
    this.#started = true;
    this.refresh();
    for (const input of this.#early.splice(0)) this.#take(input);
    for (const [id, input] of this.#inputs) {
      await input.start((told) => {
        if (told.kind === 'contact') this.#inputChanged(id, told.open);
        if (told.kind === 'fault') this.#note({ input: id, fault: told.fault.code });
        if (told.kind === 'recovered') this.#note({ input: id, recovered: true });
      });
    }
  }

  /** A fact has changed, perhaps a condition of the site. One that stands at the start begins nothing anew. */
  refresh(): void {
    if (!this.#started) return;
    const { memory, factsLoaded } = this.#parts;
    for (const condition of siteConditions) {
      const on = memory.shared(`site/${condition}`) !== undefined;
      // what is not known yet may stand: it would seem to begin
      if (!on && !factsLoaded()) continue;
      this.#take({ kind: 'level', level: { condition }, on, before: on });
    }
    if (!factsLoaded()) return;
    for (const input of this.#unsure) this.#inputChanged(input, false);
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

  /** The last level of each input is a fact: what changed while nobody listened begins, and nothing else does. */
  #inputChanged(input: string, on: boolean): void {
    const { memory, journal, factsLoaded } = this.#parts;
    const key = `input/${input}`;
    const before = memory.shared(key);
    this.#unsure.delete(input);
    if (!on && before === undefined && !factsLoaded()) {
      this.#unsure.add(input);
      return;
    }
    const changes = before === on ? [] : [{ key, value: on }];
    journal.note({ kind: 'automation', body: { input, on }, facts: memory.declare(() => changes) });
    this.#take({ kind: 'level', level: { input }, on, before: before === true });
  }

  #take(input: AutomationInput): void {
    if (this.#stopped) return;
    if (!this.#started) {
      this.#early.push(input);
      return;
    }
    const { state, effects } = next(this.#state, input, this.#parts.settings.rules);
    this.#state = state;
    // all at once: whoever hears of one of them must not find the others undone
    this.#declare(effects.filter((effect) => isOfSite(effect)));
    for (const effect of effects) if (!isOfSite(effect)) this.#carryOut(effect);
  }

  #declare(effects: readonly SiteEffect[]): void {
    const { memory, journal, factsLoaded, clock } = this.#parts;
    const when = {
      known: factsLoaded(),
      atMs: clock.utcMs(),
      clock: clock.trusted() ? 'trusted' : 'untrusted',
    };
    const [first, ...rest] = declared(effects, memory, when).told;
    if (!first) return;
    const facts = memory.declare((state) => declared(effects, state, when).changes);
    journal.note({ kind: 'automation', body: bodyOf(first), facts });
    for (const effect of rest) journal.note({ kind: 'automation', body: bodyOf(effect) });
  }

  #carryOut(effect: Exclude<AutomationEffect, SiteEffect>): void {
    const { journal } = this.#parts;
    switch (effect.kind) {
      case 'output':
        this.#note({ output: effect.output, on: effect.on });
        return this.#switch(effect.output, effect.on);
      case 'alarm':
        return journal.note({ kind: 'alarm', body: { alarm: effect.alarm, on: effect.on } });
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
    const done = on ? output?.unlock(onForMs) : output?.lock();
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

function isOfSite(effect: AutomationEffect): effect is SiteEffect {
  return effect.kind === 'condition' || effect.kind === 'threat-level';
}

function bodyOf(effect: SiteEffect): { readonly [key: string]: JsonValue } {
  if (effect.kind === 'threat-level') return { threatLevel: effect.level };
  const { condition, on, zones } = effect;
  return { condition, on, ...(zones && { zones }) };
}

/** What `effects` change, one after the other, and those that do; while the facts are not `known` at that moment, all of them may. */
function declared(
  effects: readonly SiteEffect[],
  state: Pick<AccessState, 'shared'>,
  when: { readonly known: boolean } & Parameters<typeof ruleChanges>[1],
): { readonly changes: readonly StateChange[]; readonly told: readonly SiteEffect[] } {
  const changed = new Map<string, StateChange>();
  const shared = (key: string): JsonValue | undefined => {
    const change = changed.get(key);
    return change ? change.value : state.shared(key);
  };
  const told = effects.filter((effect) => {
    const changes = ruleChanges(effect, when, { shared });
    // when it was declared is a change, too: of what stands already, an end that was given before lifts it no more
    const isAsBefore = changes.every(({ key, value }) => isDeepStrictEqual(shared(key), value));
    if (changes.length === 0 || (when.known && isAsBefore)) return false;
    for (const change of changes) changed.set(change.key, change);
    return true;
  });
  return { changes: [...changed.values()], told };
}
