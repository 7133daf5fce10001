import { expect } from 'vitest';
import { building, found } from './building.ts';
import { rulesOf } from './rule.ts';

const rule = rulesOf('Time');

const office = (at: string, whileTimeUnknown = 'floor') =>
  building({
    at,
    rules: `
      schedules:
        - { id: office, periods: [{ days: [mon], from: "09:00", to: "17:00" }] }
        - { id: evening, periods: [{ days: [mon], from: "20:00", to: "22:00" }] }
      groups: [staff, cleaning]
      doors: [{ id: front, whileTimeUnknown: ${whileTimeUnknown} }]
      permissions:
        - { group: staff, door: front, schedule: office }
        - { group: cleaning, door: front, schedule: evening }`,
    holders: `user_number,groups
      10234,staff
      10300,staff;cleaning`,
  });

rule('schedule', {
  passes: {
    'from its first minute to its last': async () => {
      const b = await office('2026-11-16 09:00');
      await b.lets('10234', 'front-in');
      await b.until('2026-11-16 16:59:50');
      await b.lets('10234', 'front-out');
    },
    'by any of several permissions': async () => {
      const b = await office('2026-11-16 16:59');
      await b.lets('10300', 'front-in');
      await b.until('2026-11-16 20:00');
      await b.lets('10300', 'front-out');
    },
  },
  denies: {
    'before it begins, from its end on, and on other days': async () => {
      const b = await office('2026-11-16 08:59:50');
      await b.refuses('10234', 'front-in', 'outside-schedule');
      await b.until('2026-11-16 17:00');
      await b.refuses('10234', 'front-in', 'outside-schedule');
      await b.until('2026-11-17 12:00');
      const tuesday = await b.refuses('10300', 'front-in', 'outside-schedule');
      const outside = ['office', 'evening'].map((schedule) => ({ schedule, day: 'tue' }));
      expect(found(tuesday, 'permission')).toEqual({ outside });
    },
  },
  afterReboot: {
    'it holds as before': async () => {
      const b = await office('2026-11-16 16:50');
      await b.reboot();
      await b.lets('10234', 'front-in');
      await b.crash({ off: '10 min' });
      await b.refuses('10234', 'front-in', 'outside-schedule');
    },
  },
  untrustedClock: {
    'floor: a clock set back makes the day no longer': async () => {
      const b = await office('2026-11-16 16:50');
      b.untrustedClock();
      b.stepClock('-1 h');
      await b.lets('10234', 'front-in');
      await b.later('11 min');
      await b.refuses('10234', 'front-in', 'outside-schedule');
    },
    'deny: what depends on time is denied': async () => {
      const b = await office('2026-11-16 12:00', 'deny');
      await b.lets('10234', 'front-in');
      b.untrustedClock();
      await b.refuses('10234', 'front-in', 'time-unknown');
    },
    'unscheduled: a permission holds at any time': async () => {
      const b = await office('2026-11-16 18:00', 'unscheduled');
      await b.refuses('10234', 'front-in', 'outside-schedule');
      b.untrustedClock();
      await b.lets('10234', 'front-in');
    },
  },
});

const yearEnd = (at: string) =>
  building({
    at,
    rules: `
      calendars:
        - id: city
          holidays: japan
          days:
            - { date: 2026-12-29, until: 2027-01-03, kind: year-end }
            - { date: 2027-05-05, kind: ordinary }
            - { date: 2027-02-23, kind: open-day }
      schedules:
        - id: office
          calendar: city
          periods:
            - { days: [mon, tue, wed, thu, fri], from: "09:00", to: "17:00" }
            - { days: [year-end], from: "10:00", to: "12:00" }
            - { days: [open-day], from: "06:00", to: "07:00" }
      groups: [staff]
      doors: [{ id: front }]
      permissions: [{ group: staff, door: front, schedule: office }]`,
    holders: `user_number,groups
      10234,staff`,
  });

rule('calendar', {
  passes: {
    'in the periods that name the kind of the day': async () => {
      const b = await yearEnd('2027-01-01 11:59');
      await b.lets('10234', 'front-in');
    },
    'on a public holiday that its own line makes an ordinary day, or a day of its own': async () => {
      const b = await yearEnd('2027-05-05 09:00');
      await b.lets('10234', 'front-in');
      b.setClock('2027-02-23 06:30');
      await b.lets('10234', 'front-out');
    },
  },
  denies: {
    'in the periods of the weekday, on a day of another kind': async () => {
      const b = await yearEnd('2026-12-29 09:30');
      const tapped = await b.refuses('10234', 'front-in', 'outside-schedule');
      expect(found(tapped, 'permission')).toEqual({ outside: [{ schedule: 'office', day: 'year-end' }] });
    },
    'on public holidays, and on the substitute of one that falls on a Sunday': async () => {
      const b = await yearEnd('2026-11-23 10:00');
      await b.refuses('10234', 'front-in', 'outside-schedule');
      b.setClock('2027-03-22 10:00');
      const substitute = await b.refuses('10234', 'front-in', 'outside-schedule');
      expect(found(substitute, 'permission')).toEqual({ outside: [{ schedule: 'office', day: 'holiday' }] });
    },
  },
  afterReboot: {
    'the dates are known still': async () => {
      const b = await yearEnd('2026-11-22 10:00');
      await b.reboot({ off: '1 d' });
      await b.refuses('10234', 'front-in', 'outside-schedule');
      await b.reboot({ off: '1 d' });
      await b.lets('10234', 'front-in');
    },
  },
  untrustedClock: {
    'the day is that of the floor where the clock is behind it': async () => {
      const b = await yearEnd('2026-11-23 10:00');
      b.untrustedClock();
      b.setClock('2026-11-20 10:00');
      const tapped = await b.refuses('10234', 'front-in', 'outside-schedule');
      expect(found(tapped, 'permission')).toEqual({ outside: [{ schedule: 'office', day: 'holiday' }] });
    },
  },
});

const guests = (at: string, whileTimeUnknown = 'floor') =>
  building({
    at,
    rules: `
      groups: [guests]
      doors: [{ id: front, whileTimeUnknown: ${whileTimeUnknown} }]
      permissions: [{ group: guests, door: front }]`,
    holders: `user_number,groups,valid_from,valid_until
      10234,guests,2026-11-16 12:00,2026-11-16 13:00
      10300,guests,,`,
  });

rule('validity', {
  passes: {
    'from the first minute to the one before the limit': async () => {
      const b = await guests('2026-11-16 12:00');
      await b.lets('10234', 'front-in');
      await b.until('2026-11-16 12:59:50');
      await b.lets('10234', 'front-out');
    },
  },
  denies: {
    'before it begins, and from the limit on': async () => {
      const b = await guests('2026-11-16 11:59:50');
      await b.refuses('10234', 'front-in', 'not-yet-valid');
      await b.until('2026-11-16 13:00');
      await b.refuses('10234', 'front-in', 'no-longer-valid');
    },
  },
  afterReboot: {
    'the limits stand': async () => {
      const b = await guests('2026-11-16 12:30');
      await b.reboot();
      await b.lets('10234', 'front-in');
      await b.crash({ off: '30 min' });
      await b.refuses('10234', 'front-in', 'no-longer-valid');
    },
  },
  untrustedClock: {
    'nobody whose time has ended comes back, whatever the clock shows': async () => {
      const b = await guests('2026-11-16 13:00');
      await b.refuses('10234', 'front-in', 'no-longer-valid');
      b.untrustedClock();
      b.stepClock('-40 min');
      await b.refuses('10234', 'front-in', 'no-longer-valid');
      await b.crash();
      b.setClock('2026-11-16 12:30');
      await b.refuses('10234', 'front-in', 'no-longer-valid');
    },
    'unscheduled: limits count all the same': async () => {
      const b = await guests('2026-11-16 13:00', 'unscheduled');
      b.untrustedClock();
      await b.refuses('10234', 'front-in', 'no-longer-valid');
    },
    'deny: whoever has a limit is denied, whoever has none passes': async () => {
      const b = await guests('2026-11-16 12:30', 'deny');
      b.untrustedClock();
      await b.refuses('10234', 'front-in', 'time-unknown');
      await b.lets('10300', 'front-in');
    },
  },
});
