import { expect } from 'vitest';
import { chief, guard, guest, hana, ken, peopleRules, peopleSite } from './people.ts';
import { rulesOf } from './rule.ts';
import { smallBuilding } from './wiring.ts';

const rule = rulesOf('People and zones');

const byZone = (whileTimeUnknown = 'floor', at = '2026-11-16 17:59:50') =>
  peopleSite({
    at,
    lab: `whileTimeUnknown: ${whileTimeUnknown}`,
    permissions: `
        - { group: staff, zone: hall }
        - { group: staff, zone: lab, schedule: evening }`,
  });

rule('permission by zone', {
  passes: {
    'every reader that leads to the zone': async () => {
      const b = await byZone();
      await b.lets(hana, 'front-in');
      await b.lets(hana, 'lab-out');
      await b.until('2026-11-16 18:00');
      await b.lets(hana, 'lab-in');
    },
  },
  denies: {
    'at readers that lead elsewhere, outside the schedule, and whoever is in no such group': async () => {
      const b = await byZone();
      await b.refuses(hana, 'front-out', 'no-permission');
      await b.refuses(hana, 'lab-in', 'outside-schedule');
      await b.refuses(guest, 'front-in', 'no-permission');
    },
  },
  afterReboot: {
    'it holds as before': async () => {
      const b = await byZone('floor', '2026-11-16 17:58');
      await b.reboot();
      await b.lets(hana, 'front-in');
      await b.refuses(hana, 'lab-in', 'outside-schedule');
      await b.crash();
      await b.lets(hana, 'lab-in');
    },
  },
  untrustedClock: {
    'the one with a schedule goes by what the door says of unknown time': async () => {
      const floor = await byZone('floor', '2026-11-16 18:00');
      floor.untrustedClock();
      floor.stepClock('-2 h');
      await floor.lets(hana, 'lab-in');
      const deny = await byZone('deny', '2026-11-16 18:00');
      deny.untrustedClock();
      await deny.refuses(hana, 'lab-in', 'time-unknown');
      await deny.lets(hana, 'lab-out');
      const unscheduled = await byZone('unscheduled');
      unscheduled.untrustedClock();
      await unscheduled.lets(hana, 'lab-in');
    },
  },
});

const slowly = () => peopleSite({ site: 'longerAccess: [guests]' });

rule('longer access', {
  passes: {
    'at every door for its longer time': async () => {
      const b = await slowly();
      for (const [reader, door] of [
        ['front-in', 'front'],
        ['lab-in', 'lab'],
      ] as const) {
        await b.lets(guest, reader, { stays: true });
        await b.later('14 s');
        expect(b.door(door).wires().locked).toBe(false);
        await b.later('2 s');
        expect(b.door(door).wires().locked).toBe(true);
      }
    },
  },
  denies: {
    'everybody else the longer time': async () => {
      const b = await slowly();
      await b.lets(hana, 'front-in', { stays: true });
      await b.later('6 s');
      expect(b.door('front').wires().locked).toBe(true);
    },
  },
  afterReboot: {
    'it lasts as long': async () => {
      const b = await slowly();
      await b.crash();
      await b.lets(guest, 'front-in', { stays: true });
      await b.later('14 s');
      expect(b.door('front').wires().locked).toBe(false);
    },
  },
  untrustedClock: {
    'it lasts as long, whatever steps the clock makes': async () => {
      const b = await slowly();
      b.untrustedClock();
      await b.lets(guest, 'front-in', { stays: true });
      b.stepClock('1 h');
      await b.later('14 s');
      expect(b.door('front').wires().locked).toBe(false);
      b.stepClock('-2 h');
      await b.later('2 s');
      expect(b.door('front').wires().locked).toBe(true);
    },
  },
});

const threatened = () =>
  peopleSite({
    zones:
      '[{ id: hall }, { id: lab, clearance: [{ fromLevel: 3, needs: 2 }, { fromLevel: 9, needs: 50 }] }]',
    lab: 'clearance: [{ fromLevel: 3, needs: 1 }]',
    site: 'clearances: [{ group: staff, clearance: 1 }, { group: guards, clearance: 2 }]',
  });

rule('threat level', {
  passes: {
    'everybody while no level is set, and whoever has the highest clearance that applies': async () => {
      const b = await threatened();
      await b.lets(hana, 'lab-in');
      await b.press('threat-3');
      await b.lets(guard, 'lab-in');
      await b.lets(hana, 'front-in');
      await b.press('calm');
      await b.lets(ken, 'lab-in');
    },
    'out of a zone that demands a clearance of whoever enters it': async () => {
      const b = await peopleSite({
        zones: '[{ id: hall }, { id: lab, clearance: [{ fromLevel: 3, needs: 2 }] }]',
      });
      await b.press('threat-3');
      await b.lets(guest, 'lab-out');
    },
  },
  denies: {
    'whoever has less, or none': async () => {
      const b = await threatened();
      await b.press('threat-3');
      await b.refuses(hana, 'lab-in', 'clearance-insufficient');
      await b.refuses(guest, 'lab-in', 'clearance-insufficient');
      await b.press('threat-9');
      await b.refuses(guard, 'lab-in', 'clearance-insufficient');
    },
  },
  afterReboot: {
    'the level stands': async () => {
      const b = await threatened();
      await b.press('threat-3');
      await b.crash();
      await b.refuses(hana, 'lab-in', 'clearance-insufficient');
      await b.reboot();
      await b.lets(guard, 'lab-in');
      await b.press('calm');
      await b.reboot();
      await b.lets(hana, 'lab-in');
    },
  },
  untrustedClock: {
    'the level stands': async () => {
      const b = await threatened();
      b.untrustedClock();
      await b.press('threat-3');
      b.stepClock('3653 d');
      await b.refuses(hana, 'lab-in', 'clearance-insufficient');
      await b.lets(guard, 'lab-in');
    },
  },
});

const masterRules = {
  zones: '[{ id: hall, passback: { mode: hard } }, { id: lab }]',
  site: `services: [{ id: lunch, kind: once }]
      master: { groups: [chiefs], freshFor: 1 d }`,
  terminal: smallBuilding.replace(
    'readers:',
    'readers:\n  - { id: canteen, name: canteen, door: front, service: { id: lunch } }',
  ),
};

rule('master card', {
  passes: {
    'whatever the rules below say, while the policy was installed lately': async () => {
      const b = await peopleSite({ ...masterRules, front: 'twoPerson: {}' });
      await b.lets(chief, 'front-in');
      await b.lets(chief, 'front-in');
    },
    'while its issuer has confirmed it lately': async () => {
      const b = await peopleSite({ ...masterRules, at: '2026-11-17 12:00', confirmed: '2026-11-16 12:00' });
      await b.lets(chief, 'front-in');
      await b.later('1 s');
      await b.refuses(chief, 'lab-in', 'no-permission');
      await b.install({ rules: peopleRules(masterRules), confirmed: '2026-11-17 12:00' });
      await b.lets(chief, 'lab-in');
    },
  },
  denies: {
    'like any other card once the policy is older, or when rules above object': async () => {
      const b = await peopleSite(masterRules);
      await b.press('lockdown');
      await b.refuses(chief, 'front-in', 'lockdown');
      await b.press('all-clear');
      await b.lets(chief, 'front-in');
      await b.reboot({ off: '1 d' });
      await b.refuses(chief, 'front-in', 'no-permission');
    },
    'a service that has counted it': async () => {
      const b = await peopleSite(masterRules);
      await b.lets(chief, 'canteen');
      await b.refuses(chief, 'canteen', 'already-admitted');
    },
  },
  afterReboot: {
    'the policy is as old as it is': async () => {
      const b = await peopleSite(masterRules);
      await b.crash({ off: '23 h' });
      await b.lets(chief, 'front-in');
      await b.reboot({ off: '1 h' });
      await b.refuses(chief, 'front-out', 'no-permission');
    },
  },
  untrustedClock: {
    'a card like any other, until the clock is trusted again': async () => {
      const b = await peopleSite(masterRules);
      b.untrustedClock();
      await b.refuses(chief, 'front-in', 'no-permission');
      b.trustedClock();
      await b.lets(chief, 'front-in');
    },
  },
});
