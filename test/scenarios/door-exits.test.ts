import { expect } from 'vitest';
import { eventsAt, front, frontDoor, guard, isLocked } from './front-door.ts';
import { rulesOf } from './rule.ts';

const rule = rulesOf('Doors');

rule('exit request', {
  passes: {
    'whoever presses, in any mode, for as long as it lasts and exitTime at least': async () => {
      const b = await frontDoor({ settings: 'exitTime: 3 s' });
      await b.input('lockdown', 'on');
      b.door(front).pressExit(true);
      await b.later('10 s');
      expect(isLocked(b)).toBe(false);
      b.door(front).pressExit(false);
      await b.later('3 s');
      expect(isLocked(b)).toBe(true);
      expect(b.entries('door').map(({ body }) => body)).toContainEqual({
        door: front,
        event: 'exit-request',
      });
      expect(b.alarms()).toEqual([]);
    },
    'in lockdown a running one for its own time': async () => {
      const b = await frontDoor({ settings: 'exitTime: 10 s' });
      b.door(front).pressExit(true);
      b.door(front).pressExit(false);
      await b.later('2 s');
      await b.input('lockdown', 'on');
      await b.later('5 s');
      expect(isLocked(b)).toBe(false);
    },
    'whoever opens by the handle, within exitTime, where it only shunts': async () => {
      const b = await frontDoor({ settings: 'exitRequest: shunt, exitTime: 3 s' });
      b.door(front).pressExit(true);
      b.door(front).pressExit(false);
      await b.later('2 s');
      expect(isLocked(b)).toBe(true);
      b.door(front).force();
      await b.later('1 s');
      b.door(front).close();
      await b.later('1 s');
      expect(b.alarms()).toEqual([]);
    },
  },
  denies: {
    'whoever opens after it is over': async () => {
      const b = await frontDoor({ settings: 'exitRequest: shunt, exitTime: 3 s' });
      b.door(front).pressExit(true);
      b.door(front).pressExit(false);
      await b.later('3100 ms');
      b.door(front).force();
      await b.later('1 s');
      expect(b.alarms()).toEqual(['forced-open']);
    },
    'in lockdown who comes by card, beside one that runs': async () => {
      const b = await frontDoor({ settings: 'strikeTime: 30 s' });
      b.door(front).pressExit(true);
      b.door(front).pressExit(false);
      await b.later('1 s');
      await b.lets(guard, 'front-in', { stays: true });
      await b.input('lockdown', 'on');
      await b.later('4 s');
      expect(isLocked(b), 'the exit request runs').toBe(false);
      await b.later('2 s');
      expect(isLocked(b), 'the grant is over, and so is the exit request').toBe(true);
    },
  },
  afterReboot: {
    'is served from the start': async () => {
      const b = await frontDoor();
      b.door(front).pressExit(true);
      await b.later('1 s');
      await b.crash();
      expect(isLocked(b)).toBe(false);
      b.door(front).pressExit(false);
      await b.later('10 s');
      expect(isLocked(b)).toBe(true);
    },
  },
  untrustedClock: {
    'is the same': async () => {
      const b = await frontDoor();
      b.untrustedClock();
      b.door(front).pressExit(true);
      b.door(front).pressExit(false);
      b.stepClock('1 h');
      await b.later('4 s');
      expect(isLocked(b)).toBe(false);
      await b.later('1 s');
      expect(isLocked(b)).toBe(true);
    },
  },
});

rule('stuck exit request', {
  passes: {
    'with `unlock` whoever comes after it, and in fire with `lock` too': async () => {
      const sensor = await frontDoor({ settings: 'exitStuck: unlock, exitStuckAfter: 20 s' });
      sensor.door(front).pressExit(true);
      await sensor.later('1 min');
      expect(isLocked(sensor)).toBe(false);
      expect(sensor.alarms()).toEqual(['exit-request-stuck']);

      const button = await frontDoor({ settings: 'exitStuckAfter: 20 s' });
      button.door(front).pressExit(true);
      await button.later('1 min');
      await button.input('fire', 'on');
      await button.later('1 min');
      expect(isLocked(button)).toBe(false);
    },
  },
  denies: {
    'with `lock` whoever comes after it, until it is released': async () => {
      const b = await frontDoor({ settings: 'exitStuckAfter: 20 s' });
      b.door(front).pressExit(true);
      await b.later('19 s');
      expect(isLocked(b)).toBe(false);
      await b.later('7 s');
      expect(isLocked(b)).toBe(true);
      expect(b.alarms()).toEqual(['exit-request-stuck']);
      b.door(front).pressExit(false);
      b.door(front).pressExit(true);
      await b.later('1 s');
      expect(isLocked(b)).toBe(false);
      expect(eventsAt(b)).toContain('exit-request-stuck-ended');
    },
  },
  afterReboot: {
    'counts anew': async () => {
      const b = await frontDoor({ settings: 'exitStuckAfter: 20 s' });
      b.door(front).pressExit(true);
      await b.later('30 s');
      await b.reboot();
      await b.later('19 s');
      expect(isLocked(b)).toBe(false);
      expect(b.alarms()).toHaveLength(1);
      await b.later('7 s');
      expect(isLocked(b)).toBe(true);
      expect(b.alarms()).toHaveLength(2);
    },
  },
  untrustedClock: {
    'is the same': async () => {
      const b = await frontDoor({ settings: 'exitStuckAfter: 20 s' });
      b.untrustedClock();
      b.door(front).pressExit(true);
      b.stepClock('1 h');
      await b.later('19 s');
      expect(b.alarms()).toEqual([]);
      b.stepClock('-3 h');
      await b.later('1 s');
      expect(b.alarms()).toEqual(['exit-request-stuck']);
    },
  },
});
