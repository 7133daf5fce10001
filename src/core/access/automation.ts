import type { DoorEvent } from './door-state.ts';
import type { SiteCondition } from './site-state.ts';

/** What happens at a door or with a card that a rule may wait for: what people do, never what the software does. */
export const automationEvents = [
  'opened',
  'closed',
  'forced-open',
  'held-open',
  'exit-request',
  'exit-request-stuck',
  'tamper',
  'passed',
  'tailgated',
  'obstructed',
  'fault',
] as const satisfies readonly DoorEvent[];
/** What a tap tells: how it was decided, and what staff is told besides. */
export const automationTapEvents = ['granted', 'denied', 'duress', 'passback', 'locked-out'] as const;
export type AutomationEvent = (typeof automationEvents)[number] | (typeof automationTapEvents)[number];

/** What is on or off: an input of the terminal, a condition of the site, an alarm that a rule raises. */
export type Level =
  | { readonly input: string }
  | { readonly condition: SiteCondition }
  | { readonly alarm: string };

export type When =
  | (Level & { readonly is: 'on' | 'off' })
  /** at any door where none is named */
  | { readonly event: AutomationEvent; readonly door?: string | undefined };

export type Action =
  /** on for a time, or without one for as long as the level of `when` lasts */
  | { readonly output: string; readonly for?: number | undefined }
  | { readonly alarm: string; readonly for?: number | undefined }
  /** once, when `when` begins; it stays so until something else changes it */
  | {
      readonly condition: SiteCondition;
      readonly set: 'on' | 'off';
      readonly zones?: readonly string[] | undefined;
    }
  /** once, as a condition; 0 is the usual level */
  | { readonly threatLevel: number };

type LastingAction = Exclude<Action, { set: string } | { threatLevel: number }>;

/** "When this, then that." Times are in milliseconds. */
export interface AutomationRule {
  readonly when: When;
  readonly do: readonly Action[];
}

/** `levels`: those heard of, by `levelKey`; `running`: the actions that last for a time, by `actionKey`. */
export interface AutomationState {
  readonly levels: ReadonlyMap<string, boolean>;
  readonly running: ReadonlySet<string>;
}

export type AutomationInput =
  /** `before`: what it was when it was last heard of, in another run; off where absent. The same again begins nothing */
  | { readonly kind: 'level'; readonly level: Level; readonly on: boolean; readonly before?: boolean }
  | { readonly kind: 'event'; readonly event: AutomationEvent; readonly door: string }
  | { readonly kind: 'timer'; readonly action: string };

/** To be declared of the site, whatever holds already: in which zones a condition holds is not known here. */
export type SiteEffect =
  | {
      readonly kind: 'condition';
      readonly condition: SiteCondition;
      readonly on: boolean;
      readonly zones?: readonly string[];
    }
  | { readonly kind: 'threat-level'; readonly level: number };

export type AutomationEffect =
  | { readonly kind: 'output'; readonly output: string; readonly on: boolean }
  | { readonly kind: 'alarm'; readonly alarm: string; readonly on: boolean }
  | SiteEffect
  /** comes back as the input `timer` after `delayMs`; set again, the former is void */
  | { readonly kind: 'set-timer'; readonly action: string; readonly delayMs: number };

export const initialAutomationState: AutomationState = { levels: new Map(), running: new Set() };

/**
 * One step of the rules on inputs and outputs. Pure; an output and an alarm are on while anything asks for them. Ends
 * because rules that would set each other off are refused beforehand (`loopIn`).
 */
export function next(
  state: AutomationState,
  input: AutomationInput,
  rules: readonly AutomationRule[],
): { readonly state: AutomationState; readonly effects: readonly AutomationEffect[] } {
  const turn = new AutomationTurn(state, rules);
  turn.take(input);
  return turn.end();
}

/** The work of one step; lives only inside `next`. */
class AutomationTurn {
  readonly #rules: readonly AutomationRule[];
  readonly #levels: Map<string, boolean>;
  readonly #running: Set<string>;
  readonly #outputsBefore: ReadonlySet<string>;
  readonly #effects: AutomationEffect[] = [];

  constructor({ levels, running }: AutomationState, rules: readonly AutomationRule[]) {
    this.#rules = rules;
    this.#levels = new Map(levels);
    this.#running = new Set(running);
    this.#outputsBefore = this.#asked('output');
  }

  take(input: AutomationInput): void {
    if (input.kind === 'level') this.#level(input.level, input.on, input.before);
    else if (input.kind === 'timer') this.#running.delete(input.action);
    else {
      for (const [index, { when }] of this.#rules.entries()) {
        const meant = 'event' in when && when.event === input.event;
        if (meant && (when.door ?? input.door) === input.door) this.#begin(index);
      }
    }
    this.#settleAlarms();
  }

  end(): { readonly state: AutomationState; readonly effects: readonly AutomationEffect[] } {
    const outputs = this.#asked('output');
    for (const output of this.#outputsBefore) {
      if (!outputs.has(output)) this.#effects.push({ kind: 'output', output, on: false });
    }
    for (const output of outputs) {
      if (!this.#outputsBefore.has(output)) this.#effects.push({ kind: 'output', output, on: true });
    }
    return { state: { levels: this.#levels, running: this.#running }, effects: this.#effects };
  }

  #level(level: Level, on: boolean, before = false): void {
    const key = levelKey(level);
    const known = this.#levels.get(key);
    if (known === on) return;
    this.#levels.set(key, on);
    if ((known ?? before) === on) return;
    for (const [index, { when }] of this.#rules.entries()) {
      if (!('event' in when) && levelKey(when) === key && (when.is === 'on') === on) this.#begin(index);
    }
  }

  #begin(index: number): void {
    for (const [at, action] of (this.#rules[index]?.do ?? []).entries()) {
      if ('condition' in action) {
        const { condition, zones } = action;
        const on = action.set === 'on';
        this.#effects.push({ kind: 'condition', condition, on, ...(zones && { zones }) });
        // ended in some zones it may go on in others: whether it does is heard once this is declared
        if (on || !zones) this.#level({ condition }, on);
      } else if ('threatLevel' in action) {
        this.#effects.push({ kind: 'threat-level', level: action.threatLevel });
      } else if (action.for !== undefined) {
        const key = actionKey(index, at);
        this.#running.add(key);
        this.#effects.push({ kind: 'set-timer', action: key, delayMs: action.for });
      }
    }
  }

  /** Raises and ends alarms, and what follows from them, until nothing follows any more. */
  #settleAlarms(): void {
    for (;;) {
      const asked = this.#asked('alarm');
      const known = [...this.#levels].flatMap(([key, on]) =>
        on && key.startsWith(alarmPrefix) ? [key] : [],
      );
      const ended = known.map((key) => key.slice(alarmPrefix.length)).find((alarm) => !asked.has(alarm));
      const begun = [...asked].find((alarm) => !this.#levels.get(levelKey({ alarm })));
      const alarm = ended ?? begun;
      if (alarm === undefined) return;
      const on = ended === undefined;
      this.#effects.push({ kind: 'alarm', alarm, on });
      this.#level({ alarm }, on);
    }
  }

  /** The outputs, or the alarms, that any rule asks for now. */
  #asked(kind: 'output' | 'alarm'): ReadonlySet<string> {
    const asked = new Set<string>();
    for (const [index, { when, do: actions }] of this.#rules.entries()) {
      const lasts = !('event' in when) && this.#levels.get(levelKey(when)) === (when.is === 'on');
      for (const [at, action] of actions.entries()) {
        if ('condition' in action || 'threatLevel' in action) continue;
        const name = nameOf(kind, action);
        if (name === undefined) continue;
        if (action.for === undefined ? lasts : this.#running.has(actionKey(index, at))) asked.add(name);
      }
    }
    return asked;
  }
}

const alarmPrefix = 'alarm ';

function nameOf(kind: 'output' | 'alarm', action: LastingAction): string | undefined {
  if (kind === 'output') return 'output' in action ? action.output : undefined;
  return 'alarm' in action ? action.alarm : undefined;
}

/** One name for one level, such as `input fire-panel`. */
function levelKey(level: Level): string {
  if ('input' in level) return `input ${level.input}`;
  return 'alarm' in level ? `${alarmPrefix}${level.alarm}` : `condition ${level.condition}`;
}

function actionKey(rule: number, action: number): string {
  return `${rule}/${action}`;
}

/** Rules that would set each other off, by their places, each with the level through which it sets off the next. */
export type Loop = readonly { readonly rule: number; readonly through: string }[];

/** A loop among `rules`; undefined where there is none. Doors move only for people, so events close no loop. */
export function loopIn(rules: readonly AutomationRule[]): Loop | undefined {
  const follows = (from: AutomationRule, to: AutomationRule): string | undefined => {
    const { when } = to;
    if ('event' in when) return undefined;
    return from.do
      .flatMap((action) => ('output' in action || 'threatLevel' in action ? [] : [levelKey(action)]))
      .find((key) => key === levelKey(when));
  };
  const harmless = new Set<number>();
  const search = (path: Loop, at: number): Loop | undefined => {
    const known = path.findIndex(({ rule }) => rule === at);
    if (known >= 0) return path.slice(known);
    const from = rules[at];
    if (!from || harmless.has(at)) return undefined;
    for (const [index, to] of rules.entries()) {
      const through = follows(from, to);
      const found = through !== undefined && search([...path, { rule: at, through }], index);
      if (found) return found;
    }
    harmless.add(at);
    return undefined;
  };
  for (const index of rules.keys()) {
    const found = search([], index);
    if (found) return found;
  }
  return undefined;
}
