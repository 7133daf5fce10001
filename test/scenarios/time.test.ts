import { building } from './building.ts';
import { rulesOf } from './rule.ts';

const rule = rulesOf('Time');

const office = (at: string) =>
  building({
    at,
    rules: `
      schedules: [{ id: office, periods: [{ days: [mon], from: "09:00", to: "17:00" }] }]
      groups: [staff]
      doors: [{ id: front }]
      permissions: [{ group: staff, door: front, schedule: office }]`,
    holders: `user_number,groups
      10234,staff`,
  });

rule('schedule', {
  passes: {
    'from its first minute to its last': async () => {
      const b = await office('2026-11-16 09:00');
      await b.lets('10234', 'front-in');
      await b.until('2026-11-16 16:59:50');
      await b.lets('10234', 'front-out');
    },
  },
  denies: {
    'before it begins and from its end on': async () => {
      const b = await office('2026-11-16 08:59:50');
      await b.refuses('10234', 'front-in', 'outside-schedule');
      await b.until('2026-11-16 17:00');
      await b.refuses('10234', 'front-in', 'outside-schedule');
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
    'it goes by the floor of time': async () => {
      const b = await office('2026-11-16 16:50');
      b.untrustedClock();
      b.stepClock('-1 h');
      await b.lets('10234', 'front-in');
      await b.later('11 min');
      await b.refuses('10234', 'front-in', 'outside-schedule');
    },
  },
});
