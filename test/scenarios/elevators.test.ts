import { expect } from 'vitest';
import { type Building, building } from './building.ts';
import { rulesOf } from './rule.ts';

const rule = rulesOf('Doors');

const [resident, caretaker, visitor] = ['10234', '20001', '30001'];
const floors = ['1', '2', '3'];

/** An elevator of three floors, where holders have the floors of all their permissions that hold. */
function elevator({ rules = '', at = '2026-11-16 12:00' } = {}): Promise<Building> {
  return building({
    at,
    rules: `
      schedules: [{ id: hours, periods: [{ days: [mon], from: "12:05", to: "12:15" }] }]
      groups: [residents, caretakers, visitors]
      doors: [{ id: lift, ${rules} }]
      permissions:
        - { group: residents, door: lift, floors: ["1"] }
        - { group: residents, door: lift, floors: ["3"], schedule: hours }
        - { group: caretakers, door: lift }
        - { group: visitors, door: lift, floors: [roof] }`,
    holders: `user_number,groups
      ${resident},residents
      ${caretaker},caretakers
      ${visitor},visitors`,
    terminal: `
readers: [{ id: car, name: car, door: lift }]
doors:
  - id: lift
    strikeTime: 8 s
    hardware: { floors: { ${floors.map((floor) => `"${floor}": { kind: usb-relay, serial: QAAMZ, relay: ${floor} }`).join(', ')} } }
`,
  });
}

const free = (b: Building) => floors.filter((floor) => !b.door(`lift/${floor}`).wires().locked);

rule('elevator', {
  passes: {
    'to the floors of all permissions that hold, for strikeTime': async () => {
      const b = await elevator();
      await b.lets(resident, 'car', { stays: true });
      expect(free(b)).toEqual(['1']);
      await b.later('8 s');
      expect(free(b)).toEqual([]);
      await b.until('2026-11-16 12:05');
      await b.lets(resident, 'car', { stays: true });
      expect(free(b)).toEqual(['1', '3']);
      await b.lets(caretaker, 'car', { stays: true });
      expect(free(b)).toEqual(floors);
    },
    'where one floor obeys: the other is told': async () => {
      const b = await elevator({ at: '2026-11-16 12:05' });
      b.door('lift/3').misbehave({ stuck: 'locked' });
      await b.lets(resident, 'car', { stays: true });
      expect(free(b)).toEqual(['1']);
      const failed = b.entries('door').filter(({ body }) => body.event === 'unlock-failed');
      expect(failed.map(({ body }) => body)).toMatchObject([{ door: 'lift', floor: '3' }]);
    },
    'everybody to floors that are held free, each in its own mode': async () => {
      const b = await elevator({ rules: 'unlock: [{ schedule: hours, floors: ["2"] }]' });
      await b.until('2026-11-16 12:05');
      expect(free(b)).toEqual(['2']);
      await b.lets(resident, 'car', { stays: true });
      await b.later('8 s');
      expect(free(b)).toEqual(['2']);
    },
  },
  denies: {
    'whose permission names no floor here, and floors that none names': async () => {
      const b = await elevator();
      await b.turnsAway(visitor, 'car', 'no-permission');
      await b.refuses('99999', 'car', 'user-number-unknown');
      expect(free(b)).toEqual([]);
    },
  },
  afterReboot: {
    'no floor is free; holds go on': async () => {
      const b = await elevator({ rules: 'toggle: { groups: [residents] }' });
      await b.lets(caretaker, 'car', { stays: true });
      await b.crash();
      expect(free(b)).toEqual([]);
      await b.lets(resident, 'car', { stays: true });
      await b.reboot();
      expect(free(b)).toEqual(['1']);
    },
  },
  untrustedClock: {
    'is the same; schedules go by whileTimeUnknown of the door': async () => {
      for (const [whileTimeUnknown, freed] of [
        ['floor', ['1', '3']],
        ['deny', ['1']],
        ['unscheduled', ['1', '3']],
      ] as const) {
        const b = await elevator({
          rules: `whileTimeUnknown: ${whileTimeUnknown}`,
          at: whileTimeUnknown === 'unscheduled' ? '2026-11-16 12:00' : '2026-11-16 12:05',
        });
        b.untrustedClock();
        await b.lets(resident, 'car', { stays: true });
        expect(free(b), whileTimeUnknown).toEqual(freed);
      }
    },
  },
});
