import { expect } from 'vitest';
import type { Building } from './building.ts';
import { colleague, eventsAt, front, frontDoor, isLocked, staff } from './front-door.ts';
import { rulesOf } from './rule.ts';

const rule = rulesOf('Doors');

const input = (line: number) => `{ chip: main, line: ${line}, active: high }`;
const hardware = `{ ${[
  'strike: { kind: usb-relay, serial: QAAMZ, relay: 1 }',
  `contact: ${input(10)}`,
  `exitRequest: ${input(11)}`,
  `obstruction: ${input(12)}`,
  `passage: ${input(13)}`,
].join(', ')} }`;
const hall = 'passback: { mode: hard }';

/** Somebody walks through the gate, if it is open or not. */
async function pass(b: Building): Promise<void> {
  b.door(front).pass(true);
  b.door(front).pass(false);
  await b.later('100 ms');
}

rule('gate', {
  passes: {
    'as many as were granted, and closes behind the last of them': async () => {
      const b = await frontDoor({ hardware, hall });
      const first = await b.lets(staff, 'front-in', { stays: true });
      const second = await b.lets(colleague, 'front-in', { stays: true });
      await pass(b);
      expect(isLocked(b)).toBe(false);
      await pass(b);
      expect(isLocked(b)).toBe(true);
      const passages = b.entries('door').filter(({ body }) => body.event === 'passed');
      expect(passages.map(({ tapId }) => tapId)).toEqual([first.tapId, second.tapId]);
      await b.refuses(staff, 'front-in', 'already-inside');
      expect(b.alarms()).toEqual([]);
    },
    'everybody under a hold, and behind an exit request': async () => {
      const b = await frontDoor({ hardware, rules: 'unlock: [{ schedule: hours }]' });
      b.door(front).pressExit(true);
      b.door(front).pressExit(false);
      await b.later('1 s');
      await pass(b);
      await pass(b);
      await b.until('2026-11-16 12:06');
      await pass(b);
      const passages = b.entries('door').filter(({ body }) => body.event === 'passed');
      expect(passages.map(({ body }) => body.by)).toEqual(['exit-request', 'exit-request', 'hold']);
      expect(b.alarms()).toEqual([]);
    },
  },
  denies: {
    'whoever slips through behind them: an alarm of 10 s': async () => {
      const b = await frontDoor({ hardware });
      await b.lets(staff, 'front-in', { stays: true });
      await pass(b);
      await pass(b);
      expect(b.alarms()).toEqual(['tailgated']);
      await b.later('10 s');
      expect(b.entries('alarm').at(-1)?.body).toMatchObject({ alarm: 'tailgated', on: false });
    },
    'a place inside to who was granted and did not pass, behind those who did': async () => {
      const b = await frontDoor({ hardware, hall });
      await b.lets(staff, 'front-in', { stays: true });
      const second = await b.lets(colleague, 'front-in', { stays: true });
      await pass(b);
      await b.later('6 s');
      expect(isLocked(b)).toBe(true);
      expect(b.entries('door').at(-1)).toMatchObject({
        tapId: second.tapId,
        body: { event: 'granted-not-opened' },
      });
      await b.lets(colleague, 'front-in', { stays: true });
    },
  },
  afterReboot: {
    'who had not passed yet counts as having passed': async () => {
      const b = await frontDoor({ hardware, hall });
      await b.lets(staff, 'front-in', { stays: true });
      await b.crash();
      await b.refuses(staff, 'front-in', 'already-inside');
      await b.lets(colleague, 'front-in', { stays: true });
      await b.reboot();
      await b.refuses(colleague, 'front-in', 'already-inside');
      await pass(b);
      expect(b.alarms()).toEqual(['tailgated']);
    },
  },
  untrustedClock: {
    'is the same': async () => {
      const b = await frontDoor({ hardware, hall });
      b.untrustedClock();
      await b.lets(staff, 'front-in', { stays: true });
      b.stepClock('-1 h');
      await pass(b);
      expect(isLocked(b)).toBe(true);
      await b.refuses(staff, 'front-in', 'already-inside');
    },
  },
});

rule('obstruction of a gate', {
  passes: {
    'whoever stands in it as its time is over': async () => {
      const b = await frontDoor({ hardware });
      await b.lets(staff, 'front-in', { stays: true });
      b.door(front).obstruct(true);
      await b.later('15 s');
      expect(isLocked(b)).toBe(false);
      expect(b.alarms()).toEqual([]);
      b.door(front).obstruct(false);
      await b.later('100 ms');
      expect(isLocked(b)).toBe(true);
    },
  },
  denies: {
    'whoever keeps it open, and who comes behind: alarms, and it closes once it is clear': async () => {
      const b = await frontDoor({ hardware, settings: 'obstructedAfter: 10 s' });
      await b.lets(staff, 'front-in', { stays: true });
      await pass(b);
      expect(isLocked(b)).toBe(true);
      await b.lets(colleague, 'front-in', { stays: true });
      b.door(front).obstruct(true);
      await pass(b);
      await b.later('9 s');
      expect([isLocked(b), b.alarms()]).toEqual([false, []]);
      await b.later('1 s');
      expect([isLocked(b), b.alarms()]).toEqual([false, ['obstructed']]);
      await pass(b);
      expect(b.alarms()).toEqual(['obstructed', 'tailgated']);
      b.door(front).obstruct(false);
      await b.later('100 ms');
      expect(isLocked(b)).toBe(true);
      expect(eventsAt(b)).toContain('obstructed-ended');
    },
  },
  afterReboot: {
    'is closed, whoever stands in it': async () => {
      const b = await frontDoor({ hardware });
      await b.lets(staff, 'front-in', { stays: true });
      b.door(front).obstruct(true);
      await b.later('6 s');
      await b.reboot();
      expect(isLocked(b)).toBe(true);
      await b.lets(colleague, 'front-in', { stays: true });
      await b.later('6 s');
      expect(isLocked(b), 'who stands there still').toBe(false);
    },
  },
  untrustedClock: {
    'is the same': async () => {
      const b = await frontDoor({ hardware });
      b.untrustedClock();
      await b.lets(staff, 'front-in', { stays: true });
      b.door(front).obstruct(true);
      b.stepClock('1 h');
      await b.later('19 s');
      expect([isLocked(b), b.alarms()]).toEqual([false, []]);
      b.stepClock('-3 h');
      await b.later('1 s');
      expect(b.alarms()).toEqual(['obstructed']);
    },
  },
});
