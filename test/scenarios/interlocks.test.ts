import { expect } from 'vitest';
import { type Building, building } from './building.ts';
import { rulesOf } from './rule.ts';
import { hardwareOf } from './wiring.ts';

const rule = rulesOf('Doors');

const [one, other] = ['10234', '10235'];

/** A man-trap: from a yard by the outer door into the trap, and on by the inner one into the lab. */
function manTrap({ inner = '', at = '2026-11-16 12:00' } = {}): Promise<Building> {
  return building({
    at,
    rules: `
      schedules: [{ id: hours, periods: [{ days: [mon], from: "12:05", to: "12:30" }] }]
      groups: [staff]
      zones: [{ id: trap }, { id: lab, passback: { mode: hard } }]
      doors: [{ id: outer, inEvacuation: unlock }, { id: inner, inEvacuation: unlock, ${inner} }]
      permissions: [{ group: staff, door: outer }, { group: staff, door: inner }]`,
    holders: `user_number,groups
      ${one},staff
      ${other},staff`,
    terminal: `
readers:
  - { id: outer-in, name: outer-in, door: outer, from: yard, to: trap }
  - { id: inner-in, name: inner-in, door: inner, from: trap, to: lab }
  - { id: inner-out, name: inner-out, door: inner, from: lab, to: trap }
doors:
  - { id: outer, hardware: ${hardwareOf(1)} }
  - { id: inner, hardware: ${hardwareOf(2)} }
interlocks: [{ doors: [outer, inner] }]
inputs: [{ id: fire, hardware: { chip: main, line: 100, active: high } }]
automation:
  - { when: { input: fire }, do: [{ condition: fire, set: on }] }
  - { when: { input: fire, is: off }, do: [{ condition: fire, set: off }] }
`,
  });
}

const locked = (b: Building) => ['outer', 'inner'].map((id) => b.door(id).wires().locked);

rule('interlock', {
  passes: {
    'one door after the other': async () => {
      const b = await manTrap();
      await b.lets(one, 'outer-in');
      await b.lets(one, 'inner-in');
    },
    'who presses to get out, and everybody in fire; afterwards the last stays so': async () => {
      const b = await manTrap({ inner: 'toggle: { groups: [staff] }' });
      await b.lets(one, 'outer-in', { stays: true });
      b.door('inner').pressExit(true);
      b.door('inner').pressExit(false);
      await b.later('1 s');
      expect(locked(b)).toEqual([false, false]);
      await b.later('10 s');
      await b.lets(one, 'inner-in', { stays: true });
      await b.input('fire', 'on');
      await b.later('10 s');
      expect(locked(b)).toEqual([false, false]);
      await b.input('fire', 'off');
      await b.later('10 s');
      expect(locked(b), 'the hold goes on').toEqual([true, false]);
    },
  },
  denies: {
    'another door while one is unlocked or open, and takes back what that changed': async () => {
      const b = await manTrap();
      await b.lets(one, 'outer-in', { stays: true });
      await b.turnsAway(other, 'inner-in', 'interlock-busy');
      expect(await b.tell({ kind: 'hold', door: 'inner', seconds: 60 })).toBe('interlock-busy');
      b.door('outer').push();
      await b.later('10 s');
      await b.turnsAway(other, 'inner-in', 'interlock-busy');
      b.door('outer').close();
      await b.later('1 s');
      await b.lets(other, 'inner-in');
    },
    'another door while one cannot be told locked and closed': async () => {
      const b = await manTrap();
      b.door('outer').misbehave({ lineGone: true });
      await b.later('1 s');
      await b.turnsAway(other, 'inner-in', 'interlock-busy');
      b.door('outer').misbehave({});
      await b.later('10 s');
      await b.lets(other, 'inner-in');
    },
    'a hold until the others are locked and closed': async () => {
      const b = await manTrap({ inner: 'unlock: [{ schedule: hours }]', at: '2026-11-16 12:04' });
      await b.lets(one, 'outer-in', { stays: true });
      b.door('outer').push();
      await b.until('2026-11-16 12:06');
      expect(locked(b)).toEqual([true, true]);
      b.door('outer').close();
      await b.later('1 s');
      expect(locked(b)).toEqual([true, false]);
      await b.turnsAway(other, 'outer-in', 'interlock-busy');
    },
  },
  afterReboot: {
    'a leaf found open keeps the others locked': async () => {
      const b = await manTrap();
      await b.lets(one, 'outer-in', { stays: true });
      b.door('outer').push();
      await b.later('1 s');
      await b.crash();
      await b.turnsAway(other, 'inner-in', 'interlock-busy');
      b.door('outer').close();
      await b.later('1 s');
      await b.lets(other, 'inner-in');
    },
  },
  untrustedClock: {
    'is the same': async () => {
      const b = await manTrap();
      b.untrustedClock();
      await b.lets(one, 'outer-in', { stays: true });
      b.stepClock('5 h');
      await b.turnsAway(other, 'inner-in', 'interlock-busy');
      await b.later('6 s');
      await b.lets(other, 'inner-in');
    },
  },
});

const yardRules = (lab: string) => `
      schedules: [{ id: hours, periods: [{ days: [mon], from: "10:00", to: "15:00" }] }]
      groups: [staff]
      zones: [{ id: hall }, { id: ${lab} }]
      doors:
        - { id: front, unlock: [{ schedule: hours }] }
        - { id: yard, unlock: [{ schedule: hours }] }
        - { id: garden, inEvacuation: unlock }`;

/** A door to the yard without a reader, which belongs to the lab, beside a front door to the hall. */
function yardDoor(): Promise<Building> {
  return building({
    rules: yardRules('lab'),
    holders: `user_number,groups
      ${one},staff`,
    terminal: `
readers: [{ id: front-in, name: front-in, door: front, to: hall }]
doors:
  - { id: front, hardware: ${hardwareOf(1)} }
  - { id: yard, zones: [lab], hardware: ${hardwareOf(2)} }
  - { id: garden, zones: [hall, lab], hardware: ${hardwareOf(3)} }
inputs:
${['lockdown', 'fire']
  .map((id, at) => `  - { id: ${id}, hardware: { chip: main, line: ${100 + at}, active: high } }`)
  .join('\n')}
automation:
  - { when: { input: lockdown }, do: [{ condition: lockdown, set: on, zones: [lab] }] }
  - { when: { input: lockdown, is: off }, do: [{ condition: lockdown, set: off, zones: [lab] }] }
  - { when: { input: fire }, do: [{ condition: fire, set: on, zones: [lab] }] }
  - { when: { input: fire, is: off }, do: [{ condition: fire, set: off, zones: [lab] }] }
`,
  });
}

const unlocked = (b: Building) => ['front', 'yard', 'garden'].filter((id) => !b.door(id).wires().locked);

rule('zones of a door', {
  passes: {
    'where fire reaches it by one of them': async () => {
      const b = await yardDoor();
      await b.input('fire', 'on');
      expect(unlocked(b)).toEqual(['front', 'yard', 'garden']);
      await b.input('fire', 'off');
      expect(unlocked(b)).toEqual(['front', 'yard']);
    },
  },
  denies: {
    'where lockdown reaches it, and nowhere else': async () => {
      const b = await yardDoor();
      expect(unlocked(b)).toEqual(['front', 'yard']);
      await b.input('lockdown', 'on');
      expect(unlocked(b)).toEqual(['front']);
      await b.input('lockdown', 'off');
      expect(unlocked(b)).toEqual(['front', 'yard']);
      expect(b.alarms()).toEqual([]);
    },
    'also where the policy does not have the zone, which is told': async () => {
      const b = await yardDoor();
      await b.install({ rules: yardRules('labo') });
      await b.later('1 min');
      expect(b.entries('alarm').map(({ body }) => body)).toMatchObject([
        { alarm: 'policy-lacks', door: 'yard', on: true, zones: ['lab'] },
        { alarm: 'policy-lacks', door: 'garden', on: true, zones: ['lab'] },
      ]);
      await b.input('lockdown', 'on');
      expect(unlocked(b), 'and it is obeyed').toEqual(['front']);
    },
  },
  afterReboot: {
    'is the same': async () => {
      const b = await yardDoor();
      await b.input('lockdown', 'on');
      await b.crash();
      expect(unlocked(b)).toEqual(['front']);
      await b.input('lockdown', 'off');
      expect(unlocked(b)).toEqual(['front', 'yard']);
    },
  },
  untrustedClock: {
    'is the same': async () => {
      const b = await yardDoor();
      b.untrustedClock();
      await b.input('lockdown', 'on');
      await b.input('fire', 'on');
      b.stepClock('-10 h');
      await b.later('2 min');
      expect(unlocked(b)).toEqual(['garden']);
    },
  },
});
