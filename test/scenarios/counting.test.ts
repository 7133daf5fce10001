import { expect } from 'vitest';
import { changed, chief, counter, counterRules, one, other } from './counter.ts';
import { rulesOf } from './rule.ts';

const rule = rulesOf('Counting');

const work = counterRules('services: [{ id: work, kind: attendance }]');
const clock = { gate: 'service: { id: work }', out: 'service: { id: work, action: out }' };
const came = { value: expect.objectContaining({ last: 'in' }) };
const went = { value: expect.objectContaining({ last: 'out' }) };

rule('attendance', {
  passes: {
    'in and out by turns, and as the terminal asks': async () => {
      const b = await counter(work, clock);
      expect(changed(await b.lets(one, 'gate'), 'attendance/work')).toEqual(came);
      await b.later('6 min');
      expect(changed(await b.lets(one, 'gate'), 'attendance/work')).toEqual(went);
      await b.later('6 min');
      expect(changed(await b.lets(one, 'gate'), 'attendance/work')).toEqual(came);
      expect(changed(await b.lets(one, 'out'), 'attendance/work'), 'another meaning').toEqual(went);
      expect(changed(await b.lets(other, 'out'), 'attendance/work'), 'as asked').toEqual(went);
    },
  },
  denies: {
    'a double its own count, and one whose door did not obey': async () => {
      const b = await counter(work, clock);
      await b.lets(one, 'gate');
      await b.later('4 min');
      expect(changed(await b.lets(one, 'gate'), 'attendance/work')).toBeUndefined();
      b.door('front').misbehave({ stuck: 'locked' });
      await b.tap(other, 'gate');
      b.door('front').misbehave({});
      await b.later('10 s');
      expect(changed(await b.lets(other, 'gate'), 'attendance/work'), 'once more').toEqual(came);
    },
    'what it cannot be asked for': async () => {
      const b = await counter(work, { lend: 'service: { id: work, action: lend, item: book }' });
      await b.refuses(one, 'lend', 'service-unknown');
    },
  },
  afterReboot: {
    'the state stays; a tap is no double of one before': async () => {
      const b = await counter(work, clock);
      await b.lets(one, 'gate');
      await b.crash({ off: '10 s' });
      expect(changed(await b.lets(one, 'gate'), 'attendance/work')).toEqual(went);
      await b.reboot({ off: '8 h' });
      expect(changed(await b.lets(one, 'gate'), 'attendance/work')).toEqual(came);
    },
  },
  untrustedClock: {
    'is the same: no step makes a double, or hides one': async () => {
      const b = await counter(work, clock);
      b.untrustedClock();
      await b.lets(one, 'gate');
      b.stepClock('1 h');
      expect(changed(await b.lets(one, 'gate'), 'attendance/work')).toBeUndefined();
      await b.later('6 min');
      b.stepClock('-1 h');
      expect(changed(await b.lets(one, 'gate'), 'attendance/work')).toEqual(went);
    },
  },
});

const poll = counterRules('services: [{ id: poll, kind: once }, { id: meal, kind: once }]');
const ballot = { ballot: 'service: { id: poll }', kitchen: 'service: { id: meal }' };

rule('once', {
  passes: {
    'each holder once, for each service': async () => {
      const b = await counter(poll, ballot);
      await b.lets(one, 'ballot');
      await b.lets(other, 'ballot');
      await b.lets(one, 'kitchen');
    },
    'again whoever did not go through': async () => {
      const b = await counter(poll, ballot);
      await b.lets(one, 'ballot', { stays: true });
      await b.later('6 s');
      await b.lets(one, 'ballot');
      await b.refuses(one, 'ballot', 'already-admitted');
    },
  },
  denies: {
    'the second time, a master card too': async () => {
      const b = await counter(poll, ballot);
      for (const holder of [one, chief]) {
        await b.lets(holder, 'ballot');
        await b.refuses(holder, 'ballot', 'already-admitted');
      }
    },
    'at a reader whose service the policy does not have': async () => {
      const b = await counter(poll, { dance: 'service: { id: dance }' });
      await b.refuses(one, 'dance', 'service-unknown');
    },
  },
  afterReboot: {
    stays: async () => {
      const b = await counter(poll, ballot);
      await b.lets(one, 'ballot', { stays: true });
      await b.crash();
      await b.refuses(one, 'ballot', 'already-admitted');
      await b.reboot();
      await b.refuses(one, 'ballot', 'already-admitted');
    },
  },
  untrustedClock: {
    'is the same: no time gives another': async () => {
      const b = await counter(poll, ballot);
      b.untrustedClock();
      await b.lets(one, 'ballot');
      for (const step of ['3650 d', '-7300 d']) {
        b.stepClock(step);
        await b.refuses(one, 'ballot', 'already-admitted');
      }
    },
  },
});

const taxi = (per: string) => counterRules(`services: [{ id: taxi, kind: uses, limit: 2, ${per} }]`);
const ride = { ride: 'service: { id: taxi }' };

rule('uses', {
  passes: {
    'as often as the limit, and anew in each period': async () => {
      for (const [per, end] of [
        ['day', '2026-11-17 00:00'],
        ['month', '2026-12-01 00:00'],
        ['year', '2027-01-01 00:00'],
        ['fiscal-year', '2027-04-01 00:00'],
      ] as const) {
        const b = await counter(taxi(`per: ${per}`), ride);
        await b.lets(one, 'ride');
        b.setClock(end);
        b.stepClock('-10 s');
        await b.lets(one, 'ride');
        await b.refuses(one, 'ride', 'no-uses-left');
        await b.until(end);
        await b.lets(one, 'ride');
        await b.lets(one, 'ride');
        await b.refuses(one, 'ride', 'no-uses-left');
      }
    },
    'again whoever did not go through': async () => {
      const b = await counter(taxi(''), ride);
      await b.lets(one, 'ride', { stays: true });
      await b.later('6 s');
      await b.lets(one, 'ride');
      await b.lets(one, 'ride');
    },
  },
  denies: {
    'more than that; without a period for ever': async () => {
      const b = await counter(taxi(''), ride);
      await b.lets(one, 'ride');
      await b.lets(one, 'ride');
      await b.refuses(one, 'ride', 'no-uses-left');
      b.stepClock('3650 d');
      await b.refuses(one, 'ride', 'no-uses-left');
      await b.lets(other, 'ride');
    },
    'what was left of a period that is past, whatever the clock shows': async () => {
      const b = await counter(taxi('per: day'), ride);
      await b.lets(one, 'ride');
      b.setClock('2026-11-17 12:00');
      await b.lets(one, 'ride');
      b.setClock('2026-11-16 12:00');
      await b.lets(one, 'ride');
      await b.refuses(one, 'ride', 'no-uses-left');
    },
  },
  afterReboot: {
    stays: async () => {
      const b = await counter(taxi('per: day'), ride);
      await b.lets(one, 'ride');
      await b.crash();
      await b.lets(one, 'ride', { stays: true });
      await b.crash();
      await b.refuses(one, 'ride', 'no-uses-left');
      await b.reboot({ off: '1 d' });
      await b.lets(one, 'ride');
    },
  },
  untrustedClock: {
    'the period last used goes on; who has none yet waits': async () => {
      const b = await counter(taxi('per: day'), ride);
      await b.lets(one, 'ride');
      b.untrustedClock();
      b.stepClock('2 d');
      await b.lets(one, 'ride');
      await b.refuses(one, 'ride', 'no-uses-left');
      await b.refuses(other, 'ride', 'time-unknown');
      b.trustedClock();
      await b.lets(other, 'ride');
    },
  },
});
