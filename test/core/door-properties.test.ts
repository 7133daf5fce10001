import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DoorMachineInput } from '#core/access/door-state.ts';
import { DoorBench } from './door-bench.ts';

type Step =
  | { readonly input: DoorMachineInput }
  | { readonly advanceMs: number }
  | { readonly answer: 'all' | 'fail' };

const fault = { code: 'door-hardware-failed', message: 'test' } as const;
const input = (arbitrary: fc.Arbitrary<DoorMachineInput>): fc.Arbitrary<Step> =>
  arbitrary.map((value) => ({ input: value }));
const flag = fc.boolean();
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    input(fc.record({ kind: fc.constant('grant' as const), openMs: fc.integer({ min: 500, max: 60_000 }) })),
    input(fc.record({ kind: fc.constant('exit-request' as const), pressed: flag })),
    { arbitrary: input(fc.record({ kind: fc.constant('contact' as const), open: flag })), weight: 3 },
    input(fc.record({ kind: fc.constant('strike' as const), locked: flag })),
    input(fc.record({ kind: fc.constant('tamper' as const), active: flag })),
    input(
      fc.constantFrom(
        { kind: 'lock' as const },
        { kind: 'recovered' as const },
        { kind: 'fault' as const, fault },
      ),
    ),
    { arbitrary: fc.integer({ min: 1, max: 40_000 }).map((advanceMs) => ({ advanceMs })), weight: 3 },
    fc.constantFrom({ answer: 'all' as const }, { answer: 'fail' as const }),
  ),
  { maxLength: 60 },
);
const settings = fc.record({
  contact: fc.constantFrom('fitted' as const, 'none' as const),
  relock: fc.constantFrom('on-close' as const, 'on-open' as const),
  closeSettleMs: fc.constantFrom(0, 200),
  openGraceMs: fc.constantFrom(0, 500),
  preAlarmMs: fc.constantFrom(0, 10_000, 60_000),
});

function run(bench: DoorBench, schedule: readonly Step[]): void {
  bench.answering = false;
  for (const step of schedule) {
    if ('input' in step) bench.feed(step.input);
    else if ('advanceMs' in step) bench.advance(step.advanceMs);
    else if (step.answer === 'all') bench.answer();
    else {
      const command = bench.unanswered.shift();
      if (command) bench.feed({ kind: 'actuation-failed', command, fault });
    }
  }
}

describe('whatever happens, in any order', () => {
  it('the strike is locked in the end, even with a stuck exit button', () => {
    fc.assert(
      fc.property(settings, steps, (chosen, schedule) => {
        const bench = new DoorBench(chosen);
        run(bench, schedule);
        bench.answering = true;
        bench.answer();
        bench.advance(300_000);
        expect(bench.locked()).toBe(true);
        expect(bench.commands().at(-1) ?? 'lock').toBe('lock');
      }),
      { numRuns: 1_000 },
    );
  });

  it('unlocks only for a grant or for somebody who presses to get out', () => {
    fc.assert(
      fc.property(settings, steps, (chosen, schedule) => {
        const bench = new DoorBench(chosen);
        let pressed = false;
        const feed = bench.feed.bind(bench);
        bench.feed = (given) => {
          if (given.kind === 'exit-request') pressed = given.pressed;
          const effects = feed(given);
          if (effects.some(({ kind }) => kind === 'unlock')) {
            expect(given.kind === 'grant' || pressed).toBe(true);
          }
          return effects;
        };
        run(bench, schedule);
      }),
      { numRuns: 1_000 },
    );
  });

  it('a door is forced only when it opens while locked; held only when it was not', () => {
    fc.assert(
      fc.property(settings, steps, (chosen, schedule) => {
        const bench = new DoorBench(chosen);
        const feed = bench.feed.bind(bench);
        bench.feed = (given) => {
          const before = bench.state;
          const effects = feed(given);
          const events = effects.flatMap((effect) => (effect.kind === 'record' ? [effect.event] : []));
          if (events.includes('forced-open')) {
            expect(before.strike.kind).toBe('locked');
            expect(before.leaf.kind).toBe('closed');
          }
          if (events.includes('held-open')) expect(before.leaf.kind).toBe('open');
          return effects;
        };
        run(bench, schedule);
        expect(bench.alarms().includes('forced-open') && bench.alarms().includes('held-open')).toBe(false);
      }),
      { numRuns: 1_000 },
    );
  });

  it('no timer outlives its purpose, and every alarm ends with its cause', () => {
    fc.assert(
      fc.property(settings, steps, (chosen, schedule) => {
        const bench = new DoorBench(chosen);
        run(bench, schedule);
        bench.answering = true;
        bench.answer();
        const { leaf, strike, exit } = bench.state;
        // while locked it counts to the next try for somebody who presses in vain to get out
        if (strike.kind === 'unlocked') expect(bench.timers.has('strike')).toBe(true);
        else if (bench.timers.has('strike')) expect(exit).toBe('pressed');
        expect(bench.timers.has('grace')).toBe(leaf.kind === 'grace');
        expect(bench.timers.has('exit-stuck')).toBe(exit === 'pressed');
        expect(bench.timers.has('settle')).toBe('settling' in leaf && leaf.settling);
        if (leaf.kind !== 'open')
          expect(bench.timers.has('pre-alarm') || bench.timers.has('held-open')).toBe(false);
        bench.feed({ kind: 'exit-request', pressed: false });
        bench.feed({ kind: 'contact', open: false });
        bench.feed({ kind: 'tamper', active: false });
        bench.feed({ kind: 'recovered' });
        bench.advance(300_000);
        expect([...bench.timers.keys()]).toEqual([]);
        expect(bench.alarms()).toEqual([]);
      }),
      { numRuns: 1_000 },
    );
  });
});
