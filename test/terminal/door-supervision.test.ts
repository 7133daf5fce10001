import { afterEach, describe, expect, it } from 'vitest';
import { doorSettingsSchema } from '#core/access/door-settings.ts';
import { Fault } from '#core/fault.ts';
import type { JsonValue } from '#core/journal/record.ts';
import { doorRules } from '../policy-slices.ts';
import { Bench, type BenchOptions, MemoryJournal, reading } from './terminal-fixture.ts';

const minuteMs = 60_000;
const office = {
  schedules: [
    { id: 'office', periods: [{ days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '08:30', to: '19:00' }] },
  ],
};
type DoorInput = Parameters<typeof doorRules>[0];

let bench: Bench;
afterEach(() => bench.terminal.stop());

function build(options: BenchOptions = {}, ...rules: readonly Omit<DoorInput, 'id'>[]): void {
  bench = new Bench(options);
  for (const [index, rest] of rules.entries()) {
    const id = `door-${index + 1}`;
    const door = doorRules({ id, assurance: ['mutual-authentication'], ...rest }, office);
    bench.policy.doors.set(id, door);
    if (index === 0) bench.permit(reading.userNumber, { rules: door });
  }
}
async function begin(): Promise<void> {
  await bench.terminal.start();
  await bench.settle();
}
/** A journal that an earlier run left with these facts about the terminal as a whole. */
function left(facts: Readonly<Record<string, JsonValue>>): MemoryJournal {
  const journal = new MemoryJournal();
  journal.facts.set('', new Map(Object.entries(facts)));
  return journal;
}
const byHours = { unlock: [{ schedule: 'office' }] };

describe('doors kept in their modes', () => {
  it('by nobody before the disk has told whether a lockdown stands', async () => {
    const journal = left({ 'site/lockdown': {} });
    journal.fault = new Fault('journal-full', 'no space');
    build({ journal }, byHours);
    await begin();
    await bench.clock.advanceAsync(3 * minuteMs);
    expect(bench.locked()).toBe(true);
    journal.facts.clear();
    journal.fault = undefined;
    await bench.clock.advanceAsync(minuteMs);
    expect(bench.locked()).toBe(false);
  });

  it('by the policy as it was last known while it does not answer, to the end of a hold', async () => {
    build({}, byHours);
    await begin();
    expect(bench.locked()).toBe(false);
    bench.policy.doorPolicy = () => new Promise(() => undefined);
    await bench.clock.advanceAsync(7 * 60 * minuteMs - 1);
    expect(bench.locked()).toBe(false);
    await bench.clock.advanceAsync(1_001);
    expect(bench.locked()).toBe(true);
  });

  // a door that fire does not hold has no need to know of it
  it.each([
    ['hold/door-1', [true, false]],
    ['site/fire', [false, false]],
    ['site/lockdown', [true, true]],
  ])(
    'though the fact "%s" cannot be read: whatever needs it is locked, exit requests unlock',
    async (key, locked) => {
      build({ journal: left({ [key]: { written: 'by nobody' } }) }, byHours, byHours);
      await begin();
      expect([bench.locked('door-1'), bench.locked('door-2')]).toEqual(locked);
      bench.doors.get('door-1')?.pressExit(true);
      await bench.settle();
      expect(bench.locked()).toBe(false);
    },
  );

  it('by conditions of the zones its configuration names, where no reader tells of them', async () => {
    const doors = ['door-1', 'door-2'].map((doorId) => ({
      doorId,
      settings: doorSettingsSchema.parse({}),
      ...(doorId === 'door-2' && { zones: ['lab'] }),
    }));
    const journal = left({ 'site/lockdown': { zones: ['lab'] } });
    build({ journal, settings: { doors } }, byHours, byHours);
    await begin();
    expect([bench.locked('door-1'), bench.locked('door-2')]).toEqual([false, true]);
  });
});

it('a stuck exit request unlocks in an evacuation', async () => {
  build({ journal: left({ 'site/evacuation': {} }) }, {});
  await begin();
  bench.doors.get('door-1')?.pressExit(true);
  await bench.clock.advanceAsync(10 * minuteMs);
  expect(bench.locked()).toBe(false);
});

it('who passes a gate that is held open is in the journal', async () => {
  const settings = doorSettingsSchema.parse({ passage: 'fitted' });
  build({ settings: { doors: ['door-1', 'door-2'].map((doorId) => ({ doorId, settings })) } }, byHours);
  await begin();
  bench.doors.get('door-1')?.pass(true);
  await bench.settle();
  const events = bench.journal.records.filter(({ kind }) => kind === 'door').map(({ body }) => body);
  expect(events.at(-1)).toMatchObject({ event: 'passed', by: 'hold' });
});
