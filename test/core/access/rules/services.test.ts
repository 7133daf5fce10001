import { describe, expect, it } from 'vitest';
import type { ServiceRequest } from '#core/access/rule.ts';
import { hourMs, minuteMs, mondayMs, outcomeOf, RuleBench } from './rule-bench.ts';

const dayMs = 24 * hourMs;
type Service = Record<string, unknown> & { id: string; kind: string };
const bench = (...services: Service[]) => new RuleBench({ services: services as never });
/** What the service said: its result and what is left, or the reason of a denial. */
function ask(one: RuleBench, service: ServiceRequest, holderId = 'h1') {
  const decision = one.tap({ holderId }, { service });
  if (decision.kind !== 'granted') return outcomeOf(decision);
  const { result, left } = decision.obligations.service ?? {};
  return left === undefined ? result : `${result}, ${left} left`;
}

describe('a service', () => {
  it('that the policy does not have is denied, and none is asked for without a request', () => {
    const one = bench({ id: 'taxi', kind: 'uses', limit: 1 });
    expect(ask(one, { id: 'tax' })).toBe('service-unknown');
    expect(one.tap()).toMatchObject({ kind: 'granted', obligations: {}, changes: [] });
    expect(ask(one, { id: 'taxi' })).toBe('used, 0 left');
  });

  it('asks for the same permission as the door', () => {
    const one = bench({ id: 'taxi', kind: 'uses', limit: 1 });
    expect(one.outcome({ groups: [] }, { service: { id: 'taxi' } })).toBe('no-permission');
    expect(one.facts.size).toBe(0);
  });
});

describe('attendance', () => {
  const clock = { id: 'work', kind: 'attendance', doubles: '5 min' };
  const work = { id: 'work' };

  it('goes in and out by turns, and takes a second tap within its time as the same', () => {
    const one = bench(clock);
    expect(ask(one, work)).toBe('in');
    one.pass(5 * minuteMs);
    expect(ask(one, work)).toBe('double');
    one.pass(1);
    expect(ask(one, work)).toBe('out');
    expect(ask(one, work, 'h2')).toBe('in');
  });

  it('believes whoever says which it is', () => {
    const one = bench(clock);
    expect(ask(one, { ...work, action: 'in' })).toBe('in');
    expect(ask(one, { ...work, action: 'in' })).toBe('double');
    expect(ask(one, { ...work, action: 'out' })).toBe('out');
    one.pass(hourMs);
    expect(ask(one, { ...work, action: 'out' })).toBe('out');
    expect(ask(one, { ...work, action: 'lend' })).toBe('service-unknown');
  });

  it('goes on after a reboot, and by any clock', () => {
    const one = bench(clock);
    ask(one, work);
    one.reboot();
    one.distrust(0);
    expect(ask(one, work)).toBe('out');
    expect(ask(one, work)).toBe('double');
  });
});

describe('one admission', () => {
  it('is one for each holder and event, whatever reboots and clocks do', () => {
    const one = bench({ id: 'vote-2026', kind: 'once' }, { id: 'vote-2027', kind: 'once' });
    expect(ask(one, { id: 'vote-2026' })).toBe('admitted');
    expect(ask(one, { id: 'vote-2026' })).toBe('already-admitted');
    expect(ask(one, { id: 'vote-2026' }, 'h2')).toBe('admitted');
    one.reboot();
    one.distrust(mondayMs + 400 * dayMs);
    expect(ask(one, { id: 'vote-2026' })).toBe('already-admitted');
    expect(ask(one, { id: 'vote-2027' })).toBe('admitted');
  });
});

describe('remaining uses', () => {
  const taxi = { id: 'taxi' };
  const perMonth = { id: 'taxi', kind: 'uses', limit: 2, per: 'month' };

  it('run out, for each holder alone', () => {
    const one = bench({ id: 'taxi', kind: 'uses', limit: 2 });
    expect([ask(one, taxi), ask(one, taxi), ask(one, taxi)]).toEqual([
      'used, 1 left',
      'used, 0 left',
      'no-uses-left',
    ]);
    expect(ask(one, taxi, 'h2')).toBe('used, 1 left');
    one.reboot();
    one.pass(400 * dayMs);
    expect(ask(one, taxi)).toBe('no-uses-left');
  });

  it.each([
    ['day', '2026-11-16T23:59:59.999+09:00'],
    ['month', '2026-11-30T23:59:59.999+09:00'],
    ['year', '2026-12-31T23:59:59.999+09:00'],
    ['fiscal-year', '2027-03-31T23:59:59.999+09:00'],
  ])('are new in each %s of the policy’s time zone, to the millisecond', (per, last) => {
    const one = bench({ ...perMonth, per });
    ask(one, taxi);
    ask(one, taxi);
    one.trust(Date.parse(last));
    expect(ask(one, taxi)).toBe('no-uses-left');
    one.pass(1);
    expect(ask(one, taxi)).toBe('used, 1 left');
  });

  it('are not new by a clock that nobody vouches for, nor again when a clock goes back', () => {
    const one = bench(perMonth);
    ask(one, taxi);
    ask(one, taxi);
    one.reboot();
    one.distrust(mondayMs + 40 * dayMs);
    expect(ask(one, taxi)).toBe('no-uses-left');
    expect(ask(one, taxi, 'h2')).toBe('time-unknown');
    one.trust(mondayMs + 40 * dayMs);
    expect([ask(one, taxi), ask(one, taxi)]).toEqual(['used, 1 left', 'used, 0 left']);
    one.trust(mondayMs);
    expect(ask(one, taxi)).toBe('no-uses-left');
    expect(ask(one, taxi, 'h2')).toBe('used, 1 left');
  });
});

describe('loans', () => {
  const books = { id: 'books', kind: 'loan', limit: 2 };
  const lend = (item: string): ServiceRequest => ({ id: 'books', action: 'lend', item });
  const back = (item: string): ServiceRequest => ({ id: 'books', action: 'return', item });

  it('are as many as the limit, and fewer by each that is returned', () => {
    const one = bench(books);
    expect([ask(one, lend('a')), ask(one, lend('b')), ask(one, lend('c'))]).toEqual([
      'lent, 1 left',
      'lent, 0 left',
      'loan-limit',
    ]);
    expect(ask(one, back('a'))).toBe('returned, 1 left');
    one.reboot();
    one.distrust(0);
    expect(ask(one, lend('c'))).toBe('lent, 0 left');
    expect(ask(one, lend('a'))).toBe('loan-limit');
  });

  it('are of one holder at a time, and returned by that holder', () => {
    const one = bench(books);
    ask(one, lend('a'));
    expect(ask(one, lend('a'), 'h2')).toBe('item-lent');
    expect(ask(one, lend('a'))).toBe('item-lent');
    expect(ask(one, back('a'), 'h2')).toBe('item-not-lent');
    expect(ask(one, back('a'))).toBe('returned, 2 left');
    expect(ask(one, back('a'))).toBe('item-not-lent');
    expect(ask(one, lend('a'), 'h2')).toBe('lent, 1 left');
    expect(ask(one, back('a'))).toBe('item-not-lent');
  });

  it('are no longer the holder’s once another terminal has taken the item back', () => {
    const one = bench(books);
    ask(one, lend('a'));
    one.set({ key: 'loan/books/a', value: { v: 3, out: true, terminal: 'other' } });
    expect(ask(one, back('a'))).toBe('item-not-lent');
    one.set({ key: 'loan/books/a', value: { v: 4, out: false, terminal: 'other' } });
    expect(ask(one, back('a'))).toBe('item-not-lent');
    expect(ask(one, lend('a'))).toBe('lent, 0 left');
    expect(one.facts.get('|loan/books/a')).toEqual({ v: 5, out: true, terminal: 'terminal-1' });
  });

  it('leave nothing about the holder once all is back', () => {
    const one = bench(books);
    ask(one, lend('a'));
    ask(one, lend('b'));
    ask(one, back('a'));
    ask(one, back('b'));
    expect([...one.facts.keys()].toSorted()).toEqual(['|loan/books/a', '|loan/books/b']);
  });

  it('name an item and say which way it goes', () => {
    const one = bench(books);
    expect(ask(one, { id: 'books', action: 'lend' })).toBe('service-unknown');
    expect(ask(one, { id: 'books', item: 'a' })).toBe('service-unknown');
    expect(ask(one, { id: 'books', item: 'a', action: 'in' })).toBe('service-unknown');
  });
});
