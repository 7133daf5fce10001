import { expect } from 'vitest';
import { automated, isOn, staff, told } from './automated.ts';
import { rulesOf } from './rule.ts';

const rule = rulesOf('Inputs and outputs');

const lockdownByKey = [
  '{ when: { input: key }, do: [{ condition: lockdown, set: on }] }',
  '{ when: { input: key, is: off }, do: [{ condition: lockdown, set: off }] }',
];

rule('level', {
  passes: {
    'what begins with an input, and on with the condition and the alarm that follow from it': async () => {
      const b = await automated(
        ...lockdownByKey,
        '{ when: { condition: lockdown }, do: [{ alarm: closed }] }',
        '{ when: { alarm: closed }, do: [{ output: lamp }] }',
        '{ when: { condition: lockdown, is: off }, do: [{ output: siren, for: 2 s }] }',
      );
      await b.input('key', 'on');
      expect([isOn(b, 'lamp'), isOn(b, 'siren')]).toEqual([true, false]);
      expect(b.alarms()).toEqual(['closed']);
      await b.input('key', 'off');
      expect([isOn(b, 'lamp'), isOn(b, 'siren')]).toEqual([false, true]);
      expect(told(b)).toEqual(
        expect.arrayContaining([
          { input: 'key', on: true },
          { condition: 'lockdown', on: true },
          { output: 'lamp', on: true },
        ]),
      );
    },
  },
  denies: {
    'what is so already, and what was never heard of as on': async () => {
      const b = await automated(
        '{ when: { input: key, is: off }, do: [{ output: siren, for: 2 s }] }',
        '{ when: { input: panic }, do: [{ condition: lockdown, set: on }] }',
        '{ when: { input: panel }, do: [{ condition: lockdown, set: on }] }',
        '{ when: { condition: lockdown }, do: [{ output: lamp, for: 2 s }] }',
      );
      expect(isOn(b, 'siren'), 'an input never heard of counts as off').toBe(false);
      await b.input('panic', 'on');
      await b.later('3 s');
      await b.input('panel', 'on');
      expect(isOn(b, 'lamp'), 'locked down already').toBe(false);
      // told all the same: an end that was given between the two does not lift it
      expect(told(b).filter(({ condition }) => condition !== undefined)).toHaveLength(2);
    },
  },
  afterReboot: {
    'what had begun begins not again; what changed meanwhile is heard': async () => {
      const b = await automated(
        ...lockdownByKey,
        '{ when: { input: panic }, do: [{ output: siren, for: 2 s }] }',
        '{ when: { input: panel }, do: [{ output: lamp, for: 2 s }] }',
      );
      await b.input('key', 'on');
      await b.input('panic', 'on');
      await b.later('3 s');
      await b.crash({ meanwhile: () => b.door('input:panel').force() });
      expect([isOn(b, 'siren'), isOn(b, 'lamp')]).toEqual([false, true]);
      await b.refuses(staff, 'front-in', 'lockdown');
      await b.reboot({ meanwhile: () => b.door('input:key').close() });
      await b.lets(staff, 'front-in');
    },
    'alarms begin anew': async () => {
      const b = await automated('{ when: { input: panel }, do: [{ alarm: smoke }] }');
      await b.input('panel', 'on');
      await b.reboot();
      expect(b.alarms()).toEqual(['smoke', 'smoke']);
    },
  },
  untrustedClock: {
    'is the same': async () => {
      const b = await automated(...lockdownByKey);
      b.untrustedClock();
      await b.input('key', 'on');
      b.stepClock('-10 h');
      await b.refuses(staff, 'front-in', 'lockdown');
      await b.input('key', 'off');
      await b.lets(staff, 'front-in');
    },
  },
});

rule('event', {
  passes: {
    'what people do, at the door that is named or at any': async () => {
      const b = await automated(
        '{ when: { event: opened, door: lab }, do: [{ output: lamp, for: 10 s }] }',
        '{ when: { event: denied }, do: [{ output: siren, for: 10 s }] }',
      );
      await b.lets(staff, 'lab-in');
      expect([isOn(b, 'lamp'), isOn(b, 'siren')]).toEqual([true, false]);
      await b.later('10 s');
      await b.refuses('99999', 'front-in', 'user-number-unknown');
      expect([isOn(b, 'lamp'), isOn(b, 'siren')]).toEqual([false, true]);
    },
  },
  denies: {
    'the same at another door': async () => {
      const b = await automated(
        '{ when: { event: opened, door: lab }, do: [{ output: lamp, for: 10 s }] }',
        '{ when: { event: forced-open, door: lab }, do: [{ output: siren, for: 10 s }] }',
      );
      await b.lets(staff, 'front-in');
      b.door('front').force();
      await b.later('1 s');
      expect([isOn(b, 'lamp'), isOn(b, 'siren')]).toEqual([false, false]);
    },
  },
  afterReboot: {
    'is over; the next counts': async () => {
      const b = await automated('{ when: { event: opened }, do: [{ output: lamp, for: 10 s }] }');
      await b.lets(staff, 'front-in');
      expect(isOn(b, 'lamp')).toBe(true);
      await b.crash();
      expect(isOn(b, 'lamp')).toBe(false);
      await b.lets(staff, 'lab-in');
      expect(isOn(b, 'lamp')).toBe(true);
    },
  },
  untrustedClock: {
    'is the same': async () => {
      const b = await automated('{ when: { event: granted }, do: [{ output: lamp, for: 10 s }] }');
      b.untrustedClock();
      b.stepClock('-10 h');
      await b.lets(staff, 'front-in');
      expect(isOn(b, 'lamp')).toBe(true);
    },
  },
});

rule('output, alarm', {
  passes: {
    'for a time, and for as long as the level lasts, while any rule asks for it': async () => {
      const b = await automated(
        '{ when: { input: panic }, do: [{ output: siren, for: 30 s }, { alarm: panic, for: 30 s }] }',
        '{ when: { input: panel }, do: [{ output: siren }] }',
      );
      await b.press('panic');
      await b.input('panel', 'on');
      await b.later('1 min');
      expect(isOn(b, 'siren'), 'the panel asks for it').toBe(true);
      await b.press('panic');
      await b.input('panel', 'off');
      expect(isOn(b, 'siren'), 'panic asks for it').toBe(true);
      await b.later('30 s');
      expect(isOn(b, 'siren')).toBe(false);
      const alarms = b.entries('alarm').map(({ body }) => [body.alarm, body.on]);
      expect(alarms).toEqual([
        ['panic', true],
        ['panic', false],
        ['panic', true],
        ['panic', false],
      ]);
    },
  },
  denies: {
    'an output after the time, and once the terminal has ended': async () => {
      const b = await automated(
        '{ when: { input: panic }, do: [{ output: lamp, for: 30 s }] }',
        '{ when: { input: panel }, do: [{ output: siren }] }',
      );
      await b.input('panic', 'on');
      await b.input('panel', 'on');
      await b.later('30 s');
      expect([isOn(b, 'lamp'), isOn(b, 'siren')]).toEqual([false, true]);
      await b.reboot({ meanwhile: () => expect(isOn(b, 'siren')).toBe(false) });
    },
  },
  afterReboot: {
    'with its level it is on again, for a time it is over': async () => {
      const b = await automated(
        '{ when: { input: panic }, do: [{ output: lamp, for: 1 h }] }',
        '{ when: { input: panel }, do: [{ output: siren }, { condition: fire, set: on }] }',
        '{ when: { condition: fire }, do: [{ alarm: fire }] }',
      );
      await b.input('panic', 'on');
      await b.input('panel', 'on');
      expect([isOn(b, 'lamp'), isOn(b, 'siren')]).toEqual([true, true]);
      await b.crash();
      expect([isOn(b, 'lamp'), isOn(b, 'siren')]).toEqual([false, true]);
      expect(b.alarms()).toEqual(['fire', 'fire']);
    },
  },
  untrustedClock: {
    'is the same: no step makes it longer or shorter': async () => {
      const b = await automated('{ when: { input: panic }, do: [{ output: siren, for: 30 s }] }');
      b.untrustedClock();
      await b.input('panic', 'on');
      b.stepClock('1 h');
      await b.later('29 s');
      expect(isOn(b, 'siren')).toBe(true);
      b.stepClock('-5 h');
      await b.later('1 s');
      expect(isOn(b, 'siren')).toBe(false);
    },
  },
});
