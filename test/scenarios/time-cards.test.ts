import { building } from './building.ts';
import { typeC } from './cards.ts';
import { rulesOf } from './rule.ts';

const rule = rulesOf('Time');

const rotation = (at: string, whileTimeUnknown = 'floor') =>
  building({
    at,
    keysUntil: { '1': '2026-12-01T00:00:00+09:00' },
    rules: `
      groups: [staff]
      doors: [{ id: front, whileTimeUnknown: ${whileTimeUnknown} }]
      permissions: [{ group: staff, door: front }]`,
    holders: `user_number,groups,key_version
      10234,staff,
      10300,staff,2`,
  });

rule('end of a key version', {
  passes: {
    'up to its end, and later versions after it': async () => {
      const b = await rotation('2026-11-30 23:59:50');
      await b.lets('10234', 'front-in');
      await b.until('2026-12-01 00:00:30');
      await b.lets('10234', 'front-out', { keyVersion: 2 });
      await b.lets('10300', 'front-in', { keyVersion: 2 });
    },
  },
  denies: {
    'from its end on': async () => {
      const b = await rotation('2026-12-01 00:00');
      await b.refuses('10234', 'front-in', 'key-version-ended');
    },
    'the card from before the one in the list, at any time': async () => {
      const b = await rotation('2026-11-16 12:00');
      await b.refuses('10300', 'front-in', 'key-version-ended');
      await b.lets('10300', 'front-in', { keyVersion: 2 });
    },
  },
  afterReboot: {
    'the end stands': async () => {
      const b = await rotation('2026-11-30 23:58');
      await b.reboot();
      await b.lets('10234', 'front-in');
      await b.crash();
      await b.refuses('10234', 'front-in', 'key-version-ended');
    },
  },
  untrustedClock: {
    'no clock set back revives keys that have ended': async () => {
      const b = await rotation('2026-12-01 00:00');
      b.untrustedClock();
      b.setClock('2026-11-16 12:00');
      await b.refuses('10234', 'front-in', 'key-version-ended');
    },
    'deny: keys that have an end are denied, others pass': async () => {
      const b = await rotation('2026-11-16 12:00', 'deny');
      b.untrustedClock();
      await b.refuses('10234', 'front-in', 'time-unknown');
      await b.lets('10300', 'front-in', { keyVersion: 2 });
    },
  },
});

const night = (at: string, { whileTimeUnknown = 'floor', adds = 'pin' } = {}) =>
  building({
    at,
    rules: `
      profiles:
        - { id: synthetic-type-a, userNumberFormat: { alphabet: digits, minimumLength: 5, maximumLength: 5 } }
        - { id: synthetic-type-c, userNumberFormat: { alphabet: digits, minimumLength: 5, maximumLength: 5 } }
      schedules: [{ id: night, periods: [{ days: [mon], from: "20:00", to: "24:00" }] }]
      groups: [staff]
      doors:
        - id: front
          whileTimeUnknown: ${whileTimeUnknown}
          assurance: []
          additional: [{ schedule: night, assurance: [${adds}] }]
      permissions: [{ group: staff, door: front }]`,
    holders: `user_number,profile,groups
      10234,synthetic-type-a,staff
      10300,synthetic-type-c,staff`,
  });

rule('assurance by schedule', {
  passes: {
    'without the PIN by day, with it by night': async () => {
      const b = await night('2026-11-16 19:59:50');
      await b.lets('10234', 'front-in');
      await b.until('2026-11-16 20:00');
      await b.lets('10234', 'front-out', { pin: '1234' });
    },
  },
  denies: {
    'by night whoever enters no PIN, or a wrong one': async () => {
      const b = await night('2026-11-16 20:00');
      await b.refuses('10234', 'front-in', 'pin-not-entered');
      await b.refuses('10234', 'front-in', 'pin-wrong', { pin: '9999' });
      await b.lets('10234', 'front-in', { pin: '1234' });
    },
    'by night a card that proves nothing': async () => {
      const b = await night('2026-11-16 19:59:50', { adds: 'mutual-authentication' });
      await b.lets('10300', 'front-in', { profile: typeC });
      await b.until('2026-11-16 20:00');
      await b.refuses('10300', 'front-out', 'assurance-insufficient', { profile: typeC });
      await b.lets('10234', 'front-in');
    },
  },
  afterReboot: {
    'the night demands what it did': async () => {
      const b = await night('2026-11-16 19:59');
      await b.crash();
      await b.refuses('10234', 'front-in', 'pin-not-entered');
      await b.reboot();
      await b.lets('10234', 'front-in', { pin: '1234' });
    },
  },
  untrustedClock: {
    'floor: by the schedule; a clock set back makes no day of the night': async () => {
      const b = await night('2026-11-16 20:00');
      b.untrustedClock();
      b.stepClock('-8 h');
      await b.refuses('10234', 'front-in', 'pin-not-entered');
      const day = await night('2026-11-16 12:00');
      day.untrustedClock();
      await day.lets('10234', 'front-in');
    },
    'deny and unscheduled: demanded at any time': async () => {
      for (const whileTimeUnknown of ['deny', 'unscheduled']) {
        const b = await night('2026-11-16 12:00', { whileTimeUnknown });
        b.untrustedClock();
        await b.refuses('10234', 'front-in', 'pin-not-entered');
        await b.lets('10234', 'front-in', { pin: '1234' });
      }
    },
  },
});
