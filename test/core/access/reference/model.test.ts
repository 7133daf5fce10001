import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { total } from '#core/access/counting.ts';
import { peopleIn, positionOf } from '#core/access/rules/position.ts';
import { holders, Pair, policies, steps } from './pair.ts';

describe('the engine and the reference model', () => {
  it('let the same taps pass, over reboots, crashes, resets, clocks that jump, and grants nobody used', () => {
    fc.assert(
      fc.property(policies, fc.array(steps, { minLength: 5, maxLength: 40 }), (policy, course) => {
        const pair = new Pair(policy);
        for (const step of course) pair.run(step);
      }),
      { numRuns: 300 },
    );
  });

  it('count people where they are, whatever happens', () => {
    fc.assert(
      fc.property(policies, fc.array(steps, { minLength: 5, maxLength: 40 }), (policy, course) => {
        const pair = new Pair(policy);
        for (const step of course) pair.run(step);
        const state = pair.bench.state();
        for (const id of ['yard', 'lab']) {
          const there = holders.filter(
            ({ holder }) => positionOf(pair.bench.facts.get(`${holder}|at`), state)?.zone === id,
          );
          expect(total(peopleIn(id, state))).toBe(there.length);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('same facts, same tap, same decision, byte for byte, and no holder in what a decision used', () => {
    fc.assert(
      fc.property(policies, fc.array(steps, { minLength: 5, maxLength: 30 }), (policy, course) => {
        const [one, other] = [new Pair(policy), new Pair(policy)];
        for (const step of course) {
          one.run(step);
          other.run(step);
          expect(JSON.stringify([...one.bench.facts])).toBe(JSON.stringify([...other.bench.facts]));
        }
        expect(JSON.stringify(one.history)).toBe(JSON.stringify(other.history));
        for (const [, value] of one.bench.facts) expect(JSON.stringify(value)).not.toMatch(/"h\d"/);
      }),
      { numRuns: 60 },
    );
  });
});
