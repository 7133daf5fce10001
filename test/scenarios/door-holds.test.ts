import { expect } from 'vitest';
import {
  colleague,
  eventsAt,
  front,
  frontDoor,
  guard,
  isLocked,
  leaf,
  reception,
  staff,
} from './front-door.ts';
import { rulesOf } from './rule.ts';

const rule = rulesOf('Doors');

rule('unlock schedule', {
  passes: {
    'everybody while it is in force; the door may stand open': async () => {
      const b = await frontDoor({ rules: 'unlock: [{ schedule: hours }]' });
      expect(isLocked(b)).toBe(true);
      await b.until('2026-11-16 12:05');
      expect(isLocked(b)).toBe(false);
      b.door(front).push();
      await b.until('2026-11-16 12:14');
      b.door(front).close();
      await b.until('2026-11-16 12:14:59');
      expect(isLocked(b)).toBe(false);
      await b.later('1 s');
      expect(isLocked(b)).toBe(true);
      expect(b.alarms()).toEqual([]);
      expect(b.entries('door').map(({ body }) => body)).toMatchObject([
        { event: 'held-unlocked', hold: 'schedule' },
        { event: 'opened', by: 'hold' },
        { event: 'closed' },
        { event: 'relocked', by: 'hold' },
        { event: 'hold-ended', hold: 'schedule' },
      ]);
    },
    'once somebody of the groups has come in, for that period': async () => {
      const b = await frontDoor({ rules: 'unlock: [{ schedule: hours, afterFirstOf: [staff] }]' });
      await b.until('2026-11-16 12:06');
      await b.lets(staff, 'front-in', { stays: true });
      b.door(front).push();
      await b.later('1 s');
      b.door(front).close();
      await b.later('1 min');
      expect(isLocked(b)).toBe(false);
      await b.until('2026-11-16 12:21');
      expect(isLocked(b), 'the next period').toBe(true);
    },
  },
  denies: {
    'who has no card, outside of it and before the first has come in': async () => {
      const b = await frontDoor({ rules: 'unlock: [{ schedule: hours, afterFirstOf: [staff] }]' });
      await b.lets(staff, 'front-in');
      await b.until('2026-11-16 12:06');
      expect(b.door(front).push(), 'who came before it began').toBe(false);
      await b.lets(reception, 'front-in');
      await b.later('1 min');
      expect(b.door(front).push(), 'somebody of another group').toBe(false);
      await b.lets(colleague, 'front-out');
      await b.later('1 min');
      expect(b.door(front).push(), 'who left').toBe(false);
      await b.lets(colleague, 'front-in', { stays: true });
      await b.later('1 min');
      expect(b.door(front).push(), 'who did not come in').toBe(false);
    },
  },
  afterReboot: {
    'goes on, and who came first stands': async () => {
      const b = await frontDoor({
        rules: 'unlock: [{ schedule: hours, afterFirstOf: [staff] }]',
        at: '2026-11-16 12:06',
      });
      await b.lets(staff, 'front-in', { stays: true });
      b.door(front).push();
      await b.later('1 min');
      b.door(front).close();
      await b.reboot();
      expect(isLocked(b)).toBe(false);
      await b.crash();
      expect(isLocked(b)).toBe(false);
    },
  },
  untrustedClock: {
    'holds nothing, and nobody counts as the first': async () => {
      const b = await frontDoor({
        rules: 'unlock: [{ schedule: hours, afterFirstOf: [staff] }]',
        at: '2026-11-16 12:06',
      });
      b.untrustedClock();
      await b.lets(staff, 'front-in');
      b.trustedClock();
      await b.later('1 min');
      expect(isLocked(b), 'nobody was first').toBe(true);
      await b.lets(staff, 'front-in', { stays: true });
      b.door(front).push();
      await b.later('1 min');
      b.door(front).close();
      expect(isLocked(b)).toBe(false);
      b.untrustedClock();
      await b.later('1 min');
      expect(isLocked(b)).toBe(true);
    },
  },
});

const toggle = 'toggle: { groups: [reception], schedule: hours }';

rule('toggle', {
  passes: {
    'who ends a hold, whatever is asked of those who pass; that moves nobody': async () => {
      const b = await frontDoor({
        rules: 'toggle: { groups: [reception] }, reentry: { after: 1 h }',
        hall: 'passback: { mode: hard }',
      });
      await b.lets(reception, 'front-in', { stays: true });
      await leaf(b, 'open');
      await leaf(b, 'closed');
      await b.later('1 min');
      expect(isLocked(b)).toBe(false);
      await b.tap(reception, 'front-in');
      expect(isLocked(b)).toBe(true);
      await b.refuses(reception, 'front-in', 'already-inside');

      const full = await frontDoor({
        rules: 'toggle: { groups: [reception] }, timedHold: { groups: [staff], for: 1 h }',
        hall: 'occupancy: { limit: 1 }',
      });
      await full.lets(staff, 'front-in', { stays: true });
      await leaf(full, 'open');
      await leaf(full, 'closed');
      await full.tap(reception, 'front-in');
      expect(isLocked(full)).toBe(true);
      await full.refuses(reception, 'front-in', 'zone-full');
    },
    'everybody from one card to the next, which lets nobody through': async () => {
      const b = await frontDoor({ rules: toggle, at: '2026-11-16 12:06' });
      await b.lets(reception, 'front-in', { stays: true });
      await b.later('5 min');
      expect(isLocked(b)).toBe(false);
      const { tapId, result } = await b.tap(reception, 'front-in');
      expect(result).toBe('granted');
      expect(isLocked(b)).toBe(true);
      const actuation = b.entries('actuation').find((entry) => entry.tapId === tapId);
      expect(actuation?.body).toMatchObject({ result: 'locked' });
      expect(b.entries('door').map(({ body }) => body)).toContainEqual(
        expect.objectContaining({ event: 'held-unlocked', hold: 'toggle' }),
      );
    },
    'until its schedule ends, whose next period begins none': async () => {
      const b = await frontDoor({ rules: toggle, at: '2026-11-16 12:06' });
      await b.lets(reception, 'front-in', { stays: true });
      await b.until('2026-11-16 12:15');
      expect(isLocked(b)).toBe(true);
      await b.until('2026-11-16 12:21');
      expect(isLocked(b)).toBe(true);
    },
  },
  denies: {
    'a hold to cards of others, outside its schedule, and in lockdown': async () => {
      const b = await frontDoor({ rules: 'toggle: { groups: [reception, guards], schedule: hours }' });
      await b.lets(reception, 'front-in');
      await b.until('2026-11-16 12:05');
      await b.lets(staff, 'front-in');
      await b.later('1 min');
      expect(isLocked(b)).toBe(true);
      await b.input('lockdown', 'on');
      await b.refuses(reception, 'front-in', 'lockdown');
      await b.lets(guard, 'front-in');
      await b.input('lockdown', 'off');
      expect(eventsAt(b)).not.toContain('held-unlocked');
    },
  },
  afterReboot: {
    'goes on': async () => {
      const b = await frontDoor({ rules: toggle, at: '2026-11-16 12:06' });
      await b.lets(reception, 'front-in', { stays: true });
      await b.reboot();
      expect(isLocked(b)).toBe(false);
      await b.crash();
      expect(isLocked(b)).toBe(false);
      await b.tap(reception, 'front-in');
      await b.reboot();
      expect(isLocked(b)).toBe(true);
    },
  },
  untrustedClock: {
    'is the same; its schedule goes by whileTimeUnknown of the door': async () => {
      const b = await frontDoor({ rules: 'toggle: { groups: [reception] }' });
      b.untrustedClock();
      await b.lets(reception, 'front-in', { stays: true });
      b.stepClock('-10 h');
      await b.later('2 min');
      expect(isLocked(b)).toBe(false);

      const deny = await frontDoor({
        rules: `${toggle}, whileTimeUnknown: deny`,
        at: '2026-11-16 12:06',
      });
      await deny.lets(reception, 'front-in', { stays: true });
      deny.untrustedClock();
      await deny.later('1 min');
      expect(isLocked(deny)).toBe(true);
      await deny.lets(reception, 'front-in');
    },
  },
});

const timedHold = 'timedHold: { groups: [reception], for: 10 min }';

rule('timed hold', {
  passes: {
    'everybody for its time from the last card that asked for it': async () => {
      const b = await frontDoor({ rules: timedHold });
      await b.lets(reception, 'front-in', { stays: true });
      await b.later('6 min');
      await b.lets(reception, 'front-in', { stays: true });
      await b.later('9 min');
      expect(isLocked(b)).toBe(false);
      await b.later('1 min');
      expect(isLocked(b)).toBe(true);
      expect(b.entries('door').map(({ body }) => body)).toContainEqual(
        expect.objectContaining({ event: 'held-unlocked', hold: 'timed-hold' }),
      );
    },
  },
  denies: {
    'a hold to cards of others and in lockdown': async () => {
      const b = await frontDoor({ rules: 'timedHold: { groups: [reception, guards], for: 10 min }' });
      await b.lets(staff, 'front-in');
      expect(isLocked(b)).toBe(true);
      await b.input('lockdown', 'on');
      await b.refuses(reception, 'front-in', 'lockdown');
      await b.lets(guard, 'front-in');
      await b.input('lockdown', 'off');
      await b.later('1 min');
      expect(isLocked(b)).toBe(true);
    },
  },
  afterReboot: {
    'is over': async () => {
      const b = await frontDoor({ rules: timedHold });
      await b.lets(reception, 'front-in', { stays: true });
      await b.later('1 min');
      await b.restart();
      expect(isLocked(b), 'the program alone has started again').toBe(false);
      await b.crash({ off: '10 s' });
      await b.later('1 min');
      expect(isLocked(b)).toBe(true);
    },
  },
  untrustedClock: {
    'is the same: no step makes it longer or shorter': async () => {
      const b = await frontDoor({ rules: timedHold });
      b.untrustedClock();
      await b.lets(reception, 'front-in', { stays: true });
      b.stepClock('1 h');
      await b.later('9 min');
      expect(isLocked(b)).toBe(false);
      b.stepClock('-5 h');
      await b.later('1 min');
      expect(isLocked(b)).toBe(true);
    },
  },
});
