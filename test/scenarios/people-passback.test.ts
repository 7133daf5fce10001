import { expect } from 'vitest';
import { guard, hana, ken, peopleSite, type SiteParts } from './people.ts';
import { rulesOf } from './rule.ts';
import { hardwareOf, smallBuilding } from './wiring.ts';

const rule = rulesOf('People and zones');

const tracked = (passback = 'mode: hard', parts: SiteParts = {}) =>
  peopleSite({ zones: `[{ id: hall }, { id: lab, passback: { ${passback} } }]`, ...parts });

rule('anti-passback by area', {
  passes: {
    'in and out by turns, and whoever was never seen': async () => {
      const b = await tracked();
      await b.lets(ken, 'lab-out');
      await b.lets(hana, 'lab-in');
      await b.lets(hana, 'lab-out');
      await b.lets(hana, 'lab-in');
    },
    'soft: whoever offends, and staff is told': async () => {
      const b = await tracked('mode: soft');
      expect((await b.lets(hana, 'lab-in')).alarms).toEqual([]);
      expect((await b.lets(hana, 'lab-in')).alarms).toEqual(['passback']);
      expect(b.alarms()).toEqual(['passback']);
    },
    'exempt groups': async () => {
      const b = await tracked('mode: hard, exempt: [guards]');
      await b.lets(guard, 'lab-in');
      await b.lets(guard, 'lab-in');
    },
    'whose entry is as old as forgiveAfter, or from before the last forgiveAt': async () => {
      const after = await tracked('mode: hard, forgiveAfter: 1 h');
      await after.lets(hana, 'lab-in');
      await after.later('59 min');
      await after.refuses(hana, 'lab-in', 'already-inside');
      await after.later('1 min');
      await after.lets(hana, 'lab-in');
      const at = await tracked('mode: hard, forgiveAt: "20:00"', { at: '2026-11-16 19:59' });
      await at.lets(hana, 'lab-in');
      await at.refuses(hana, 'lab-in', 'already-inside');
      await at.later('1 min');
      await at.lets(hana, 'lab-in');
      await at.refuses(hana, 'lab-in', 'already-inside');
    },
    'again, whose position somebody has reset': async () => {
      const b = await tracked();
      await b.lets(hana, 'lab-in');
      expect(await b.tell({ kind: 'reset-position', holder: hana })).toBe('done');
      await b.lets(hana, 'lab-in');
      await b.lets(ken, 'lab-in');
      expect(await b.tell({ kind: 'reset-zone', zone: 'lab' })).toBe('done');
      await b.crash();
      await b.lets(hana, 'lab-in');
      await b.lets(ken, 'lab-in');
      await b.refuses(ken, 'lab-in', 'already-inside');
    },
    'again, whoever was granted and did not go through, or whose door was not opened': async () => {
      const b = await tracked();
      await b.lets(hana, 'lab-in', { stays: true });
      await b.later('1 min');
      expect(b.entries('door').map(({ body }) => body.event)).toContain('granted-not-opened');
      await b.lets(hana, 'lab-in', { stays: true });
      await b.later('1 min');
      b.door('lab').misbehave({ lineGone: true });
      await b.tap(hana, 'lab-in');
      b.door('lab').misbehave({});
      await b.later('1 min');
      await b.lets(hana, 'lab-in');
      await b.refuses(hana, 'lab-in', 'already-inside');
    },
  },
  denies: {
    'again, whoever did not go through a door without a contact: each grant counts': async () => {
      const terminal = smallBuilding.replace(
        hardwareOf(2),
        '{ strike: { kind: usb-relay, serial: QAAMZ, relay: 2 } }',
      );
      const b = await tracked('mode: hard', { terminal });
      await b.lets(hana, 'lab-in', { stays: true });
      await b.later('1 min');
      await b.refuses(hana, 'lab-in', 'already-inside');
    },
    'to enter while inside, and to leave while somewhere else': async () => {
      const b = await tracked();
      await b.lets(hana, 'lab-in');
      await b.refuses(hana, 'lab-in', 'already-inside');
      await b.lets(hana, 'lab-out');
      await b.refuses(hana, 'lab-out', 'not-inside');
    },
    'again, though the door was forced or held open meanwhile': async () => {
      const b = await tracked();
      await b.lets(hana, 'lab-in');
      b.door('lab').force();
      await b.later('2 min');
      b.door('lab').close();
      await b.later('1 s');
      await b.refuses(hana, 'lab-in', 'already-inside');
    },
  },
  afterReboot: {
    'positions stay': async () => {
      const b = await tracked();
      await b.lets(hana, 'lab-in');
      await b.reboot();
      await b.refuses(hana, 'lab-in', 'already-inside');
      await b.lets(hana, 'lab-out');
      await b.crash();
      await b.refuses(hana, 'lab-out', 'not-inside');
    },
    'a crash between the grant and the opening leaves the holder moved': async () => {
      const b = await tracked();
      b.door('lab').misbehave({ slowMs: 1_000 });
      await expect(b.tap(hana, 'lab-in')).rejects.toThrow('the tap has not ended');
      await b.crash({ meanwhile: () => b.door('lab').misbehave({}) });
      expect(b.entries('decision').map(({ body }) => body.result)).toEqual(['granted']);
      expect([b.entries('actuation'), b.door('lab').wires().locked]).toEqual([[], true]);
      await b.refuses(hana, 'lab-in', 'already-inside');
    },
    'a crash once the strike has moved leaves it locked, and the holder moved': async () => {
      const b = await tracked();
      await b.lets(hana, 'lab-in', { stays: true });
      await b.crash();
      await b.refuses(hana, 'lab-in', 'already-inside');
    },
    'forgiveAfter counts the time without power, by trusted clocks': async () => {
      const b = await tracked('mode: hard, forgiveAfter: 1 h');
      await b.lets(hana, 'lab-in');
      await b.crash({ off: '58 min' });
      await b.refuses(hana, 'lab-in', 'already-inside');
      await b.later('2 min');
      await b.lets(hana, 'lab-in');
    },
  },
  untrustedClock: {
    'forgiveAfter counts what has surely passed': async () => {
      const b = await tracked('mode: hard, forgiveAfter: 1 h');
      await b.lets(hana, 'lab-in');
      b.untrustedClock();
      b.stepClock('2 h');
      await b.refuses(hana, 'lab-in', 'already-inside');
      await b.crash({ clock: '2026-11-17 12:00' });
      await b.later('59 min');
      await b.refuses(hana, 'lab-in', 'already-inside');
      await b.later('1 min');
      await b.lets(hana, 'lab-in');
    },
    'forgiveAt waits for a trusted clock': async () => {
      const b = await tracked('mode: hard, forgiveAt: "20:00"', { at: '2026-11-16 19:59' });
      await b.lets(hana, 'lab-in');
      b.untrustedClock();
      await b.later('2 min');
      await b.refuses(hana, 'lab-in', 'already-inside');
      b.trustedClock();
      await b.lets(hana, 'lab-in');
    },
  },
});

const reentry = (parts: SiteParts = {}) =>
  peopleSite({ front: 'reentry: { after: 10 min, exempt: [guards] }', ...parts });

/** With a second door into the lab, and one within it. */
const byZone = () =>
  peopleSite({
    zones: '[{ id: hall }, { id: lab, reentry: { after: 10 min } }]',
    terminal: smallBuilding.replace(
      'readers:',
      `readers:
  - { id: side, name: side, door: front, from: hall, to: lab }
  - { id: cabinet, name: cabinet, door: lab, from: lab, to: lab }`,
    ),
  });

rule('timed anti-passback', {
  passes: {
    'the other way, other people, and the same way once the time has passed': async () => {
      const b = await reentry();
      await b.lets(hana, 'front-in');
      await b.lets(hana, 'front-out');
      await b.lets(ken, 'front-in');
      await b.later('10 min');
      await b.lets(hana, 'front-in');
    },
    'at readers within the zone': async () => {
      const b = await byZone();
      await b.lets(hana, 'lab-in');
      await b.lets(hana, 'cabinet');
      await b.lets(hana, 'cabinet');
    },
    'exempt groups': async () => {
      const b = await reentry();
      await b.lets(guard, 'front-in');
      await b.lets(guard, 'front-in');
    },
    'again, whoever was granted and did not go through': async () => {
      const b = await reentry();
      await b.lets(hana, 'front-in', { stays: true });
      await b.later('6 s');
      await b.lets(hana, 'front-in');
    },
  },
  denies: {
    'the same way through the door too soon': async () => {
      const b = await reentry();
      await b.lets(hana, 'front-in');
      await b.later('9 min');
      await b.refuses(hana, 'front-in', 'too-soon');
    },
    'into the zone too soon by any door, whoever has left it meanwhile': async () => {
      const b = await byZone();
      await b.lets(hana, 'lab-in');
      await b.lets(hana, 'lab-out');
      await b.refuses(hana, 'lab-in', 'too-soon');
      await b.refuses(hana, 'side', 'too-soon');
    },
  },
  afterReboot: {
    'the time counts on by trusted clocks': async () => {
      const b = await reentry();
      await b.lets(hana, 'front-in');
      await b.crash({ off: '9 min' });
      await b.refuses(hana, 'front-in', 'too-soon');
      await b.reboot();
      await b.lets(hana, 'front-in');
    },
  },
  untrustedClock: {
    'only what has surely passed counts: after a reboot, from its start': async () => {
      const b = await reentry();
      await b.lets(hana, 'front-in');
      b.untrustedClock();
      b.stepClock('1 h');
      await b.refuses(hana, 'front-in', 'too-soon');
      await b.crash({ off: '1 h', clock: '2026-11-16 15:00' });
      await b.later('9 min');
      await b.refuses(hana, 'front-in', 'too-soon');
      await b.later('1 min');
      await b.lets(hana, 'front-in');
    },
  },
});
