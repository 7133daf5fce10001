import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type AutomationEffect,
  type AutomationInput,
  type AutomationRule,
  initialAutomationState,
  loopIn,
  next,
} from '#core/access/automation.ts';

/** Runs rules and keeps what they did. */
class Rules {
  readonly #rules: readonly AutomationRule[];
  #state = initialAutomationState;

  constructor(...rules: readonly AutomationRule[]) {
    this.#rules = rules;
  }

  take(input: AutomationInput): readonly AutomationEffect[] {
    const { state, effects } = next(this.#state, input, this.#rules);
    this.#state = state;
    return effects;
  }

  input(input: string, on: boolean): readonly AutomationEffect[] {
    return this.take({ kind: 'level', level: { input }, on });
  }
}
const panelOn = { input: 'panel', is: 'on' } as const;

describe('a rule on a level', () => {
  it('keeps an output and an alarm on while the level lasts', () => {
    const rules = new Rules({ when: panelOn, do: [{ output: 'siren' }, { alarm: 'fire' }] });
    expect(rules.input('panel', false)).toEqual([]);
    expect(rules.input('panel', true)).toEqual([
      { kind: 'alarm', alarm: 'fire', on: true },
      { kind: 'output', output: 'siren', on: true },
    ]);
    expect(rules.input('panel', true)).toEqual([]);
    expect(rules.input('panel', false)).toEqual([
      { kind: 'alarm', alarm: 'fire', on: false },
      { kind: 'output', output: 'siren', on: false },
    ]);
  });

  it('sets a condition once, which stays when the level ends', () => {
    const rules = new Rules({ when: panelOn, do: [{ condition: 'lockdown', set: 'on', zones: ['lab'] }] });
    expect(rules.input('panel', true)).toEqual([
      { kind: 'condition', condition: 'lockdown', on: true, zones: ['lab'] },
    ]);
    expect(rules.input('panel', false)).toEqual([]);
  });

  it('declares what it is asked to whatever holds: which zones do is not known here', () => {
    const all = { input: 'all', is: 'on' } as const;
    const end = { input: 'end', is: 'on' } as const;
    const rules = new Rules(
      { when: panelOn, do: [{ condition: 'lockdown', set: 'on', zones: ['lab'] }] },
      { when: all, do: [{ condition: 'lockdown', set: 'on' }, { threatLevel: 3 }] },
      { when: end, do: [{ condition: 'lockdown', set: 'off', zones: ['lab'] }] },
      { when: { condition: 'lockdown', is: 'on' }, do: [{ output: 'lamp' }] },
    );
    const lamp = { kind: 'output', output: 'lamp', on: true };
    expect(rules.input('panel', true)).toContainEqual(lamp);
    expect(rules.input('all', true)).toEqual([
      { kind: 'condition', condition: 'lockdown', on: true },
      { kind: 'threat-level', level: 3 },
    ]);
    // whether it is over everywhere is told from outside
    expect(rules.input('end', true)).toEqual([
      { kind: 'condition', condition: 'lockdown', on: false, zones: ['lab'] },
    ]);
    expect(rules.take({ kind: 'level', level: { condition: 'lockdown' }, on: false })).toEqual([
      { ...lamp, on: false },
    ]);
  });

  it('begins when the level is another than it was in the run before, and lasts either way', () => {
    const begun = { kind: 'condition', condition: 'lockdown', on: true };
    const lamp = { kind: 'output', output: 'lamp', on: true };
    const rule = (is: 'on' | 'off'): AutomationRule => ({
      when: { input: 'panel', is },
      do: [{ condition: 'lockdown', set: 'on' }, { output: 'lamp' }],
    });
    const first = (is: 'on' | 'off', before: boolean | undefined, on = is === 'on') =>
      new Rules(rule(is)).take({
        kind: 'level',
        level: { input: 'panel' },
        on,
        ...(before === undefined ? {} : { before }),
      });
    expect(first('on', undefined)).toEqual([begun, lamp]);
    expect(first('on', true)).toEqual([lamp]);
    expect(first('off', undefined)).toEqual([lamp]);
    expect(first('off', true)).toEqual([begun, lamp]);
  });

  it('may wait for the end of a level; one not heard of yet is neither', () => {
    const off = { input: 'panel', is: 'off' } as const;
    const rules = new Rules({ when: off, do: [{ output: 'lamp' }] });
    expect(rules.take({ kind: 'event', event: 'opened', door: 'front' })).toEqual([]);
    expect(rules.input('panel', false)).toEqual([{ kind: 'output', output: 'lamp', on: true }]);
  });

  it('for a time lasts that time, and begins anew with the next beginning', () => {
    const rules = new Rules({ when: panelOn, do: [{ output: 'siren', for: 5_000 }] });
    const timer = { kind: 'set-timer', action: '0/0', delayMs: 5_000 };
    expect(rules.input('panel', true)).toEqual([timer, { kind: 'output', output: 'siren', on: true }]);
    expect(rules.input('panel', false)).toEqual([]);
    expect(rules.input('panel', true)).toEqual([timer]);
    expect(rules.take({ kind: 'timer', action: '0/0' })).toEqual([
      { kind: 'output', output: 'siren', on: false },
    ]);
  });

  it('leaves on what another rule still asks for', () => {
    const other = { input: 'button', is: 'on' } as const;
    const rules = new Rules(
      { when: panelOn, do: [{ output: 'siren' }] },
      { when: other, do: [{ output: 'siren' }] },
    );
    rules.input('panel', true);
    expect(rules.input('button', true)).toEqual([]);
    expect(rules.input('panel', false)).toEqual([]);
    expect(rules.input('button', false)).toEqual([{ kind: 'output', output: 'siren', on: false }]);
  });

  it('sets off others through conditions and alarms', () => {
    const rules = new Rules(
      { when: panelOn, do: [{ condition: 'fire', set: 'on' }] },
      { when: { condition: 'fire', is: 'on' }, do: [{ alarm: 'evacuate' }] },
      { when: { alarm: 'evacuate', is: 'on' }, do: [{ output: 'horn' }] },
    );
    expect(rules.input('panel', true)).toEqual([
      { kind: 'condition', condition: 'fire', on: true },
      { kind: 'alarm', alarm: 'evacuate', on: true },
      { kind: 'output', output: 'horn', on: true },
    ]);
    expect(rules.take({ kind: 'level', level: { condition: 'fire' }, on: false })).toEqual([
      { kind: 'alarm', alarm: 'evacuate', on: false },
      { kind: 'output', output: 'horn', on: false },
    ]);
  });
});

describe('a rule on an event', () => {
  it('takes that event at its door, or at any', () => {
    const rules = new Rules(
      { when: { event: 'forced-open', door: 'front' }, do: [{ output: 'siren', for: 1_000 }] },
      { when: { event: 'forced-open' }, do: [{ output: 'lamp', for: 1_000 }] },
    );
    const on = (effects: readonly AutomationEffect[]) =>
      effects.flatMap((effect) => (effect.kind === 'output' ? [effect.output] : []));
    expect(on(rules.take({ kind: 'event', event: 'forced-open', door: 'back' }))).toEqual(['lamp']);
    expect(on(rules.take({ kind: 'event', event: 'forced-open', door: 'front' }))).toEqual(['siren']);
    expect(on(rules.take({ kind: 'event', event: 'opened', door: 'front' }))).toEqual([]);
  });
});

describe('a loop', () => {
  it('is found and named, however long', () => {
    const rules: AutomationRule[] = [
      { when: panelOn, do: [{ condition: 'fire', set: 'on' }] },
      { when: { condition: 'lockdown', is: 'on' }, do: [{ alarm: 'a' }] },
      { when: { alarm: 'a', is: 'on' }, do: [{ condition: 'lockdown', set: 'off' }] },
    ];
    expect(loopIn(rules)).toEqual([
      { rule: 1, through: 'alarm a' },
      { rule: 2, through: 'condition lockdown' },
    ]);
    expect(loopIn(rules.slice(0, 2))).toBeUndefined();
  });

  it('of one rule with itself is one', () => {
    expect(loopIn([{ when: { alarm: 'a', is: 'off' }, do: [{ alarm: 'a', for: 1_000 }] }])).toEqual([
      { rule: 0, through: 'alarm a' },
    ]);
  });

  it('is none among rules that wait for people', () => {
    expect(
      loopIn([{ when: { event: 'opened' }, do: [{ condition: 'evacuation', set: 'on' }] }]),
    ).toBeUndefined();
  });
});

describe('whatever rules and inputs', () => {
  const level = fc.oneof(
    fc.record({ input: fc.constantFrom('a', 'b') }),
    fc.record({ condition: fc.constantFrom('fire' as const, 'evacuation' as const, 'lockdown' as const) }),
  );
  const when = fc.oneof(
    fc
      .tuple(
        fc.oneof(level, fc.record({ alarm: fc.constantFrom('x', 'y') })),
        fc.constantFrom('on' as const, 'off' as const),
      )
      .map(([one, is]) => ({ ...one, is })),
    fc.constant({ event: 'opened' as const }),
  );
  const lasting = fc.record({ for: fc.constant(1_000) }, { requiredKeys: [] });
  const action = fc.oneof(
    fc
      .tuple(fc.record({ output: fc.constantFrom('o', 'p') }), lasting)
      .map(([one, more]) => ({ ...one, ...more })),
    fc
      .tuple(fc.record({ alarm: fc.constantFrom('x', 'y') }), lasting)
      .map(([one, more]) => ({ ...one, ...more })),
    fc.record({
      condition: fc.constantFrom('fire' as const, 'evacuation' as const, 'lockdown' as const),
      set: fc.constantFrom('on' as const, 'off' as const),
    }),
  );
  const rules = fc.array(fc.record({ when, do: fc.array(action, { minLength: 1, maxLength: 3 }) }), {
    maxLength: 6,
  });
  const inputs = fc.array(
    fc.oneof(
      fc.tuple(level, fc.boolean()).map(([one, on]) => ({ kind: 'level' as const, level: one, on })),
      fc.constant({ kind: 'event' as const, event: 'opened' as const, door: 'front' }),
      fc
        .tuple(fc.nat(5), fc.nat(2))
        .map(([rule, at]) => ({ kind: 'timer' as const, action: `${rule}/${at}` })),
    ),
    { maxLength: 20 },
  );

  it('rules without a loop come to an end, and switch nothing twice', () => {
    let looped = 0;
    fc.assert(
      fc.property(rules, inputs, (given, happened) => {
        if (loopIn(given)) {
          looped += 1;
          return;
        }
        const run = new Rules(...given);
        const on = new Set<string>();
        for (const input of happened) {
          for (const effect of run.take(input)) {
            if (effect.kind !== 'output' && effect.kind !== 'alarm') continue;
            const name = effect.kind === 'output' ? `output ${effect.output}` : `alarm ${effect.alarm}`;
            expect(on.has(name)).toBe(!effect.on);
            if (effect.on) on.add(name);
            else on.delete(name);
          }
        }
      }),
      { numRuns: 2_000 },
    );
    expect(looped).toBeGreaterThan(100);
    expect(looped).toBeLessThan(1_800);
  });
});
