import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DenialReason } from '#core/access/decision.ts';
import { padDigits, takeDuressDigit } from '#core/access/rules/duress.ts';
import { afterFailure } from '#core/access/rules/lock-out.ts';
import { doorRules } from '../../../policy-slices.ts';
import { hourMs, minuteMs, mondayMs, outcomeOf, RuleBench } from './rule-bench.ts';

const a = { holderId: 'a' };
const b = { holderId: 'b' };
const into = { from: 'yard', to: 'lab' };

describe('the two-person rule', () => {
  const bench = (more: object = {}) =>
    new RuleBench(
      { zones: [{ id: 'lab', occupancy: { limit: 3 }, passback: { mode: 'hard' } }], ...more },
      { twoPerson: { within: '30 s' } },
    );

  it('waits for the second holder, and names the tap of the first', () => {
    const one = bench();
    expect(one.tap(a, { tapId: 'first' })).toMatchObject({ kind: 'waits', reason: 'second-person' });
    const second = one.tap(b);
    expect(second.kind).toBe('granted');
    if (second.kind !== 'granted') return;
    expect(second.basis.path.find(({ rule }) => rule === 'two-person')?.used).toEqual({ with: 'first' });
    expect(one.outcome({ holderId: 'c' })).toBe('second-person');
  });

  it('is not met by one holder twice', () => {
    const one = bench();
    expect([one.outcome(a), one.outcome(a), one.outcome(a)]).toEqual(Array(3).fill('second-person'));
    expect(one.outcome(b)).toBe('granted');
  });

  it('ends with its window, to the millisecond, and with the boot', () => {
    const one = bench();
    one.tap(a);
    one.pass(30_000);
    expect(one.outcome(b)).toBe('granted');
    one.tap(a);
    one.pass(30_001);
    expect(one.outcome(b)).toBe('second-person');
    one.reboot();
    expect(one.outcome(a)).toBe('second-person');
  });

  it('ends with the version of the policy that let the first through', () => {
    const one = bench();
    one.tap(a);
    one.policyVersion += 1;
    expect([one.outcome(b), one.outcome(a)]).toEqual(['second-person', 'granted']);
  });

  it('measures its window by no clock that can step', () => {
    const one = bench();
    one.tap(a);
    one.trust(mondayMs + 10 * hourMs);
    expect(one.outcome(b)).toBe('granted');
    one.tap(a);
    one.pass(31_000);
    one.distrust(mondayMs);
    expect(one.outcome(b)).toBe('second-person');
  });

  it('asks both to be allowed, at the same reader', () => {
    const one = bench();
    expect(one.outcome({ holderId: 'x', groups: [] })).toBe('no-permission');
    expect(one.outcome(b)).toBe('second-person');
    expect(one.outcome(a, { readerId: 'front-inside' })).toBe('second-person');
  });

  it('counts both, and lets them in only where both fit', () => {
    const one = bench();
    one.tap(a, into);
    expect(one.outcome(b, into)).toBe('granted');
    expect(one.outcome(a, into)).toBe('already-inside');
    one.tap({ holderId: 'c' }, into);
    expect(one.outcome({ holderId: 'd' }, into)).toBe('zone-full');
  });

  it('holds in its schedule alone', () => {
    const night = { id: 'night', periods: [{ days: ['mon' as const], from: '20:00', to: '24:00' }] };
    const one = new RuleBench({ schedules: [night] }, { twoPerson: { schedule: 'night' } });
    expect(one.outcome(a)).toBe('granted');
    one.pass(11 * hourMs);
    expect([one.outcome(a), one.outcome(b)]).toEqual(['second-person', 'granted']);
  });
});

describe('an escort', () => {
  const groups = ['staff', 'visitor'];
  const bench = () =>
    new RuleBench(
      {
        groups,
        zones: [{ id: 'lab', occupancy: { limit: 2 } }],
        permissions: groups.map((group) => ({ group, door: 'front' })),
      },
      { escort: { of: ['visitor'], by: ['staff'], within: '20 s' } },
    );
  const visitor = { holderId: 'v', groups: ['visitor'] };

  it('may come after, and then opens for both and both are counted', () => {
    const one = bench();
    expect(one.outcome(visitor, into)).toBe('escort');
    one.pass(20_000);
    expect(one.outcome(a, into)).toBe('granted');
    expect(one.outcome(b, into)).toBe('zone-full');
  });

  it('opens once for who waited', () => {
    const one = bench();
    one.tap(visitor, { ...into, tapId: 'visit' });
    const used = [a, b].map((who) => {
      const decision = one.tap(who, { to: 'yard' });
      return decision.kind === 'granted' && decision.basis.path.find(({ rule }) => rule === 'escort')?.used;
    });
    expect(used).toEqual([{ with: 'visit' }, undefined]);
  });

  it('may come before, for everyone within the time', () => {
    const one = bench();
    expect(one.outcome(a)).toBe('granted');
    one.pass(20_000);
    expect(one.outcome(visitor)).toBe('granted');
    expect(one.outcome({ holderId: 'w', groups: ['visitor'] })).toBe('granted');
    one.pass(1);
    expect(one.outcome(visitor)).toBe('escort');
  });

  it('is not another who needs one, and nobody who may not pass', () => {
    const one = bench();
    one.tap(visitor);
    expect(one.outcome({ holderId: 'w', groups: ['visitor'] })).toBe('escort');
    expect(one.outcome({ holderId: 'x', groups: [] })).toBe('no-permission');
    expect(one.outcome(visitor)).toBe('escort');
  });

  it('is over with the window and with the boot', () => {
    const one = bench();
    one.tap(a);
    one.reboot();
    one.distrust(mondayMs);
    expect(one.outcome(visitor)).toBe('escort');
    one.pass(20_001);
    const late = one.tap(a);
    expect(late.kind === 'granted' && late.basis.path.find(({ rule }) => rule === 'escort')?.used).toBe(
      undefined,
    );
  });

  it('is over with the version of the policy, whoever tapped first', () => {
    const one = bench();
    one.tap(a);
    one.policyVersion += 1;
    expect(one.outcome(visitor, into)).toBe('escort');
    one.policyVersion += 1;
    expect(one.outcome(b, into)).toBe('granted');
    expect(one.facts.has('v|at')).toBe(false);
  });

  it('needs none who is in both kinds of group', () => {
    expect(bench().outcome({ groups: ['visitor', 'staff'] })).toBe('granted');
  });
});

describe('two persons at an elevator', () => {
  const permissions = [
    { group: 'one', door: 'front', floors: ['1', '2'] },
    { group: 'two', door: 'front', floors: ['2', '3'] },
    { group: 'three', door: 'front', floors: ['3'] },
    { group: 'all', door: 'front' },
  ];
  const bench = () =>
    new RuleBench({ groups: ['one', 'two', 'three', 'all'], permissions }, { twoPerson: {} });
  const floors = (first: string, second: string) => {
    const elevator = bench();
    elevator.tap({ holderId: 'h1', groups: [first] });
    const decision = elevator.tap({ holderId: 'h2', groups: [second] });
    return decision.kind === 'granted' ? decision.obligations.floors : outcomeOf(decision);
  };

  it.each([
    ['one', 'two', ['2']],
    ['one', 'all', ['1', '2']],
    ['all', 'one', ['1', '2']],
    ['all', 'all', undefined],
    ['one', 'three', 'no-permission'],
  ])('free what each of them may: %s and %s', (first, second, freed) => {
    expect(floors(first, second)).toEqual(freed);
  });
});

describe('duress', () => {
  it('looks like any grant and tells staff, and tells them of a denial as well', () => {
    const bench = new RuleBench({});
    const plain = bench.tap();
    const forced = bench.tap({}, { duress: true });
    expect(forced).toMatchObject({ kind: 'granted', alarms: ['duress'] });
    expect(plain.kind === 'granted' && forced.kind === 'granted' && plain.obligations).toEqual(
      forced.kind === 'granted' ? forced.obligations : undefined,
    );
    expect(bench.tap({ groups: [] }, { duress: true })).toMatchObject({ kind: 'denied', alarms: ['duress'] });
  });

  const ascii = (text: string) => Uint8Array.from(text, (digit) => digit.charCodeAt(0));

  it.each([
    ['1234', 'plain', '1234'],
    ['123', 'plain', '123'],
    ['12349', 'duress', '1234'],
    ['12348', 'surplus', undefined],
    ['123499', 'surplus', undefined],
  ])('of %s with digit 9 and PINs of four is %s', (entered, kind, pin) => {
    const taken = takeDuressDigit(ascii(entered), 4, 9);
    expect(taken.kind).toBe(kind);
    expect(taken.kind === 'surplus' ? undefined : String.fromCharCode(...taken.pin)).toBe(pin);
  });

  it('gives the card the very PIN, and leaves no digit behind it', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 4, maxLength: 4 }),
        fc.integer({ min: 0, max: 9 }),
        (digits, duress) => {
          const entered = ascii([...digits, duress].join(''));
          const taken = takeDuressDigit(entered, 4, duress);
          expect(taken).toEqual({ kind: 'duress', pin: ascii(digits.join('')) });
          expect(entered[4]).toBe(0);
          expect(padDigits(4)).toEqual({ minimumDigits: 4, maximumDigits: 5 });
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('repeated failures', () => {
  const limits = { after: 3, within: '10 min', first: '1 min', longest: '4 min' };
  const lockOut = { holder: limits, reader: { ...limits, reasons: ['unknown-card' as const] } };
  const bench = () => new RuleBench({ lockOut });
  const fail = (one: RuleBench, reason: DenialReason, holderId?: string) => {
    const state = one.state(holderId);
    const { changes, lockedOut } = afterFailure({
      rules: doorRules({ id: 'front' }, { lockOut }),
      reason,
      readerId: 'front-outside',
      ...(holderId === undefined ? {} : { holderId }),
      state,
      time: one.time,
      timeMs: one.time.utcMs,
    });
    for (const change of changes) one.set(change);
    return lockedOut;
  };
  const failThrice = (one: RuleBench, reason: DenialReason, holderId?: string) =>
    [1, 2, 3].map(() => fail(one, reason, holderId));

  it('of a holder refuse the holder for a time that doubles up to the longest', () => {
    const one = bench();
    for (const minutes of [1, 2, 4, 4]) {
      expect(failThrice(one, 'pin-wrong', 'h1')).toEqual([false, false, true]);
      expect(one.outcome({ pin: true })).toBe('locked-out');
      expect(one.outcome(b)).toBe('granted');
      one.pass(minutes * minuteMs - 1);
      expect(one.outcome()).toBe('locked-out');
      one.pass(1);
    }
    expect(one.outcome()).toBe('granted');
    expect(failThrice(one, 'pin-wrong', 'h1')).toEqual([false, false, true]);
    one.pass(minuteMs);
    expect(one.outcome()).toBe('granted');
  });

  it('count only within their time, and only those named', () => {
    const one = bench();
    fail(one, 'pin-wrong', 'h1');
    fail(one, 'pin-wrong', 'h1');
    one.pass(10 * minuteMs + 1);
    expect(fail(one, 'pin-wrong', 'h1')).toBe(false);
    expect(failThrice(one, 'no-permission', 'h1')).toEqual([false, false, false]);
    expect(one.outcome()).toBe('granted');
  });

  it('count from the first after a lock-out, not from the lock-out', () => {
    const one = bench();
    failThrice(one, 'pin-wrong', 'h1');
    one.pass(3 * minuteMs);
    expect(fail(one, 'pin-wrong', 'h1')).toBe(false);
    one.pass(8 * minuteMs);
    expect(fail(one, 'pin-wrong', 'h1')).toBe(false);
    expect(fail(one, 'pin-wrong', 'h1')).toBe(true);
  });

  it('while locked out prolong nothing and are told to nobody', () => {
    const one = bench();
    failThrice(one, 'unknown-card');
    for (let at = 0; at < 50; at += 1) {
      one.pass(1_000);
      expect(fail(one, 'unknown-card')).toBe(false);
    }
    one.pass(10_000);
    expect(one.outcome()).toBe('granted');
    expect(failThrice(one, 'unknown-card')).toEqual([false, false, true]);
  });

  it('at a reader refuse everybody there, and nobody elsewhere', () => {
    const one = bench();
    expect(failThrice(one, 'unknown-card')).toEqual([false, false, true]);
    expect(one.outcome()).toBe('locked-out');
    expect(one.outcome({}, { readerId: 'back' })).toBe('granted');
    one.pass(minuteMs);
    expect(one.outcome()).toBe('granted');
    expect(failThrice(one, 'unknown-card')).toEqual([false, false, true]);
    one.pass(minuteMs);
    expect(one.outcome()).toBe('locked-out');
    one.pass(minuteMs + 4 * minuteMs + 1);
    expect(failThrice(one, 'unknown-card')).toEqual([false, false, true]);
    one.pass(minuteMs);
    expect(one.outcome()).toBe('granted');
  });

  it('end with the boot, and care for no clock', () => {
    const one = bench();
    failThrice(one, 'pin-wrong', 'h1');
    one.trust(mondayMs + hourMs);
    expect(one.outcome()).toBe('locked-out');
    one.distrust(0);
    expect(one.outcome()).toBe('locked-out');
    one.reboot();
    expect(one.outcome()).toBe('granted');
  });

  it('of a card that could be a copy do not lock out the holder it claims', () => {
    const one = new RuleBench(
      { lockOut: { holder: { ...limits, reasons: ['no-permission'] } } },
      { assurance: [] },
    );
    const copy = { groups: [], proven: false };
    expect([1, 2, 3, 4].map(() => one.outcome(copy))).toEqual(Array(4).fill('no-permission'));
    expect(one.outcome()).toBe('granted');
  });

  it('that a decision finds are counted with it, and staff is told when they lock out', () => {
    const one = new RuleBench({ lockOut: { holder: { ...limits, reasons: ['no-permission'] } } });
    const stranger = { groups: [] };
    const alarms = [1, 2, 3].map(() => {
      const decision = one.tap(stranger);
      return decision.kind === 'denied' ? decision.alarms : [];
    });
    expect(alarms).toEqual([[], [], ['locked-out']]);
    expect(one.outcome(stranger)).toBe('locked-out');
    expect(one.outcome(b)).toBe('granted');
  });
});
