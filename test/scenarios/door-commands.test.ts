import { expect } from 'vitest';
import { eventsAt, front, frontDoor, isLocked, reception, staff } from './front-door.ts';
import { rulesOf } from './rule.ts';

const rule = rulesOf('Doors');

const hold = (seconds: number) => ({ kind: 'hold', door: front, seconds }) as const;
const until = (local: string) =>
  ({ kind: 'hold', door: front, untilMs: Date.parse(`${local}+09:00`) }) as const;
const resume = { kind: 'resume', door: front } as const;

rule('hold by command', {
  passes: {
    'everybody for some time, or until a moment, whatever the policy says': async () => {
      const b = await frontDoor();
      expect(await b.tell(hold(300))).toBe('done');
      await b.later('4 min');
      expect(isLocked(b)).toBe(false);
      await b.later('1 min');
      expect(isLocked(b)).toBe(true);
      expect(await b.tell(until('2026-11-16T12:10:00'))).toBe('done');
      await b.until('2026-11-16 12:09:59');
      expect(isLocked(b)).toBe(false);
      await b.later('1 s');
      expect(isLocked(b)).toBe(true);
      expect(b.entries('command').map(({ body }) => body.outcome)).toEqual([
        'accepted',
        'done',
        'accepted',
        'done',
      ]);
      expect(b.entries('door').map(({ body }) => body.hold)).toContain('command');
    },
    'until `resume`, which ends what a card holds too; a card does not end it': async () => {
      const b = await frontDoor({ rules: 'toggle: { groups: [reception] }' });
      await b.lets(reception, 'front-in', { stays: true });
      expect(await b.tell(hold(300))).toBe('done');
      await b.tap(reception, 'front-in');
      await b.later('1 min');
      expect(isLocked(b)).toBe(false);
      await b.lets(reception, 'front-in', { stays: true });
      expect(await b.tell(resume)).toBe('done');
      await b.later('1 min');
      expect(isLocked(b)).toBe(true);
    },
  },
  denies: {
    'in fire, evacuation and lockdown, and with the housing open': async () => {
      const tamper =
        '{ strike: { kind: usb-relay, serial: QAAMZ, relay: 1 }, tamper: { chip: main, line: 12, active: high } }';
      const b = await frontDoor({ hardware: tamper });
      for (const condition of ['fire', 'evacuation', 'lockdown'] as const) {
        await b.input(condition, 'on');
        expect(await b.tell(hold(300))).toBe(condition);
        await b.input(condition, 'off');
      }
      b.door(front).tamper(true);
      await b.later('1 s');
      expect(await b.tell(hold(300))).toBe('tampered');
      await b.later('1 min');
      expect(isLocked(b)).toBe(true);
    },
    'while a lockdown interrupts it': async () => {
      const b = await frontDoor();
      expect(await b.tell(hold(300))).toBe('done');
      await b.input('lockdown', 'on');
      expect(isLocked(b)).toBe(true);
      await b.refuses(staff, 'front-in', 'lockdown');
      await b.input('lockdown', 'off');
      expect(isLocked(b)).toBe(false);
      expect(eventsAt(b)).toEqual(expect.arrayContaining(['held-unlocked', 'hold-ended', 'lockdown']));
    },
  },
  afterReboot: {
    'for some time is over, until a moment goes on': async () => {
      const b = await frontDoor();
      expect(await b.tell(hold(3_600))).toBe('done');
      await b.crash();
      expect(isLocked(b)).toBe(true);
      expect(await b.tell(until('2026-11-16T13:00:00'))).toBe('done');
      await b.crash();
      expect(isLocked(b)).toBe(false);
      await b.reboot({ off: '2 h' });
      expect(isLocked(b)).toBe(true);
    },
  },
  untrustedClock: {
    'for some time is the same; until a moment holds nothing': async () => {
      const b = await frontDoor();
      expect(await b.tell(until('2026-11-16T13:00:00'))).toBe('done');
      b.untrustedClock();
      await b.later('1 min');
      expect(isLocked(b)).toBe(true);
      expect(await b.tell(until('2026-11-16T13:00:00'))).toBe('time-unknown');
      expect(await b.tell(hold(300))).toBe('done');
      b.stepClock('10 h');
      await b.later('4 min');
      expect(isLocked(b)).toBe(false);
      b.stepClock('-20 h');
      await b.later('1 min');
      expect(isLocked(b)).toBe(true);
    },
  },
});
