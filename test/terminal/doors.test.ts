import { afterEach, describe, expect, it } from 'vitest';
import { doorSettingsSchema } from '#core/access/door-settings.ts';
import { Fault } from '#core/fault.ts';
import type { JsonValue } from '#core/journal/record.ts';
import type { TerminalSettings } from '#terminal/terminal.ts';
import { doorRules } from '../policy-slices.ts';
import { Bench, reading } from './terminal-fixture.ts';

type DoorInput = Parameters<typeof doorRules>[0];

const minuteMs = 60_000;
/** Monday noon in Tokyo lies in it, the evening does not. */
const office = {
  schedules: [
    { id: 'office', periods: [{ days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '08:30', to: '19:00' }] },
  ],
};
const holder = { kind: 'reading', reading } as const;

let bench: Bench;
afterEach(() => bench.terminal.stop());

async function begin(
  settings: Partial<TerminalSettings> = {},
  hardware: readonly string[] = [],
): Promise<void> {
  bench = new Bench({ settings, hardware });
  bench.permit(reading.userNumber);
  await bench.terminal.start();
  await bench.settle();
}

/** Ends the terminal and begins another on the same journal, whose facts may have been changed meanwhile. */
async function restart(settings: Partial<TerminalSettings>): Promise<void> {
  const { journal, terminal } = bench;
  await terminal.stop();
  bench = new Bench({ settings, journal });
  await bench.terminal.start();
  await bench.settle();
}

/** The rules of door-1 from now on, for taps and without. */
function ruled(door: Omit<DoorInput, 'id'>, rest: Parameters<typeof doorRules>[1] = {}): void {
  const input = { id: 'door-1', assurance: ['mutual-authentication' as const], ...door };
  const rules = doorRules(input, { ...office, ...rest });
  bench.policy.doors.set('door-1', rules);
  bench.permit(reading.userNumber, { rules });
}

function bodies(kind: string): readonly { readonly [key: string]: JsonValue }[] {
  return bench.journal.records.filter((record) => record.kind === kind).map(({ body }) => body);
}
const events = () => bodies('door').map(({ event }) => event);
const lastActuation = () => bodies('actuation').at(-1);

describe('a door with an unlock schedule', () => {
  it('is held unlocked by the hours to the minute, from the next full minute after the policy says so', async () => {
    await begin();
    ruled({ unlock: [{ schedule: 'office' }] });
    await bench.clock.advanceAsync(minuteMs);
    expect(bench.locked()).toBe(false);
    await bench.clock.advanceAsync(7 * 60 * minuteMs - minuteMs - 1);
    expect(bench.locked()).toBe(false);
    await bench.clock.advanceAsync(1);
    expect(bench.locked()).toBe(true);
    expect(events().filter((event) => event !== 'relocked')).toEqual(['held-unlocked', 'hold-ended']);
  });

  it('is locked after a restart until the clock is known to be right', async () => {
    bench = new Bench();
    ruled({ unlock: [{ schedule: 'office' }] });
    bench.clock.trust(false);
    await bench.terminal.start();
    await bench.settle();
    expect(bench.locked()).toBe(true);
    bench.clock.trust(true);
    await bench.clock.advanceAsync(minuteMs);
    expect(bench.locked()).toBe(false);
  });

  it('waits for the first person, who comes by card and opens', async () => {
    await begin();
    ruled({ unlock: [{ schedule: 'office', afterFirstOf: ['staff'] }] });
    await bench.clock.advanceAsync(minuteMs);
    expect(bench.locked()).toBe(true);
    await bench.tap();
    bench.doors.get('door-1')?.push();
    bench.doors.get('door-1')?.close();
    await bench.clock.advanceAsync(minuteMs);
    expect(bench.locked()).toBe(false);
  });

  it('goes on waiting when that person does not open', async () => {
    await begin();
    ruled({ unlock: [{ schedule: 'office', afterFirstOf: ['staff'] }] });
    await bench.tap();
    await bench.clock.advanceAsync(2 * minuteMs);
    expect(events()).toContain('granted-not-opened');
    expect(bench.locked()).toBe(true);
  });

  it('stays as it was while the policy cannot be looked up', async () => {
    await begin();
    ruled({ unlock: [{ schedule: 'office' }] });
    await bench.clock.advanceAsync(minuteMs);
    bench.policy.fault = new Fault('database-invalid', 'torn');
    await bench.clock.advanceAsync(10 * minuteMs);
    expect(bench.locked()).toBe(false);
    bench.policy.fault = undefined;
    bench.policy.installed = undefined;
    await bench.clock.advanceAsync(minuteMs);
    expect(bench.locked()).toBe(true);
  });
});

describe('the zones of a door whose reader names none', () => {
  const settings = {
    doors: ['door-1', 'door-2'].map((doorId) => ({
      doorId,
      settings: doorSettingsSchema.parse({}),
      zones: doorId === 'door-1' ? ['lab'] : [],
    })),
  };
  const exempt = { zones: [{ id: 'lab' }], lockdown: { exempt: ['staff'] } };
  const results = () => bodies('decision').map(({ reason, result }) => reason ?? result);

  it('are entered by nobody while they are evacuated', async () => {
    await begin(settings);
    ruled({}, exempt);
    bench.journal.facts.set('', new Map([['site/evacuation', { zones: ['lab'] }]]));
    await restart(settings);
    ruled({}, exempt);
    await bench.tap();
    expect(results()).toEqual(['evacuation']);
    expect(bodies('decision')[0]).toMatchObject({ zones: ['lab'] });
    expect(bench.locked()).toBe(true);
  });

  it('are open to whom their lockdown does not keep out, and closed to others', async () => {
    await begin(settings);
    bench.journal.facts.set('', new Map([['site/lockdown', { zones: ['lab'] }]]));
    await restart(settings);
    ruled({}, exempt);
    await bench.tap();
    expect(bench.locked()).toBe(false);
    ruled({}, { zones: [{ id: 'lab' }] });
    await bench.tap();
    expect(results()).toEqual(['granted', 'lockdown']);
  });
});

it('a door whose opening has rules hold it unlocked may stand open', async () => {
  const opened = { event: 'opened' as const, door: 'door-1' };
  const rules = [{ when: opened, do: [{ condition: 'evacuation' as const, set: 'on' as const }] }];
  await begin({ automation: { rules, inputs: [], outputs: [] } });
  ruled({ inEvacuation: 'unlock' });
  await bench.clock.advanceAsync(minuteMs);
  await bench.tap();
  bench.doors.get('door-1')?.push();
  await bench.clock.advanceAsync(10 * minuteMs);
  expect(events()).toEqual(['opened', 'held-unlocked']);
  expect(bodies('alarm')).toEqual([]);
});

describe('a card that holds a door unlocked', () => {
  it('toggles, durable first; the second card locks at once; a restart keeps what was toggled', async () => {
    await begin();
    ruled({ toggle: { groups: ['staff'] } });
    await bench.tap();
    await bench.clock.advanceAsync(10 * minuteMs);
    expect(bench.locked()).toBe(false);
    expect(lastActuation()).toMatchObject({ result: 'unlocked' });

    await bench.tap();
    expect(bench.locked()).toBe(true);
    expect(lastActuation()).toMatchObject({ result: 'locked' });

    await bench.tap();
    const before = bench;
    await before.terminal.stop();
    expect(before.locked()).toBe(true);
    bench = new Bench({ journal: before.journal });
    ruled({ toggle: { groups: ['staff'] } });
    await bench.terminal.start();
    await bench.settle();
    expect(bench.locked()).toBe(false);
  });

  it('that comes too late holds nothing, however long the disk takes to record that', async () => {
    await begin();
    ruled({ toggle: { groups: ['staff'] } });
    const slow = Promise.withResolvers<void>();
    bench.journal.gate = slow.promise;
    bench.present(holder);
    await bench.clock.advanceAsync(6_000);
    const hanging = Promise.withResolvers<void>();
    bench.journal.gate = hanging.promise;
    slow.resolve();
    await bench.clock.advanceAsync(10 * minuteMs);
    expect(bench.locked()).toBe(true);
    bench.journal.gate = undefined;
    hanging.resolve();
    await bench.settle();
    expect(lastActuation()).toMatchObject({ result: 'not-opened', reason: 'too-late' });
    expect(bench.locked()).toBe(true);
  });

  it('holds nothing once the policy does not let it', async () => {
    await begin();
    ruled({ toggle: { groups: ['staff'] } });
    await bench.tap();
    await bench.clock.advanceAsync(minuteMs);
    expect(bench.locked()).toBe(false);
    ruled({});
    await bench.clock.advanceAsync(minuteMs);
    expect(bench.locked()).toBe(true);
  });

  it('holds nothing that was decided too late', async () => {
    await begin();
    ruled({ toggle: { groups: ['staff'] } });
    await bench.clock.advanceAsync(minuteMs);
    let release = () => {};
    bench.journal.gate = new Promise((resolve) => {
      release = () => resolve(undefined);
    });
    await bench.tap();
    await bench.clock.advanceAsync(6_000);
    release();
    await bench.settle();
    expect(lastActuation()).toMatchObject({ result: 'not-opened', reason: 'too-late' });
    expect(bench.locked()).toBe(true);
    expect(bench.journal.facts.get('')?.has('hold/door-1')).toBe(false);
  });

  it('holds nothing that an interlock has refused, also once the other door is secured', async () => {
    await begin({ interlocks: [['door-1', 'door-2']] });
    ruled({ toggle: { groups: ['staff'] } });
    await bench.clock.advanceAsync(minuteMs);
    bench.doors.get('door-2')?.force();
    await bench.settle();
    await bench.tap();
    expect(lastActuation()).toMatchObject({ result: 'not-opened', reason: 'interlock-busy' });
    bench.doors.get('door-2')?.close();
    await bench.clock.advanceAsync(2 * minuteMs);
    expect(bench.locked()).toBe(true);
  });

  it('goes on holding when nobody goes through', async () => {
    await begin();
    ruled({ toggle: { groups: ['staff'] } });
    await bench.clock.advanceAsync(minuteMs);
    await bench.tap();
    await bench.clock.advanceAsync(10 * minuteMs);
    expect(bench.locked()).toBe(false);
  });

  it('of an elevator holds the floors that it frees, and no others', async () => {
    const elevator = {
      doorId: 'door-1',
      settings: doorSettingsSchema.parse({ contact: 'none' }),
      floors: ['f1', 'f9'],
    };
    const other = { doorId: 'door-2', settings: doorSettingsSchema.parse({}) };
    await begin({ doors: [elevator, other] }, ['door-1/f1', 'door-1/f9']);
    ruled(
      { timedHold: { groups: ['staff'], for: '30 min' } },
      { permissions: [{ group: 'staff', door: 'door-1', floors: ['f1'] }] },
    );
    await bench.clock.advanceAsync(minuteMs);
    await bench.tap();
    await bench.clock.advanceAsync(10 * minuteMs);
    expect([bench.locked('door-1/f1'), bench.locked('door-1/f9')]).toEqual([false, true]);
  });

  it('holds nothing that the disk has not taken', async () => {
    await begin();
    ruled({ toggle: { groups: ['staff'] } });
    bench.journal.fault = new Fault('journal-full', 'no space');
    await bench.tap();
    await bench.clock.advanceAsync(2 * minuteMs);
    expect(bench.locked()).toBe(true);
  });

  it('holds for its time', async () => {
    await begin();
    ruled({ timedHold: { groups: ['staff'], for: '30 min' } });
    await bench.clock.advanceAsync(20_000);
    await bench.tap();
    await bench.clock.advanceAsync(30 * minuteMs - 1);
    expect(bench.locked()).toBe(false);
    await bench.clock.advanceAsync(1);
    expect(bench.locked()).toBe(true);
  });
});

describe('an interlock', () => {
  const interlocks = [['door-1', 'door-2']];
  const settings = {
    interlocks,
    doors: ['door-1', 'door-2'].map((doorId) => ({ doorId, settings: doorSettingsSchema.parse({}) })),
  };

  it('opens one door at a time, and says so at the other', async () => {
    await begin(settings);
    bench.permit('second', { rules: doorRules({ id: 'door-2', assurance: [] }) });
    const second = { kind: 'reading', reading: { ...reading, userNumber: 'second' } } as const;
    await bench.tap();
    await bench.tap(second, 'reader-2');
    expect([bench.locked('door-1'), bench.locked('door-2')]).toEqual([false, true]);
    expect(lastActuation()).toMatchObject({ door: 'door-2', result: 'not-opened', reason: 'interlock-busy' });
    bench.doors.get('door-1')?.push();
    await bench.clock.advanceAsync(6_000);
    await bench.tap(second, 'reader-2');
    expect(bench.locked('door-2')).toBe(true);
    bench.doors.get('door-1')?.close();
    await bench.clock.advanceAsync(200);
    await bench.tap(second, 'reader-2');
    expect(bench.locked('door-2')).toBe(false);
  });

  it('keeps nobody in: an exit request opens the other door all the same', async () => {
    await begin(settings);
    await bench.tap();
    bench.doors.get('door-2')?.pressExit(true);
    await bench.settle();
    expect([bench.locked('door-1'), bench.locked('door-2')]).toEqual([false, false]);
  });

  it('lets a door be held unlocked only once the others are secured, and then opens no other', async () => {
    await begin(settings);
    await bench.tap();
    bench.policy.doors.set('door-2', doorRules({ id: 'door-2', unlock: [{ schedule: 'office' }] }, office));
    bench.doors.get('door-1')?.push();
    await bench.clock.advanceAsync(minuteMs);
    expect(bench.locked('door-2')).toBe(true);
    bench.doors.get('door-1')?.close();
    await bench.clock.advanceAsync(200);
    expect(bench.locked('door-2')).toBe(false);
    await bench.tap();
    expect(bench.locked('door-1')).toBe(true);
  });
});

describe('conditions of the site, set by inputs', () => {
  const settings: Partial<TerminalSettings> = {
    automation: {
      inputs: ['panel', 'button'],
      outputs: ['siren'],
      rules: [
        { when: { input: 'panel', is: 'on' }, do: [{ condition: 'fire', set: 'on' }, { output: 'siren' }] },
        { when: { input: 'panel', is: 'off' }, do: [{ condition: 'fire', set: 'off' }] },
        { when: { input: 'button', is: 'on' }, do: [{ condition: 'lockdown', set: 'on' }] },
        { when: { event: 'forced-open', door: 'door-1' }, do: [{ output: 'siren', for: 30_000 }] },
        { when: { event: 'denied' }, do: [{ alarm: 'somebody-denied', for: 1_000 }] },
      ],
    },
  };
  const hardware = ['input:panel', 'input:button', 'output:siren'];
  const press = async (id: string, on: boolean) => {
    const contact = bench.doors.get(`input:${id}`);
    if (on) contact?.force();
    else contact?.close();
    await bench.settle();
  };
  const siren = () => !bench.locked('output:siren');

  it('fire: observed and recorded, doors held unlocked whose rules say so, the siren on while it lasts', async () => {
    await begin(settings, hardware);
    ruled({ inEvacuation: 'unlock' });
    await bench.clock.advanceAsync(minuteMs);
    await press('panel', true);
    expect([bench.locked('door-1'), bench.locked('door-2'), siren()]).toEqual([false, true, true]);
    await bench.clock.advanceAsync(10 * minuteMs);
    expect([bench.locked('door-1'), siren()]).toEqual([false, true]);
    await press('panel', false);
    expect([bench.locked('door-1'), siren()]).toEqual([true, false]);
    expect(bodies('automation')).toEqual(
      expect.arrayContaining([
        { input: 'panel', on: true },
        { condition: 'fire', on: true },
        { output: 'siren', on: true },
        { condition: 'fire', on: false },
      ]),
    );
  });

  it('lockdown: ends a grant at once, denies, spares the exit request, waits for no disk, outlasts a restart', async () => {
    await begin(settings, hardware);
    await bench.tap();
    let release = () => {};
    bench.journal.gate = new Promise((resolve) => {
      release = resolve;
    });
    await press('button', true);
    expect(bench.locked()).toBe(true);
    release();
    await bench.settle();
    await press('button', false);
    await bench.tap();
    expect(bench.decisions().at(-1)).toMatchObject({ result: 'denied', reason: 'lockdown' });
    bench.doors.get('door-1')?.pressExit(true);
    await bench.settle();
    expect(bench.locked()).toBe(false);

    const before = bench;
    await before.terminal.stop();
    bench = new Bench({ settings, hardware, journal: before.journal });
    bench.permit(reading.userNumber);
    await bench.terminal.start();
    await bench.settle();
    await bench.tap();
    expect(bench.decisions().at(-1)).toMatchObject({ result: 'denied', reason: 'lockdown' });
  });

  it('lockdown between decision and opening opens nothing', async () => {
    await begin(settings, hardware);
    let release = () => {};
    bench.journal.gate = new Promise((resolve) => {
      release = resolve;
    });
    await bench.tap();
    await press('button', true);
    release();
    await bench.settle();
    expect(bench.decisions().at(-1)).toMatchObject({ result: 'granted' });
    expect(lastActuation()).toMatchObject({ result: 'not-opened', reason: 'lockdown' });
    expect(bench.locked()).toBe(true);
  });

  it('fire between decision and opening lets nobody in, and everybody out', async () => {
    bench = new Bench({ settings, hardware, into: 'lab' });
    const zoned = { ...office, zones: [{ id: 'lab' }] };
    for (const id of ['door-1', 'door-2']) bench.policy.doors.set(id, doorRules({ id }, zoned));
    bench.permit(reading.userNumber);
    await bench.terminal.start();
    for (const [reader, result] of [
      ['reader-1', { result: 'not-opened', reason: 'evacuation' }],
      ['reader-2', { result: 'unlocked' }],
    ] as const) {
      await press('panel', false);
      let release = () => {};
      bench.journal.gate = new Promise((resolve) => {
        release = resolve;
      });
      await bench.tap(holder, reader);
      await press('panel', true);
      release();
      await bench.settle();
      expect(lastActuation()).toMatchObject(result);
    }
  });

  it('an event at a door and one of a tap: on for a time', async () => {
    await begin(settings, hardware);
    bench.doors.get('door-1')?.force();
    await bench.settle();
    expect(siren()).toBe(true);
    await bench.clock.advanceAsync(30_000);
    expect(siren()).toBe(false);
    await bench.tap({ kind: 'reading', reading: { ...reading, userNumber: 'nobody' } });
    await bench.clock.advanceAsync(1_000);
    const told = bodies('alarm').filter(({ alarm }) => alarm === 'somebody-denied');
    expect(told.map(({ on }) => on)).toEqual([true, false]);
  });

  it('an output is off when the terminal has stopped', async () => {
    await begin(settings, hardware);
    await press('panel', true);
    await bench.terminal.stop();
    expect(siren()).toBe(false);
  });
});

describe('an elevator', () => {
  const settings: Partial<TerminalSettings> = {
    doors: [
      {
        doorId: 'door-1',
        settings: doorSettingsSchema.parse({ contact: 'none', strikeMs: 8_000 }),
        floors: ['1', '2', '3'],
      },
      { doorId: 'door-2', settings: doorSettingsSchema.parse({}) },
    ],
  };
  const hardware = ['door-1/1', 'door-1/2', 'door-1/3'];
  const freed = () => ['1', '2', '3'].filter((floor) => !bench.locked(`door-1/${floor}`));

  it('frees the floors of the permission for its time, and no others', async () => {
    await begin(settings, hardware);
    const permissions = [
      { group: 'staff', door: 'door-1', floors: ['1'] },
      { group: 'staff', door: 'door-1', floors: ['3'], schedule: 'office' },
      { group: 'others', door: 'door-1', floors: ['2'] },
    ];
    const rules = doorRules(
      { id: 'door-1', assurance: [] },
      { ...office, groups: ['staff', 'others'], permissions },
    );
    bench.permit(reading.userNumber, { rules });
    await bench.tap(holder);
    expect(freed()).toEqual(['1', '3']);
    await bench.clock.advanceAsync(8_000);
    expect(freed()).toEqual([]);
  });

  it('frees every floor where the permission names none, and none where it names others', async () => {
    await begin(settings, hardware);
    await bench.tap(holder);
    expect(freed()).toEqual(['1', '2', '3']);
    await bench.clock.advanceAsync(10_000);
    const permissions = [{ group: 'staff', door: 'door-1', floors: ['roof'] }];
    bench.permit(reading.userNumber, { rules: doorRules({ id: 'door-1', assurance: [] }, { permissions }) });
    await bench.tap(holder);
    expect(freed()).toEqual([]);
    expect(lastActuation()).toMatchObject({ result: 'not-opened', reason: 'no-permission' });
  });

  it('is open to everybody on some floors by the hours', async () => {
    await begin(settings, hardware);
    ruled({ unlock: [{ schedule: 'office', floors: ['2'] }] });
    await bench.clock.advanceAsync(minuteMs);
    expect(freed()).toEqual(['2']);
    expect(bodies('door').at(-1)).toMatchObject({ door: 'door-1', floor: '2', event: 'held-unlocked' });
  });

  it('tells which floor a relay failed at; the others are free', async () => {
    await begin(settings, hardware);
    bench.doors.get('door-1/2')?.misbehave({ stuck: 'locked' });
    await bench.tap(holder);
    expect(lastActuation()).toMatchObject({ result: 'unlocked' });
    const failed = bodies('door').filter(({ event }) => event === 'unlock-failed');
    expect(failed).toMatchObject([{ floor: '2', fault: 'door-hardware-failed' }]);
    expect(freed()).toEqual(['1', '3']);
  });
});
