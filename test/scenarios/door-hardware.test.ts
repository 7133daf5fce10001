import { expect } from 'vitest';
import { eventsAt, front, frontDoor, isLocked, staff } from './front-door.ts';
import { rulesOf } from './rule.ts';

const rule = rulesOf('Doors');

const hall = 'passback: { mode: hard }';

rule('failing hardware', {
  passes: {
    'whoever presses to get out, as soon as the strike obeys': async () => {
      const b = await frontDoor();
      b.door(front).misbehave({ stuck: 'locked' });
      b.door(front).pressExit(true);
      await b.later('5 s');
      expect(isLocked(b)).toBe(true);
      b.door(front).misbehave({});
      await b.later('1 s');
      expect(isLocked(b)).toBe(false);
    },
  },
  denies: {
    'whom the strike did not open to, for which nothing is counted': async () => {
      const b = await frontDoor({ hall });
      b.door(front).misbehave({ stuck: 'locked' });
      const { tapId } = await b.tap(staff, 'front-in');
      const actuation = b.entries('actuation').find((entry) => entry.tapId === tapId);
      expect(actuation?.body).toMatchObject({ result: 'failed', fault: 'door-hardware-failed' });
      expect(b.shown('front-in')).toBe('fault');
      b.door(front).misbehave({});
      await b.later('1 s');
      expect(eventsAt(b)).toEqual(['fault', 'unlock-failed', 'granted-not-opened', 'recovered']);
      await b.lets(staff, 'front-in');
    },
    'everybody once a strike that did not lock does; an alarm until then': async () => {
      const b = await frontDoor();
      await b.lets(staff, 'front-in', { stays: true });
      b.door(front).misbehave({ stuck: 'unlocked' });
      await b.later('10 s');
      expect([isLocked(b), b.alarms()]).toEqual([false, ['lock-failed']]);
      b.door(front).misbehave({});
      await b.later('1 s');
      expect(isLocked(b)).toBe(true);
      expect(b.entries('alarm').at(-1)?.body).toMatchObject({ alarm: 'lock-failed', on: false });
    },
  },
  afterReboot: {
    'is found anew: locking is tried until it succeeds': async () => {
      const b = await frontDoor();
      await b.lets(staff, 'front-in', { stays: true });
      b.door(front).misbehave({ stuck: 'unlocked' });
      await b.crash();
      await b.later('10 s');
      expect([isLocked(b), b.alarms()]).toEqual([false, ['lock-failed']]);
      b.door(front).misbehave({});
      await b.later('1 s');
      expect(isLocked(b)).toBe(true);
      expect(b.entries('alarm').at(-1)?.body).toMatchObject({ alarm: 'lock-failed', on: false });
    },
  },
  untrustedClock: {
    'is the same': async () => {
      const b = await frontDoor({ hall });
      b.untrustedClock();
      b.door(front).misbehave({ stuck: 'locked' });
      await b.tap(staff, 'front-in');
      b.stepClock('-1 h');
      b.door(front).misbehave({});
      await b.later('1 s');
      await b.lets(staff, 'front-in');
    },
  },
});
