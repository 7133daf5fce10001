import { guard, guest, hana, ken, peopleSite } from './people.ts';
import { rulesOf } from './rule.ts';
import { smallBuilding } from './wiring.ts';

const rule = rulesOf('People and zones');

const guarded = () => peopleSite({ site: 'lockdown: { exempt: [guards] }' });

rule('lockdown', {
  passes: {
    'exempt groups, and everybody where it does not reach': async () => {
      const b = await guarded();
      await b.press('lab-lockdown');
      await b.lets(hana, 'front-in');
      await b.lets(guard, 'lab-in');
      await b.press('lockdown');
      await b.lets(guard, 'front-out');
    },
    'everybody when it is ended, each zone for itself': async () => {
      const b = await guarded();
      await b.press('lab-lockdown');
      await b.press('lab-clear');
      await b.lets(hana, 'lab-in');
      await b.press('lockdown');
      await b.press('lab-clear');
      await b.refuses(hana, 'lab-out', 'lockdown');
      await b.press('all-clear');
      await b.lets(hana, 'lab-out');
    },
  },
  denies: {
    'into a zone and out of it, whoever is not exempt': async () => {
      const b = await guarded();
      await b.press('lab-lockdown');
      await b.refuses(hana, 'lab-in', 'lockdown');
      await b.refuses(hana, 'lab-out', 'lockdown');
      await b.press('lockdown');
      await b.refuses(hana, 'front-in', 'lockdown');
    },
  },
  afterReboot: {
    'it holds until it is ended': async () => {
      const b = await guarded();
      await b.press('lab-lockdown');
      await b.crash();
      await b.refuses(hana, 'lab-in', 'lockdown');
      await b.press('lockdown');
      await b.reboot();
      await b.refuses(hana, 'front-in', 'lockdown');
      await b.lets(guard, 'front-in');
      await b.press('all-clear');
      await b.crash();
      await b.lets(hana, 'front-in');
    },
  },
  untrustedClock: {
    'it holds, whatever the clock shows': async () => {
      const b = await guarded();
      b.untrustedClock();
      await b.press('lockdown');
      b.stepClock('3653 d');
      await b.refuses(hana, 'front-in', 'lockdown');
      b.stepClock('-7306 d');
      await b.refuses(hana, 'front-in', 'lockdown');
      await b.lets(guard, 'front-in');
    },
  },
});

const evacuated = (terminal = smallBuilding) =>
  peopleSite({ terminal, site: 'evacuation: { exempt: [guards] }' });

const fromNowhere = smallBuilding.replace(
  'readers:',
  'readers:\n  - { id: hatch, name: hatch, door: front, to: hall }\n  - { id: yard-in, name: yard-in, door: front, from: yard, to: hall }',
);

rule('evacuation', {
  passes: {
    'whoever leaves, goes from one evacuated zone into another, or is exempt': async () => {
      const b = await evacuated();
      await b.press('evacuation');
      await b.lets(hana, 'lab-out');
      await b.lets(hana, 'lab-in');
      await b.lets(hana, 'front-out');
      await b.lets(guard, 'front-in');
    },
    'whoever leaves where there is fire, and goes where there is none': async () => {
      const b = await evacuated();
      await b.input('fire', 'on');
      await b.lets(hana, 'lab-out');
      await b.lets(ken, 'front-in');
      await b.input('fire', 'off');
      await b.lets(ken, 'lab-in');
    },
  },
  denies: {
    'whoever enters': async () => {
      const b = await evacuated();
      await b.press('evacuation');
      await b.refuses(hana, 'front-in', 'evacuation');
      await b.press('all-clear');
      await b.input('fire', 'on');
      await b.refuses(guest, 'lab-in', 'evacuation');
      await b.lets(guard, 'lab-in');
    },
    'whoever comes from a zone that the policy does not have, or from nowhere known': async () => {
      const b = await evacuated(fromNowhere);
      await b.press('evacuation');
      await b.refuses(hana, 'yard-in', 'evacuation');
      await b.refuses(hana, 'hatch', 'evacuation');
    },
  },
  afterReboot: {
    'it holds until it is ended': async () => {
      const b = await evacuated();
      await b.press('evacuation');
      await b.crash();
      await b.refuses(hana, 'front-in', 'evacuation');
      await b.lets(hana, 'front-out');
      await b.press('all-clear');
      await b.input('fire', 'on');
      await b.reboot();
      await b.refuses(hana, 'lab-in', 'evacuation');
      await b.input('fire', 'off');
      await b.reboot();
      await b.lets(hana, 'lab-in');
    },
  },
  untrustedClock: {
    'it holds, whatever the clock shows': async () => {
      const b = await evacuated();
      b.untrustedClock();
      await b.press('evacuation');
      b.stepClock('-1 d');
      await b.refuses(hana, 'front-in', 'evacuation');
      await b.lets(hana, 'front-out');
    },
  },
});
