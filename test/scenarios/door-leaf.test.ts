import { expect } from 'vitest';
import { colleague, eventsAt, front, frontDoor, isLocked, leaf, slow, staff } from './front-door.ts';
import { rulesOf } from './rule.ts';

const rule = rulesOf('Doors');

rule('time of a grant', {
  passes: {
    'for strikeTime, or longer who needs it; what is asked meanwhile lengthens it': async () => {
      const b = await frontDoor({ settings: 'strikeTime: 3 s, longerStrikeTime: 8 s' });
      await b.lets(staff, 'front-in', { stays: true });
      await b.later('2 s');
      await b.lets(colleague, 'front-in', { stays: true });
      await b.later('2 s');
      expect(isLocked(b)).toBe(false);
      await b.later('1 s');
      expect(isLocked(b)).toBe(true);
      await b.lets(slow, 'front-in', { stays: true });
      await b.later('1 s');
      await b.lets(staff, 'front-in', { stays: true });
      await b.later('6 s');
      expect(isLocked(b), 'shortened by a grant of others').toBe(false);
    },
  },
  denies: {
    'a second time who was granted, where no contact tells whether they went through': async () => {
      const hardware = '{ strike: { kind: usb-relay, serial: QAAMZ, relay: 1 } }';
      const b = await frontDoor({ hardware, hall: 'passback: { mode: hard }' });
      await b.lets(staff, 'front-in', { stays: true });
      await b.later('4999 ms');
      expect(isLocked(b)).toBe(false);
      await b.later('1 s');
      await b.refuses(staff, 'front-in', 'already-inside');
      b.door(front).force();
      await b.later('1 min');
      expect(b.alarms()).toEqual([]);
    },
    'whoever comes after it; who did not open is told': async () => {
      const b = await frontDoor({ settings: 'strikeTime: 3 s' });
      const { tapId } = await b.lets(staff, 'front-in', { stays: true });
      await b.later('2999 ms');
      expect(isLocked(b)).toBe(false);
      await b.later('1 s');
      expect(b.door(front).push()).toBe(false);
      expect(eventsAt(b)).toEqual(['relocked', 'granted-not-opened']);
      expect(b.entries('door').at(-1)?.tapId).toBe(tapId);
    },
  },
  afterReboot: {
    'is over: the door is locked': async () => {
      const b = await frontDoor({ settings: 'strikeTime: 2 min' });
      await b.lets(staff, 'front-in', { stays: true });
      await b.crash({ off: '1 s' });
      expect(isLocked(b)).toBe(true);
    },
  },
  untrustedClock: {
    'is the same: no step makes it longer or shorter': async () => {
      const b = await frontDoor({ settings: 'strikeTime: 3 s' });
      b.untrustedClock();
      await b.lets(staff, 'front-in', { stays: true });
      b.stepClock('-1 h');
      await b.later('2900 ms');
      expect(isLocked(b)).toBe(false);
      await b.later('100 ms');
      expect(isLocked(b)).toBe(true);
    },
  },
});

rule('relock', {
  passes: {
    'until the leaf has closed, however often it opened, and one that began meanwhile for its time':
      async () => {
        const b = await frontDoor({ settings: 'strikeTime: 20 s' });
        await b.lets(staff, 'front-in', { stays: true });
        await leaf(b, 'open');
        expect(isLocked(b)).toBe(false);
        await leaf(b, 'closed');
        expect(isLocked(b)).toBe(true);
        await b.lets(staff, 'front-in', { stays: true });
        await leaf(b, 'open');
        await b.lets(colleague, 'front-in', { stays: true });
        await leaf(b, 'closed');
        expect(isLocked(b)).toBe(false);
        await b.later('20 s');
        expect(isLocked(b)).toBe(true);
      },
  },
  denies: {
    'a second person once the first has closed, or opened, the leaf': async () => {
      const b = await frontDoor({ settings: 'strikeTime: 20 s, relock: on-open' });
      await b.lets(staff, 'front-in', { stays: true });
      await leaf(b, 'open');
      expect(isLocked(b)).toBe(true);
      await leaf(b, 'closed');
      expect(b.door(front).push()).toBe(false);
      expect(eventsAt(b)).toEqual(['opened', 'relocked', 'closed']);
    },
  },
  afterReboot: {
    'locks a door whose leaf stands open': async () => {
      const b = await frontDoor({ settings: 'strikeTime: 20 s' });
      await b.lets(staff, 'front-in', { stays: true });
      await leaf(b, 'open');
      await b.reboot();
      expect(isLocked(b)).toBe(true);
    },
  },
  untrustedClock: {
    'is the same': async () => {
      const b = await frontDoor();
      b.untrustedClock();
      b.stepClock('3 h');
      await b.lets(staff, 'front-in');
      expect(isLocked(b)).toBe(true);
    },
  },
});

rule('opening and closing', {
  passes: {
    'whose hand was on the leaf as it relocked; a leaf that bounces has not closed': async () => {
      const b = await frontDoor({ settings: 'closeSettle: 300 ms, openGrace: 1 s' });
      await b.lets(staff, 'front-in', { stays: true });
      await b.later('5 s');
      b.door(front).force();
      await b.later('1 s');
      b.door(front).close();
      await b.later('200 ms');
      b.door(front).force();
      await b.later('200 ms');
      expect(eventsAt(b)).toEqual(['relocked', 'opened']);
      b.door(front).close();
      await b.later('300 ms');
      expect(eventsAt(b).at(-1)).toBe('closed');
      expect(b.alarms()).toEqual([]);
    },
  },
  denies: {
    'whoever opens later than that': async () => {
      const b = await frontDoor({ settings: 'openGrace: 1 s' });
      await b.lets(staff, 'front-in', { stays: true });
      await b.later('6100 ms');
      b.door(front).force();
      await b.later('100 ms');
      expect(b.alarms()).toEqual(['forced-open']);
    },
  },
  afterReboot: {
    'a leaf found open was opened by nobody known': async () => {
      const b = await frontDoor();
      await b.lets(staff, 'front-in', { stays: true });
      await leaf(b, 'open');
      await b.crash();
      await leaf(b, 'closed');
      expect(eventsAt(b)).toEqual(['opened', 'open-at-start', 'closed']);
      expect(b.alarms()).toEqual([]);
    },
  },
  untrustedClock: {
    'is the same': async () => {
      const b = await frontDoor({ settings: 'openGrace: 1 s' });
      b.untrustedClock();
      await b.lets(staff, 'front-in', { stays: true });
      await b.later('5500 ms');
      b.stepClock('-1 h');
      b.door(front).force();
      await b.later('100 ms');
      expect(b.alarms()).toEqual([]);
    },
  },
});

rule('held open', {
  passes: {
    'while the door is held unlocked, and for its time from then on': async () => {
      const b = await frontDoor({ rules: 'unlock: [{ schedule: hours }]', settings: 'preAlarm: 0 ms' });
      await b.until('2026-11-16 12:06');
      await leaf(b, 'open');
      await b.until('2026-11-16 12:15');
      await b.later('29 s');
      expect(b.alarms()).toEqual([]);
      await b.later('1 s');
      expect(b.alarms(), 'without a warning').toEqual(['held-open']);
    },
    'for its time, longer for who needs it, and anew from each grant': async () => {
      const b = await frontDoor({ settings: 'longerHeldOpenAfter: 60 s' });
      await b.lets(staff, 'front-in', { stays: true });
      await leaf(b, 'open');
      await b.later('15 s');
      await b.lets(colleague, 'front-in', { stays: true });
      await b.later('15 s');
      expect(b.alarms()).toEqual([]);
      await leaf(b, 'closed');
      await b.lets(slow, 'front-in', { stays: true });
      await leaf(b, 'open');
      await b.later('45 s');
      expect(b.alarms()).toEqual([]);
    },
  },
  denies: {
    'whoever leaves it open longer: a warning, then the alarm until it is closed': async () => {
      const b = await frontDoor();
      await b.lets(staff, 'front-in', { stays: true });
      await leaf(b, 'open');
      await b.later('20 s');
      expect(b.alarms()).toEqual(['held-open-pre-alarm']);
      await b.later('10 s');
      expect(b.alarms()).toEqual(['held-open-pre-alarm', 'held-open']);
      await leaf(b, 'closed');
      expect(b.entries('alarm').at(-1)?.body).toMatchObject({ alarm: 'held-open', on: false });
      expect(eventsAt(b)).toContain('held-open-ended');
    },
  },
  afterReboot: {
    'counts anew': async () => {
      const b = await frontDoor();
      await b.lets(staff, 'front-in', { stays: true });
      await leaf(b, 'open');
      await b.later('15 s');
      await b.reboot({ off: '1 s' });
      await b.later('19 s');
      expect(b.alarms()).toEqual([]);
      await b.later('11 s');
      expect(b.alarms()).toEqual(['held-open-pre-alarm', 'held-open']);
    },
  },
  untrustedClock: {
    'is the same: no step alarms, or keeps the alarm from coming': async () => {
      const b = await frontDoor();
      b.untrustedClock();
      await b.lets(staff, 'front-in', { stays: true });
      await leaf(b, 'open');
      b.stepClock('1 h');
      await b.later('15 s');
      expect(b.alarms()).toEqual([]);
      b.stepClock('-5 h');
      await b.later('15 s');
      expect(b.alarms()).toContain('held-open');
    },
  },
});

rule('forced open', {
  passes: {
    'whoever opens by a grant, an exit request or under a hold, without an alarm': async () => {
      const b = await frontDoor({ rules: 'unlock: [{ schedule: hours }]' });
      await b.lets(staff, 'front-in');
      b.door(front).pressExit(true);
      b.door(front).pressExit(false);
      await b.later('1 s');
      await leaf(b, 'open');
      await leaf(b, 'closed');
      await b.until('2026-11-16 12:06');
      await leaf(b, 'open');
      await leaf(b, 'closed');
      expect(eventsAt(b).filter((event) => event === 'opened')).toHaveLength(3);
      expect(b.alarms()).toEqual([]);
    },
  },
  denies: {
    'whoever breaks it open: an alarm until it is closed, which moves nobody': async () => {
      const b = await frontDoor();
      b.door(front).force();
      await b.later('1 s');
      expect(b.alarms()).toEqual(['forced-open']);
      await b.later('2 min');
      expect(b.shown('front-in')).toBe('alarm');
      await leaf(b, 'closed');
      expect(b.entries('alarm').map(({ body }) => body.on)).toEqual([true, false]);
      expect(eventsAt(b)).toEqual(['forced-open', 'closed', 'forced-open-ended']);
    },
  },
  afterReboot: {
    'is not known of a leaf found open, which counts towards held-open': async () => {
      const b = await frontDoor();
      b.door(front).force();
      await b.later('1 s');
      await b.crash();
      await b.later('30 s');
      expect(b.alarms()).toEqual(['forced-open', 'held-open-pre-alarm', 'held-open']);
      expect(eventsAt(b)).toContain('open-at-start');
    },
  },
  untrustedClock: {
    'is the same': async () => {
      const b = await frontDoor();
      b.untrustedClock();
      b.door(front).force();
      await b.later('1 s');
      expect(b.alarms()).toEqual(['forced-open']);
    },
  },
});
