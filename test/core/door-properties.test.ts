import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DoorMachineInput, DoorMode } from '#core/access/door-state.ts';
import { DoorBench } from './door-bench.ts';

type Step =
  | { readonly input: DoorMachineInput }
  | { readonly advanceMs: number }
  | { readonly answer: 'all' | 'fail' };

const fault = { code: 'door-hardware-failed', message: 'test' } as const;
const input = (arbitrary: fc.Arbitrary<DoorMachineInput>): fc.Arbitrary<Step> =>
  arbitrary.map((value) => ({ input: value }));
const flag = fc.boolean();
const mode = fc.constantFrom<DoorMode>(
  { kind: 'normal' },
  { kind: 'lockdown' },
  { kind: 'held', by: 'schedule' },
  { kind: 'held', by: 'fire' },
);
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    input(
      fc.record({
        kind: fc.constant('grant' as const),
        tapId: fc.constantFrom('a', 'b', 'c'),
        openMs: fc.integer({ min: 500, max: 60_000 }),
      }),
    ),
    input(fc.record({ kind: fc.constant('mode' as const), mode })),
    input(fc.record({ kind: fc.constant('obstruction' as const), active: flag })),
    input(fc.record({ kind: fc.constant('passage' as const), active: flag })),
    input(fc.record({ kind: fc.constant('exit-request' as const), pressed: flag })),
    { arbitrary: input(fc.record({ kind: fc.constant('contact' as const), open: flag })), weight: 3 },
    input(fc.record({ kind: fc.constant('strike' as const), locked: flag })),
    input(fc.record({ kind: fc.constant('tamper' as const), active: flag })),
    input(fc.constantFrom({ kind: 'recovered' as const }, { kind: 'fault' as const, fault })),
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
  exitRequest: fc.constantFrom('unlock' as const, 'shunt' as const),
  passage: fc.constantFrom('fitted' as const, 'none' as const),
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

/** Everybody goes home: nothing holds the door, nobody stands in it, and the hardware answers. */
function end(bench: DoorBench): void {
  bench.answering = true;
  bench.answer();
  bench.feed({ kind: 'mode', mode: { kind: 'normal' } });
  bench.feed({ kind: 'obstruction', active: false });
}

describe('whatever happens, in any order', () => {
  it('the strike is locked in the end, even with a stuck exit button', () => {
    fc.assert(
      fc.property(settings, steps, (chosen, schedule) => {
        const bench = new DoorBench(chosen);
        run(bench, schedule);
        end(bench);
        bench.advance(300_000);
        expect(bench.locked()).toBe(true);
        expect(bench.commands().at(-1) ?? 'lock').toBe('lock');
      }),
      { numRuns: 1_000 },
    );
  });

  it('a door held unlocked is unlocked in the end, whatever its hardware went through', () => {
    fc.assert(
      fc.property(settings, steps, (chosen, schedule) => {
        const bench = new DoorBench(chosen);
        run(bench, schedule);
        end(bench);
        bench.feed({ kind: 'mode', mode: { kind: 'held', by: 'toggle' } });
        bench.advance(300_000);
        expect(bench.locked()).toBe(false);
        expect(bench.alarms()).not.toContain('held-open');
        // the hardware locks by itself when nobody renews
        expect(bench.timers.get('strike')).toBeGreaterThan(bench.nowMs);
      }),
      { numRuns: 1_000 },
    );
  });

  it('unlocks only for a grant, a hold, somebody who presses to get out, or somebody in the gate', () => {
    fc.assert(
      fc.property(settings, steps, (chosen, schedule) => {
        const bench = new DoorBench(chosen);
        let pressed = false;
        const feed = bench.feed.bind(bench);
        bench.feed = (given) => {
          if (given.kind === 'exit-request') pressed = given.pressed;
          const before = bench.state;
          const effects = feed(given);
          if (effects.some(({ kind }) => kind === 'unlock')) {
            const { mode, strike, obstruction } = bench.state;
            const kept = obstruction !== 'clear' && before.strike.kind === 'unlocked';
            expect(given.kind === 'grant' || mode.kind === 'held' || pressed || kept).toBe(true);
            if (pressed && chosen.exitRequest === 'shunt') {
              expect(given.kind === 'grant' || mode.kind === 'held' || kept).toBe(true);
            }
            expect(strike.kind).toBe('unlocked');
          }
          return effects;
        };
        run(bench, schedule);
      }),
      { numRuns: 1_000 },
    );
  });

  it('lockdown ends every grant and hold at once, but for somebody in the gate or on the way out', () => {
    fc.assert(
      fc.property(settings, steps, (chosen, schedule) => {
        const bench = new DoorBench(chosen);
        run(bench, schedule);
        bench.feed({ kind: 'mode', mode: { kind: 'normal' } });
        bench.feed({ kind: 'mode', mode: { kind: 'lockdown' } });
        const { strike, obstruction } = bench.state;
        if (strike.kind === 'unlocked') {
          expect(strike.release.by === 'exit-request' || obstruction !== 'clear').toBe(true);
        }
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
          if (events.includes('held-open')) {
            expect(before.leaf.kind).toBe('open');
            expect(before.mode.kind).not.toBe('held');
          }
          return effects;
        };
        run(bench, schedule);
        expect(bench.alarms().includes('forced-open') && bench.alarms().includes('held-open')).toBe(false);
      }),
      { numRuns: 1_000 },
    );
  });

  it('every grant is accounted for once: opened, passed, or told that it was not', () => {
    fc.assert(
      fc.property(settings, steps, (chosen, schedule) => {
        const bench = new DoorBench(chosen);
        let given = 0;
        const feed = bench.feed.bind(bench);
        bench.feed = (input) => {
          const numbered = input.kind === 'grant' ? { ...input, tapId: `tap-${++given}` } : input;
          return feed(numbered);
        };
        run(bench, schedule);
        end(bench);
        bench.advance(300_000);
        expect(bench.state.awaiting).toEqual([]);
        const told = bench.log.flatMap(({ effect }) =>
          effect.kind === 'record' && ['granted-not-opened', 'passed'].includes(effect.event) && effect.tapId
            ? [effect.tapId]
            : [],
        );
        expect(new Set(told).size).toBe(told.length);
        if (chosen.passage === 'fitted') expect(told.length).toBe(given);
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
        const { leaf, strike, exit, mode, awaiting, obstruction, tailgated } = bench.state;
        // while locked it counts to the next try for somebody who presses in vain to get out, or for a hold
        if (strike.kind === 'unlocked') expect(bench.timers.has('strike')).toBe(true);
        else if (bench.timers.has('strike')) expect(exit === 'pressed' || mode.kind === 'held').toBe(true);
        const passing = chosen.passage === 'fitted' && awaiting.length > 0 && strike.kind === 'locked';
        expect(bench.timers.has('grace')).toBe(leaf.kind === 'grace' || passing);
        expect(bench.timers.has('exit-stuck')).toBe(exit === 'pressed');
        expect(bench.timers.has('settle')).toBe('settling' in leaf && leaf.settling);
        expect(bench.timers.has('tailgated')).toBe(tailgated);
        if (bench.timers.has('obstructed')) expect(obstruction).toBe('present');
        if (leaf.kind !== 'open' || mode.kind === 'held')
          expect(bench.timers.has('pre-alarm') || bench.timers.has('held-open')).toBe(false);
        bench.feed({ kind: 'exit-request', pressed: false });
        end(bench);
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
