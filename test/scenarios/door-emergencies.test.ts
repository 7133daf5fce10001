import { expect } from 'vitest';
import { eventsAt, front, frontDoor, guard, isLocked, staff } from './front-door.ts';
import { rulesOf } from './rule.ts';

const rule = rulesOf('Doors');

rule('fire and evacuation', {
  passes: {
    'everybody, where the door is to be unlocked, while the condition holds': async () => {
      const b = await frontDoor({ rules: 'inEvacuation: unlock' });
      for (const condition of ['fire', 'evacuation']) {
        await b.input(condition, 'on');
        expect(isLocked(b)).toBe(false);
        await b.later('3 min');
        expect(isLocked(b)).toBe(false);
        await b.input(condition, 'off');
        expect(isLocked(b)).toBe(true);
      }
      const holds = b.entries('door').filter(({ body }) => body.event === 'held-unlocked');
      expect(holds.map(({ body }) => body.hold)).toEqual(['fire', 'evacuation']);
    },
    'who presses to get out, where the door is kept, also after it stuck': async () => {
      const b = await frontDoor({});
      b.door(front).pressExit(true);
      await b.later('2 min');
      expect(isLocked(b)).toBe(true);
      await b.input('fire', 'on');
      expect(isLocked(b)).toBe(false);
    },
  },
  denies: {
    'whoever comes in by card; a door that is kept stays locked': async () => {
      const b = await frontDoor({});
      for (const condition of ['fire', 'evacuation']) {
        await b.input(condition, 'on');
        expect(isLocked(b)).toBe(true);
        await b.refuses(staff, 'front-in', 'evacuation');
        await b.lets(staff, 'front-out');
        await b.input(condition, 'off');
      }
    },
  },
  afterReboot: {
    'goes on': async () => {
      const b = await frontDoor({ rules: 'inEvacuation: unlock' });
      await b.input('fire', 'on');
      await b.crash();
      expect(isLocked(b)).toBe(false);
      await b.reboot();
      expect(isLocked(b)).toBe(false);
      await b.input('fire', 'off');
      expect(isLocked(b)).toBe(true);
    },
  },
  untrustedClock: {
    'is the same': async () => {
      const b = await frontDoor({ rules: 'inEvacuation: unlock' });
      b.untrustedClock();
      await b.input('evacuation', 'on');
      b.stepClock('-10 h');
      await b.later('2 min');
      expect(isLocked(b)).toBe(false);
    },
  },
});

rule('lockdown of a door', {
  passes: {
    'who presses to get out, and whom lockdown exempts': async () => {
      const b = await frontDoor({});
      await b.input('lockdown', 'on');
      await b.lets(guard, 'front-in');
      b.door(front).pressExit(true);
      await b.later('1 s');
      expect(isLocked(b)).toBe(false);
    },
  },
  denies: {
    'all others; holds and grants end at once': async () => {
      const b = await frontDoor({ rules: `unlock: [{ schedule: hours }]` });
      await b.lets(staff, 'front-in', { stays: true });
      await b.input('lockdown', 'on');
      expect(isLocked(b), 'a grant').toBe(true);
      await b.until('2026-11-16 12:06');
      expect(isLocked(b), 'a hold').toBe(true);
      await b.refuses(staff, 'front-in', 'lockdown');
      await b.input('lockdown', 'off');
      expect(isLocked(b)).toBe(false);
      await b.input('lockdown', 'on');
      expect(isLocked(b)).toBe(true);
      expect(eventsAt(b)).toEqual(
        expect.arrayContaining(['lockdown', 'lockdown-ended', 'held-unlocked', 'hold-ended']),
      );
    },
  },
  afterReboot: {
    'goes on': async () => {
      const b = await frontDoor({});
      await b.input('lockdown', 'on');
      await b.crash();
      await b.refuses(staff, 'front-in', 'lockdown');
      await b.reboot();
      await b.refuses(staff, 'front-in', 'lockdown');
      await b.input('lockdown', 'off');
      await b.lets(staff, 'front-in');
    },
  },
  untrustedClock: {
    'is the same': async () => {
      const b = await frontDoor({ rules: 'unlock: [{ schedule: hours }], whileTimeUnknown: unscheduled' });
      b.untrustedClock();
      await b.input('lockdown', 'on');
      b.stepClock('20 min');
      await b.refuses(staff, 'front-in', 'lockdown');
    },
  },
});

const hardware = `{ strike: { kind: usb-relay, serial: QAAMZ, relay: 1 }, tamper: { chip: main, line: 12, active: high } }`;

rule('tamper', {
  passes: {
    'whoever comes while nobody opens the housing': async () => {
      const b = await frontDoor({ hardware });
      await b.lets(staff, 'front-in', { stays: true });
      expect(b.alarms()).toEqual([]);
    },
  },
  denies: {
    'every card that needs a key, once somebody has: the keys are erased, and it is told': async () => {
      const b = await frontDoor({ hardware });
      b.door(front).tamper(true);
      await b.later('1 s');
      expect(b.alarms()).toEqual(['tamper', 'keys-erased']);
      await b.refuses(staff, 'front-in', 'fault');
      b.door(front).tamper(false);
      await b.later('1 s');
      expect(eventsAt(b)).toEqual(['tamper', 'tamper-ended']);
      await b.refuses(staff, 'front-in', 'fault');
    },
  },
  afterReboot: {
    'is told again while it lasts, and the keys stay erased': async () => {
      const b = await frontDoor({ hardware });
      b.door(front).tamper(true);
      await b.later('1 s');
      await b.crash();
      expect(b.alarms()).toEqual(['tamper', 'keys-erased', 'tamper', 'keys-erased']);
      b.door(front).tamper(false);
      await b.reboot();
      expect(b.alarms()).toHaveLength(4);
      await b.refuses(staff, 'front-in', 'fault');
    },
  },
  untrustedClock: {
    'is the same': async () => {
      const b = await frontDoor({ hardware });
      b.untrustedClock();
      b.door(front).tamper(true);
      await b.later('1 s');
      expect(b.alarms()).toEqual(['tamper', 'keys-erased']);
    },
  },
});
