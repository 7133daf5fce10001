import { expect } from 'vitest';
import { automated, staff, told } from './automated.ts';
import { rulesOf } from './rule.ts';

const rule = rulesOf('Inputs and outputs');

const zones = [
  '{ when: { input: panic }, do: [{ condition: lockdown, set: on, zones: [lab] }] }',
  '{ when: { input: panic, is: off }, do: [{ condition: lockdown, set: off, zones: [lab] }] }',
  '{ when: { input: panel }, do: [{ condition: lockdown, set: on, zones: [hall] }] }',
  '{ when: { input: panel, is: off }, do: [{ condition: lockdown, set: off, zones: [hall] }] }',
];
const site = [
  '{ when: { input: key }, do: [{ condition: lockdown, set: on }] }',
  '{ when: { input: key, is: off }, do: [{ condition: lockdown, set: off }] }',
];

rule('condition', {
  passes: {
    'whoever is in no zone of it, and everybody once each has ended': async () => {
      const b = await automated(...zones);
      await b.input('panic', 'on');
      await b.lets(staff, 'front-in');
      await b.input('panel', 'on');
      await b.input('panic', 'off');
      await b.refuses(staff, 'front-in', 'lockdown');
      await b.input('panel', 'off');
      await b.lets(staff, 'lab-in');
      expect(told(b).filter(({ condition }) => condition !== undefined)).toEqual([
        { condition: 'lockdown', on: true, zones: ['lab'] },
        { condition: 'lockdown', on: true, zones: ['hall'] },
        { condition: 'lockdown', on: false, zones: ['lab'] },
        { condition: 'lockdown', on: false, zones: ['hall'] },
      ]);
    },
  },
  denies: {
    'at once; of the whole site until it is ended for the whole site': async () => {
      const b = await automated(...zones, ...site);
      await b.lets(staff, 'front-in', { stays: true });
      b.door('input:key').force();
      await b.later('1 ms');
      expect(b.door('front').wires().locked, 'what had been granted').toBe(true);
      await b.refuses(staff, 'lab-in', 'lockdown');
      await b.press('panic');
      await b.refuses(staff, 'lab-in', 'lockdown');
      await b.input('key', 'off');
      await b.lets(staff, 'lab-in');
    },
    'with fire and evacuation whoever goes in': async () => {
      for (const condition of ['fire', 'evacuation'] as const) {
        const b = await automated(`{ when: { input: panel }, do: [{ condition: ${condition}, set: on }] }`);
        await b.input('panel', 'on');
        await b.refuses(staff, 'front-in', 'evacuation');
      }
    },
  },
  afterReboot: {
    'holds until it is ended, whatever declared it': async () => {
      const b = await automated(...zones);
      await b.press('panel');
      await b.input('panic', 'on');
      await b.crash();
      await b.refuses(staff, 'lab-in', 'lockdown');
      await b.lets(staff, 'front-in');
      await b.reboot();
      await b.refuses(staff, 'lab-in', 'lockdown');
      await b.input('panic', 'off');
      await b.lets(staff, 'lab-in');
    },
  },
  untrustedClock: {
    'is the same': async () => {
      const b = await automated(...site);
      b.untrustedClock();
      await b.input('key', 'on');
      b.stepClock('1000 d');
      await b.refuses(staff, 'front-in', 'lockdown');
      b.stepClock('-2000 d');
      await b.refuses(staff, 'front-in', 'lockdown');
    },
  },
});

const threat = [
  '{ when: { input: panic }, do: [{ threatLevel: 3 }] }',
  '{ when: { input: key }, do: [{ threatLevel: 2 }] }',
  '{ when: { input: panel }, do: [{ threatLevel: 0 }] }',
];

rule('set threat level', {
  passes: {
    'at a level below those of the door, and once it is set back': async () => {
      const b = await automated(...threat);
      await b.press('key');
      await b.lets(staff, 'front-in');
      await b.press('panic');
      await b.press('panel');
      await b.lets(staff, 'front-in');
      expect(told(b).flatMap(({ threatLevel }) => threatLevel ?? [])).toEqual([2, 3, 0]);
    },
  },
  denies: {
    'whose clearance is too low': async () => {
      const b = await automated(...threat);
      await b.press('panic');
      await b.refuses(staff, 'front-in', 'clearance-insufficient');
      await b.lets(staff, 'lab-in');
    },
  },
  afterReboot: {
    stands: async () => {
      const b = await automated(...threat);
      await b.press('panic');
      await b.crash();
      await b.refuses(staff, 'front-in', 'clearance-insufficient');
      await b.press('panel');
      await b.reboot();
      await b.lets(staff, 'front-in');
    },
  },
  untrustedClock: {
    'is the same': async () => {
      const b = await automated(...threat);
      b.untrustedClock();
      await b.press('panic');
      b.stepClock('-1 h');
      await b.refuses(staff, 'front-in', 'clearance-insufficient');
    },
  },
});
