import { expect } from 'vitest';
import {
  chief,
  everywhere,
  guard,
  guest,
  hana,
  ken,
  mio,
  peopleRules,
  peopleSite,
  type SiteParts,
} from './people.ts';
import { rulesOf } from './rule.ts';

const rule = rulesOf('People and zones');

const roomForTwo = (parts: SiteParts = {}) =>
  peopleSite({ zones: '[{ id: hall }, { id: lab, occupancy: { limit: 2 } }]', ...parts });

rule('occupancy', {
  passes: {
    'up to the limit, and again for each who has left': async () => {
      const b = await roomForTwo();
      await b.lets(hana, 'lab-in');
      await b.lets(ken, 'lab-in');
      await b.lets(hana, 'lab-out');
      await b.lets(mio, 'lab-in');
    },
    'whoever is known to be inside already, who takes no further place': async () => {
      const b = await roomForTwo();
      await b.lets(hana, 'lab-in');
      await b.lets(ken, 'lab-in');
      await b.lets(ken, 'lab-in');
    },
    'up to the limit again, once somebody has forgotten who is in the zone': async () => {
      const b = await roomForTwo();
      await b.lets(hana, 'lab-in');
      await b.lets(ken, 'lab-in');
      expect(await b.tell({ kind: 'reset-zone', zone: 'lab' })).toBe('done');
      await b.lets(mio, 'lab-in');
      await b.lets(guard, 'lab-in');
      await b.refuses(hana, 'lab-in', 'zone-full');
    },
    'one more for each who was granted and did not go through': async () => {
      const b = await roomForTwo();
      await b.lets(hana, 'lab-in');
      await b.lets(ken, 'lab-in', { stays: true });
      await b.later('6 s');
      await b.lets(mio, 'lab-in');
    },
  },
  denies: {
    'when the zone is full': async () => {
      const b = await roomForTwo();
      await b.lets(hana, 'lab-in');
      await b.lets(ken, 'lab-in');
      await b.refuses(mio, 'lab-in', 'zone-full');
    },
    'two who enter together where there is one place': async () => {
      const b = await roomForTwo({ lab: 'twoPerson: {}' });
      await b.keepsWaiting(hana, 'lab-in', 'second-person');
      await b.lets(ken, 'lab-in');
      await b.keepsWaiting(hana, 'lab-out', 'second-person');
      await b.lets(ken, 'lab-out');
      const one = await peopleSite({
        zones: '[{ id: hall }, { id: lab, occupancy: { limit: 1 } }]',
        lab: 'twoPerson: {}',
      });
      await one.keepsWaiting(hana, 'lab-in', 'second-person');
      await one.refuses(ken, 'lab-in', 'zone-full');
    },
  },
  afterReboot: {
    'the count stays': async () => {
      const b = await roomForTwo();
      await b.lets(hana, 'lab-in');
      await b.crash();
      await b.lets(ken, 'lab-in');
      await b.reboot();
      await b.refuses(mio, 'lab-in', 'zone-full');
      await b.lets(hana, 'lab-out');
      await b.crash();
      await b.lets(mio, 'lab-in');
    },
  },
  untrustedClock: {
    'the count stays, whatever the clock shows': async () => {
      const b = await roomForTwo();
      await b.lets(hana, 'lab-in');
      b.untrustedClock();
      await b.lets(ken, 'lab-in');
      b.stepClock('3653 d');
      await b.refuses(mio, 'lab-in', 'zone-full');
    },
  },
});

const vault = (config = '', parts: SiteParts = {}) =>
  peopleSite({ lab: `twoPerson: { ${config} }`, ...parts });

rule('two persons', {
  passes: {
    'two different holders, one after the other at the same reader': async () => {
      const b = await vault();
      await b.keepsWaiting(hana, 'lab-in', 'second-person');
      await b.later('29 s');
      await b.lets(ken, 'lab-in');
    },
    'and moves both': async () => {
      const b = await vault('', { zones: '[{ id: hall }, { id: lab, passback: { mode: hard } }]' });
      await b.keepsWaiting(hana, 'lab-in', 'second-person');
      await b.lets(ken, 'lab-in');
      await b.refuses(hana, 'lab-in', 'already-inside');
      await b.refuses(ken, 'lab-in', 'already-inside');
    },
    'one alone outside of its schedule': async () => {
      const b = await vault('schedule: evening', { at: '2026-11-16 17:59' });
      await b.lets(hana, 'lab-in');
      await b.later('1 min');
      await b.keepsWaiting(ken, 'lab-in', 'second-person');
    },
  },
  denies: {
    'one alone, one who taps twice, two at two readers, and one too late: they wait': async () => {
      const b = await vault('within: 10 s');
      await b.keepsWaiting(hana, 'lab-in', 'second-person');
      await b.keepsWaiting(hana, 'lab-in', 'second-person');
      await b.keepsWaiting(ken, 'lab-out', 'second-person');
      await b.later('11 s');
      await b.keepsWaiting(mio, 'lab-in', 'second-person');
    },
    'whoever could not pass alone, first or second': async () => {
      const b = await vault('', { permissions: '[{ group: staff, door: lab }]' });
      await b.refuses(guest, 'lab-in', 'no-permission');
      await b.keepsWaiting(hana, 'lab-in', 'second-person');
      await b.refuses(guest, 'lab-in', 'no-permission');
      await b.lets(ken, 'lab-in');
    },
    'a second whose first a new version of the policy may have withdrawn': async () => {
      const b = await vault();
      await b.keepsWaiting(hana, 'lab-in', 'second-person');
      await b.install({ rules: peopleRules({ lab: 'twoPerson: {}' }) });
      await b.keepsWaiting(ken, 'lab-in', 'second-person');
    },
  },
  afterReboot: {
    'the window is over': async () => {
      const b = await vault('within: 10 min');
      await b.keepsWaiting(hana, 'lab-in', 'second-person');
      await b.crash({ off: '1 s' });
      await b.keepsWaiting(ken, 'lab-in', 'second-person');
      await b.reboot({ off: '1 s' });
      await b.keepsWaiting(hana, 'lab-in', 'second-person');
      await b.lets(ken, 'lab-in');
    },
  },
  untrustedClock: {
    'the window is as long, whatever the clock shows': async () => {
      const b = await vault();
      b.untrustedClock();
      await b.keepsWaiting(hana, 'lab-in', 'second-person');
      b.stepClock('1 d');
      await b.lets(ken, 'lab-in');
      await b.keepsWaiting(hana, 'lab-in', 'second-person');
      b.stepClock('-1 d');
      await b.later('31 s');
      await b.keepsWaiting(ken, 'lab-in', 'second-person');
    },
    'the schedule by the floor, or else at any time': async () => {
      const parts = { at: '2026-11-16 12:00' };
      const floor = await vault('schedule: evening', parts);
      floor.untrustedClock();
      await floor.lets(hana, 'lab-in');
      for (const unknown of ['deny', 'unscheduled']) {
        const b = await peopleSite({
          lab: `whileTimeUnknown: ${unknown}, twoPerson: { schedule: evening }`,
          ...parts,
        });
        b.untrustedClock();
        await b.keepsWaiting(hana, 'lab-in', 'second-person');
      }
    },
  },
});

const escorted = (parts: SiteParts = {}) =>
  peopleSite({ lab: 'escort: { of: [guests], by: [staff], within: 30 s }', ...parts });

rule('escort', {
  passes: {
    'a guest after the escort, within the time': async () => {
      const b = await escorted();
      await b.lets(hana, 'lab-in');
      await b.later('25 s');
      await b.lets(guest, 'lab-in');
    },
    'a guest who came first, with the escort, whose tap moves both': async () => {
      const b = await escorted({ zones: '[{ id: hall }, { id: lab, passback: { mode: hard } }]' });
      await b.keepsWaiting(guest, 'lab-in', 'escort');
      await b.lets(hana, 'lab-in');
      await b.refuses(guest, 'lab-in', 'already-inside');
    },
    'of several guests who wait the last': async () => {
      const b = await peopleSite({
        zones: '[{ id: hall }, { id: lab, passback: { mode: hard } }]',
        lab: 'escort: { of: [guests, chiefs], by: [staff], within: 30 s }',
        permissions: `${everywhere}
        - { group: chiefs, door: lab }`,
      });
      await b.keepsWaiting(guest, 'lab-in', 'escort');
      await b.keepsWaiting(chief, 'lab-in', 'escort');
      await b.lets(hana, 'lab-in');
      await b.refuses(chief, 'lab-in', 'already-inside');
      await b.lets(guest, 'lab-in');
    },
    'an escort alone': async () => {
      const b = await escorted();
      await b.lets(hana, 'lab-in');
    },
  },
  denies: {
    'a guest alone, at another reader, or too late: they wait': async () => {
      const b = await escorted();
      await b.keepsWaiting(guest, 'lab-in', 'escort');
      await b.lets(hana, 'lab-out');
      await b.keepsWaiting(guest, 'lab-in', 'escort');
      await b.lets(hana, 'lab-in');
      await b.later('31 s');
      await b.keepsWaiting(guest, 'lab-in', 'escort');
    },
    'a guest whose escort a new version of the policy may have withdrawn': async () => {
      const b = await escorted();
      await b.lets(hana, 'lab-in');
      await b.install({
        rules: peopleRules({ lab: 'escort: { of: [guests], by: [guards], within: 30 s }' }),
      });
      await b.keepsWaiting(guest, 'lab-in', 'escort');
      await b.lets(guard, 'lab-in');
      await b.lets(guest, 'lab-in');
    },
  },
  afterReboot: {
    'the window is over': async () => {
      const b = await escorted();
      await b.lets(hana, 'lab-in');
      await b.crash({ off: '1 s' });
      await b.keepsWaiting(guest, 'lab-in', 'escort');
      await b.reboot({ off: '1 s' });
      const tapped = await b.lets(hana, 'lab-in');
      expect(JSON.stringify(tapped.entry.body.changes)).not.toContain('companion');
    },
  },
  untrustedClock: {
    'the window is as long, whatever the clock shows': async () => {
      const b = await escorted();
      b.untrustedClock();
      await b.lets(hana, 'lab-in');
      b.stepClock('1 d');
      await b.lets(guest, 'lab-in');
      b.stepClock('-2 d');
      await b.later('31 s');
      await b.keepsWaiting(guest, 'lab-in', 'escort');
    },
  },
});
