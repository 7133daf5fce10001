import { join } from 'node:path';
import { pino } from 'pino';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { GuardedDoors } from '#adapters/process/guarded-doors.ts';
import { JournalStore } from '#adapters/sqlite/journal-store.ts';
import { PolicyStore } from '#adapters/sqlite/policy-store.ts';
import { doorSettingsSchema } from '#core/access/door-settings.ts';
import type { HardwarePart } from '#core/access/door-wiring.ts';
import { DirectReaders } from '#simulators/card/direct-readers.ts';
import { readTestKeys, TestKeys } from '#simulators/card/test-keys.ts';
import { loadVirtualCard } from '#simulators/card/virtual-card.ts';
import { loadCardProfile } from '#terminal/config.ts';
import { createTerminal } from '#terminal/terminal.ts';
import { eventId, eventsOfARun } from './kill-memory.ts';

/**
 * A terminal with real stores, real guard and one door, whose readers, one to each side and one for each event, are
 * tapped by turns and without pause until it is killed. Entering counts a use; each event admits once, and half of the
 * events are those of the terminal before.
 * Usage: node kill-terminal.ts DIRECTORY HARDWARE-PART-JSON RUN; RUN counts from 1; writes `tapping` after its first tap.
 */
const [directory = '', part = '', run = ''] = process.argv.slice(2);
const events = Array.from({ length: 2 * eventsOfARun }, (_, index) =>
  eventId((Number(run) - 1) * eventsOfARun + index),
);
/** both sides are tapped between any two events */
const turns = events.flatMap((event) => ['in', 'out', event]);
const root = new URL('../../', import.meta.url).pathname;
const clock = new SystemClock();
const profile = await loadCardProfile(join(root, 'device-config/card-profiles/synthetic-type-a.yaml'));
const card = await loadVirtualCard(join(root, 'src/simulators/card/decks/employee.yaml'));
const guarded = new GuardedDoors({
  parts: [JSON.parse(part) as HardwarePart],
  doorIds: ['front'],
  readerIds: ['in', 'out', ...events],
});
const readers = new DirectReaders({
  readers: ['in', 'out', ...events].map((readerName) => ({ readerName, profileIds: [profile.id] })),
  profiles: [profile],
  keys: new TestKeys(await readTestKeys()),
  entropy: new SystemEntropy(),
  clock,
});
let taps = 0;
const terminal = createTerminal(
  {
    readers,
    doors: guarded.doors,
    indicators: guarded.indicators,
    pinPads: new Map(),
    policy: new PolicyStore({
      file: join(directory, 'policy.sqlite'),
      journal: join(directory, 'journal.sqlite'),
    }),
    journal: new JournalStore({
      file: join(directory, 'journal.sqlite'),
      terminal: 'killed',
      signing: await openDeviceKey(directory),
      clock,
      reserveMiB: 8,
      checkpointEntries: 50,
    }),
    clock,
    log: pino({ level: 'error' }),
    observe: (event) => {
      if (event.kind !== 'tap') return;
      taps += 1;
      if (taps === 1) process.stdout.write('tapping\n');
      // now and then long enough for the strike to relock in between
      if (Math.random() < 0.05) setTimeout(tap, 550);
      else setImmediate(tap);
    },
  },
  {
    terminalId: 'killed',
    readers: [
      {
        readerId: 'in',
        readerName: 'in',
        doorId: 'front',
        from: 'street',
        to: 'hall',
        service: { id: 'lunch' },
      },
      { readerId: 'out', readerName: 'out', doorId: 'front', from: 'hall', to: 'street' },
      ...events.map((id) => ({ readerId: id, readerName: id, doorId: 'front', service: { id } })),
    ],
    doors: [{ doorId: 'front', settings: doorSettingsSchema.parse({ contact: 'none', strikeMs: 500 }) }],
    pin: { timeoutMs: 20_000, digits: new Map() },
    decisionDeadlineMs: 5_000,
    interlocks: [],
    automation: { rules: [], inputs: [], outputs: [] },
    virtualReaders: 'allowed',
  },
);
const tap = (): void => readers.insert(turns[taps % turns.length] ?? '', card);
await guarded.start();
await terminal.start();
tap();
