import { expect } from 'vitest';
import { type Building, building } from './building.ts';
import { typeC } from './cards.ts';
import { rulesOf } from './rule.ts';
import { utcOf } from './times.ts';

const rule = rulesOf('Time');

const office = (at: string, whileTimeUnknown: 'floor' | 'deny' | 'unscheduled') =>
  building({
    at,
    rules: `
      schedules: [{ id: office, periods: [{ days: [mon], from: "09:00", to: "17:00" }] }]
      groups: [staff, guards]
      doors: [{ id: front, whileTimeUnknown: ${whileTimeUnknown} }]
      permissions:
        - { group: staff, door: front, schedule: office }
        - { group: guards, door: front }`,
    holders: `user_number,groups
      10234,staff
      10300,guards`,
  });

rule('time unknown', {
  passes: {
    'unscheduled: at any time; all: nothing once the clock is trusted again': async () => {
      const b = await office('2026-11-16 18:00', 'unscheduled');
      b.untrustedClock();
      await b.lets('10234', 'front-in');
      b.trustedClock();
      await b.refuses('10234', 'front-out', 'outside-schedule');
    },
    'deny: what does not depend on time': async () => {
      const b = await office('2026-11-16 12:00', 'deny');
      b.untrustedClock();
      await b.lets('10300', 'front-in');
    },
  },
  denies: {
    'deny: what does, until the clock is trusted again': async () => {
      const b = await office('2026-11-16 12:00', 'deny');
      b.untrustedClock();
      await b.refuses('10234', 'front-in', 'time-unknown');
      b.trustedClock();
      await b.lets('10234', 'front-in');
    },
  },
  afterReboot: {
    'a clock without battery shows 1970: the floor stands, and moves on with the time since the start':
      async () => {
        const b = await office('2026-11-16 16:50', 'floor');
        await b.crash({ clock: '1970-01-01 09:00' });
        await b.lets('10234', 'front-in');
        await b.later('9 min');
        await b.lets('10234', 'front-out');
        await b.later('2 min');
        await b.refuses('10234', 'front-in', 'outside-schedule');
        await b.reboot({ clock: '1970-01-01 09:00' });
        await b.refuses('10234', 'front-in', 'outside-schedule');
      },
    'a clock behind the floor is recorded': async () => {
      const b = await office('2026-11-16 12:00', 'floor');
      await b.reboot({ clock: '2026-11-16 11:00' });
      expect(b.entries('clock').map(({ body }) => body.event)).toEqual(['stepped-back']);
    },
  },
  untrustedClock: {
    'steps are recorded, with how far they went': async () => {
      const b = await office('2026-11-16 12:00', 'floor');
      b.stepClock('-1 h');
      await b.later('1 min');
      b.stepClock('10 d');
      await b.later('1 min');
      expect(b.entries('clock').map(({ body }) => body)).toEqual([
        { event: 'stepped-back', byMs: 3_600_000 },
        { event: 'stepped-forward', byMs: 864_000_000 },
      ]);
    },
    'ten years ahead once, it turns nobody away when it is right again': async () => {
      const b = await office('2026-11-16 12:00', 'floor');
      b.untrustedClock();
      b.stepClock('3653 d');
      await b.tap('10234', 'front-in');
      b.stepClock('-3653 d');
      b.trustedClock();
      await b.lets('10234', 'front-in');
    },
  },
});

const ageing = (at: string, confirmed: string | undefined = '2026-11-16 12:00') =>
  building({ at, rules: ageingRules, holders: ageingHolders, ...(confirmed !== '' && { confirmed }) });

const ageingRules = `
      groups: [staff, guests]
      doors:
        - id: front
          ageing: { announce: 1 h, reduced: 2 h, closed: 3 h, inReduced: { assurance: [pin], groups: [staff] } }
      permissions: [{ group: staff, door: front }, { group: guests, door: front }]`;
const ageingHolders = `user_number,groups
      10234,staff
      10300,guests`;

const announced = (b: Building) =>
  b.entries('alarm').flatMap(({ body }) => (body.alarm === 'policy-ageing' ? [body] : []));

rule('age of the policy', {
  passes: {
    'everybody up to the reduced tier, and then those who are named, with more assurance': async () => {
      const b = await ageing('2026-11-16 13:59');
      await b.lets('10300', 'front-in');
      await b.until('2026-11-16 14:00');
      await b.lets('10234', 'front-in', { pin: '1234' });
    },
    'everybody again once the policy is confirmed': async () => {
      const b = await ageing('2026-11-16 15:00');
      await b.refuses('10234', 'front-in', 'policy-too-old', { pin: '1234' });
      await b.install({ rules: ageingRules, confirmed: '2026-11-16 15:00' });
      await b.lets('10300', 'front-in');
    },
    'everybody for ever, where nobody issues the policy': async () => {
      const b = await ageing('2026-11-16 12:00', '');
      await b.reboot({ off: '400 d' });
      await b.lets('10300', 'front-in');
    },
    'and what comes, and when, is announced beforehand': async () => {
      const b = await ageing('2026-11-16 12:59');
      expect(announced(b)).toEqual([]);
      await b.until('2026-11-16 13:01');
      const full = { alarm: 'policy-ageing', door: 'front', on: true, tier: 'full' };
      const reduced = { nextTier: 'reduced', nextTierAtMs: utcOf('2026-11-16 14:00') };
      expect(announced(b)).toEqual([{ ...full, ...reduced }]);
      await b.until('2026-11-16 15:01');
      expect(announced(b).map(({ tier }) => tier)).toEqual(['full', 'reduced', 'closed']);
    },
  },
  denies: {
    'in the reduced tier whoever is not named, or has no PIN': async () => {
      const b = await ageing('2026-11-16 14:00');
      await b.refuses('10300', 'front-in', 'policy-too-old', { pin: '1234' });
      await b.refuses('10234', 'front-in', 'pin-not-entered');
    },
    'in the reduced tier a card that proves less than it demands': async () => {
      const b = await building({
        at: '2026-11-16 14:00',
        confirmed: '2026-11-16 12:00',
        rules: `
      profiles: [{ id: ${typeC}, userNumberFormat: { alphabet: digits, minimumLength: 5, maximumLength: 5 } }]
      groups: [staff]
      doors:
        - id: front
          assurance: []
          ageing: { announce: 1 h, reduced: 2 h, inReduced: { assurance: [mutual-authentication] } }
      permissions: [{ group: staff, door: front }]`,
        holders: `user_number,groups
      10234,staff`,
      });
      await b.refuses('10234', 'front-in', 'assurance-insufficient', { profile: typeC });
    },
    'in the closed tier everybody': async () => {
      const b = await ageing('2026-11-16 15:00');
      await b.refuses('10234', 'front-in', 'policy-too-old', { pin: '1234' });
    },
  },
  afterReboot: {
    'the policy is as old as it is': async () => {
      const b = await ageing('2026-11-16 12:00');
      await b.crash({ off: '2 h' });
      await b.refuses('10300', 'front-in', 'policy-too-old', { pin: '1234' });
      await b.reboot({ off: '1 h' });
      await b.refuses('10234', 'front-in', 'policy-too-old', { pin: '1234' });
    },
  },
  untrustedClock: {
    'a clock set back makes the policy no younger': async () => {
      const b = await ageing('2026-11-16 15:00');
      b.untrustedClock();
      b.stepClock('-2 h');
      await b.refuses('10234', 'front-in', 'policy-too-old', { pin: '1234' });
    },
    'a clock set ten years ahead ages it by a day in each start, and closes no door at once': async () => {
      const b = await building({
        confirmed: '2026-11-16 12:00',
        rules: ageingRules.replace(
          'announce: 1 h, reduced: 2 h, closed: 3 h',
          'announce: 36 h, reduced: 60 h',
        ),
        holders: ageingHolders,
      });
      await b.lets('10300', 'front-in');
      b.untrustedClock();
      b.stepClock('3653 d');
      await b.later('2 min');
      await b.lets('10300', 'front-out');
      expect(announced(b)).toEqual([]);
      await b.reboot();
      await b.later('2 min');
      await b.lets('10300', 'front-in');
      expect(announced(b).map(({ tier }) => tier)).toEqual(['full']);
      b.stepClock('-3653 d');
      b.trustedClock();
      await b.later('2 min');
      expect(announced(b).map(({ on }) => on)).toEqual([true, false]);
    },
  },
});
