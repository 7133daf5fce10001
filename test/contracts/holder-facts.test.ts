import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { HolderFactsStore } from '#adapters/sqlite/holder-facts-store.ts';
import { JournalStore } from '#adapters/sqlite/journal-store.ts';
import type { StateChange } from '#core/access/access-state.ts';
import { resetZone } from '#core/access/rules/position.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';

let folder = '';
let journal: JournalStore;
let store: HolderFactsStore;
const clock = new SimulatedClock({ utcMs: Date.UTC(2026, 10, 16, 3) });

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kazasu-holders-'));
  const file = join(folder, 'journal.sqlite');
  store = new HolderFactsStore({ file });
  const signing = await openDeviceKey(folder);
  journal = new JournalStore({ file, terminal: 'test', signing, clock, reserveMiB: 8 });
});
afterEach(async () => {
  await journal.stop();
  rmSync(folder, { recursive: true });
});

async function change(changes: readonly StateChange[]): Promise<void> {
  const when = { atMs: clock.utcMs(), monotonicUs: clock.monotonicUs(), bootId: clock.bootId() };
  await journal.append([{ kind: 'terminal', ...when, clock: 'trusted', body: {}, changes }]);
}
const at = (holderId: string, zone: string | null, utcMs: number): StateChange => {
  const since = { terminal: 'test', utcMs, trusted: true, monotonicMs: 0, bootId: 'b' };
  return { key: 'at', holderId, value: { zone, epoch: 0, since } };
};

it('knows nothing where there is no journal yet', async () => {
  expect(await store.whereabouts()).toEqual([]);
  expect(await store.of('h1')).toEqual(new Map());
});

it('tells who is in which zone while the journal is written, the longest inside first', async () => {
  await journal.start();
  await change([
    at('h1', 'lab', 2_000),
    at('h2', 'lab', 1_000),
    at('h3', 'hall', 3_000),
    at('h4', null, 4_000),
    { key: 'passed/door/x/lab', holderId: 'h5', value: 1 },
  ]);
  const lab = {
    zone: 'lab',
    holders: [
      { holder: 'h2', sinceMs: 1_000 },
      { holder: 'h1', sinceMs: 2_000 },
    ],
  };
  const hall = { zone: 'hall', holders: [{ holder: 'h3', sinceMs: 3_000 }] };
  expect(await store.whereabouts()).toEqual([hall, lab]);
  expect(await store.whereabouts('lab')).toEqual([lab]);
  expect(await store.whereabouts('cellar')).toEqual([]);
  await change(resetZone('lab', { shared: () => undefined }));
  expect(await store.whereabouts()).toEqual([hall]);
});

it('tells the facts of one holder, however many ask at once', async () => {
  await journal.start();
  await change([at('h1', 'lab', 1), { key: 'uses/taxi', holderId: 'h1', value: 3 }, at('h2', 'hall', 2)]);
  const answers = await Promise.all(['h1', 'h2', 'h3'].map((holder) => store.of(holder)));
  expect(answers.map((facts) => [...facts.keys()])).toEqual([['at', 'uses/taxi'], ['at'], []]);
});

it('pages through facts, those of the terminal too, by the beginning of their keys', async () => {
  expect(await store.page({ prefix: '', limit: 10 })).toEqual([]);
  await journal.start();
  await change([
    { key: 'out/count/lab', value: 1 },
    { key: 'count/lab', value: 2 },
    { key: 'out/at', holderId: 'h2', value: 3 },
    { key: 'at', holderId: 'h1', value: 4 },
    { key: 'out/at', holderId: 'h1', value: 5 },
    { key: 'outer', holderId: 'h1', value: 6 },
  ]);
  const named = (facts: Awaited<ReturnType<typeof store.page>>) =>
    facts.map(({ holderId, key, value }) => `${holderId} ${key} ${value}`);
  const first = await store.page({ prefix: 'out/', limit: 2 });
  expect(named(first)).toEqual([' out/count/lab 1', 'h1 out/at 5']);
  const after = first.at(-1);
  expect(named(await store.page({ prefix: 'out/', limit: 2, ...(after && { after }) }))).toEqual([
    'h2 out/at 3',
  ]);
  const all = named(await store.page({ prefix: '', limit: 10 })).filter((fact) => !fact.includes('clock/'));
  expect(all).toEqual([
    ' count/lab 2',
    ' out/count/lab 1',
    'h1 at 4',
    'h1 out/at 5',
    'h1 outer 6',
    'h2 out/at 3',
  ]);
});
