import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as passed } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import type { TlsCredentials } from '#adapters/mqtt/credentials.ts';
import { TerminalBus } from '#adapters/mqtt/terminal-bus.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import { JournalOutboxStore } from '#adapters/sqlite/journal-outbox-store.ts';
import { JournalStore } from '#adapters/sqlite/journal-store.ts';
import { doorSettingsSchema } from '#core/access/door-settings.ts';
import type { Reading } from '#core/card/reading.ts';
import type { JournalRecord } from '#core/journal/record.ts';
import type { CardReaderEvents } from '#ports/card-reader.ts';
import { JournalTransfer } from '#terminal/journal-transfer.ts';
import { ServerLink } from '#terminal/server-link.ts';
import { createTerminal } from '#terminal/terminal.ts';
import { latencies, nowUs, percentile } from './figures.ts';
import { installPolicy } from './tap-terminal.ts';

/**
 * `node test/bench/backlog.ts [--entries N] [--short]`: taps at a terminal that has nothing to send, and taps while it
 * sends a backlog to a server, over mutual TLS, on the real databases. The server, which has a machine of its own in life,
 * keeps to one core and runs there while the terminal leaves it idle (SCHED_IDLE). Fails above 1.5 times the p99 of an
 * idle terminal, and where the server lacks an entry.
 */
const { values } = parseArgs({
  options: { entries: { type: 'string', default: '100000' }, short: { type: 'boolean', default: false } },
});
const backlog = values.short ? 5_000 : Number(values.entries);
const idleTaps = values.short ? 200 : 800;
const everyMs = 10;
/** entries that wait while taps go on and nothing is behind */
const caughtUp = 400;
const ratioLimit = 1.5;
const reading: Reading = {
  organization: 'kazasu-city',
  profileId: 'synthetic-type-a',
  method: 'type-a',
  userNumber: 'E00012345',
  assurance: ['mutual-authentication', 'message-authentication'],
  keyVersion: 1,
  diversifier: '4B415A41535500000001',
  timings: { connectUs: 0, selectUs: 0, authenticateUs: 0, authenticateCardUs: 0, readUs: 0, exchanges: 4 },
};

const directory = mkdtempSync(join(tmpdir(), 'kazasu-bench-'));
const clock = new SystemClock();
const log = pino({ level: 'warn' });
const signing = await openDeviceKey(directory);
const file = join(directory, 'journal.sqlite');
const newJournal = () =>
  new JournalStore({ file, terminal: 'bench', signing, clock, reserveMiB: values.short ? 32 : 256 });
const server = await startServer();
await fill();
const journal = newJournal();
const cards = Promise.withResolvers<CardReaderEvents>();
const terminal = await buildTerminal();
await terminal.start();
const events = await cards.promise;
const link = await connected();
try {
  await taps(idleTaps);
  const before = await taps(idleTaps);
  const began = nowUs();
  await link.start();
  const during = await taps(idleTaps / 2, async () => (await waiting()) < caughtUp);
  const tookS = (nowUs() - began) / 1e6;
  const after = await taps(idleTaps);
  await drained();
  process.exitCode = (await report({ before, during, after, tookS })) || values.short ? 0 : 1;
} finally {
  await link.stop();
  await terminal.stop();
  server.disconnect();
  rmSync(directory, { recursive: true, force: true });
}

async function startServer(): Promise<ChildProcess> {
  const module = fileURLToPath(new URL('./backlog-server.ts', import.meta.url));
  const pinned = availableParallelism() > 1 ? ['taskset', '-c', '1'] : [];
  const child = spawn('chrt', ['--idle', '0', ...pinned, process.execPath, module], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced',
  });
  await once(child, 'message');
  return child;
}

/** Writes the backlog: entries as taps make them. */
async function fill(): Promise<void> {
  const store = newJournal();
  await store.start();
  const record = (index: number): JournalRecord => ({
    kind: 'decision',
    atMs: clock.utcMs(),
    monotonicUs: clock.monotonicUs(),
    bootId: clock.bootId(),
    clock: 'trusted',
    tapId: index.toString(16).padStart(32, '0'),
    body: {
      door: 'door',
      reader: 'reader',
      result: 'granted',
      path: [{ rule: 'groups', verdict: 'passed' }],
    },
    personal: { userNumber: `E${String(index).padStart(8, '0')}`, holder: `holder-${index}` },
  });
  for (let at = 0; at < backlog; at += 1_000) {
    await store.append(Array.from({ length: 1_000 }, (_, index) => record(at + index)));
  }
  await store.stop();
}

async function buildTerminal() {
  const policy = await installPolicy(directory);
  const door = { start: async () => undefined, stop: async () => undefined, lock: async () => undefined };
  return createTerminal(
    {
      readers: {
        list: () => [],
        start: async (given) => cards.resolve(given),
        stop: async () => undefined,
      },
      doors: new Map([['door', { ...door, unlock: async () => undefined }]]),
      indicators: new Map(),
      pinPads: new Map(),
      policy,
      journal,
      clock,
      log,
    },
    {
      terminalId: 'bench',
      readers: [{ readerId: 'reader', readerName: 'reader', doorId: 'door' }],
      doors: [{ doorId: 'door', settings: doorSettingsSchema.parse({ contact: 'none', strikeMs: 500 }) }],
      pin: { timeoutMs: 20_000, digits: new Map() },
      decisionDeadlineMs: 5_000,
      interlocks: [],
      automation: { rules: [], inputs: [], outputs: [] },
      virtualReaders: 'allowed',
    },
  );
}

/** What connects the terminal as the program does, once it is started. */
async function connected() {
  const answer = once(server, 'message');
  server.send(signing.publicKey());
  const [{ port, credentials }] = (await answer) as [{ port: number; credentials: TlsCredentials }];
  const identity = { organization: 'city', terminal: 'bench' };
  const bus = new TerminalBus({
    address: { host: 'localhost', port },
    credentials: async () => credentials,
    identity,
    clock,
    random: Math.random,
    failed: (error) => log.error({ err: error }),
  });
  const transfer = new JournalTransfer({
    ...{ identity, terminal, journal, bus, clock, log, chance: Math.random },
    outbox: new JournalOutboxStore({ file }),
    retentionMs: 90 * 86_400_000,
  });
  const handlers = new Map([['ack', (payload: Uint8Array) => transfer.acknowledged(payload)]] as const);
  const parts = { bus, terminal, clock, log, handlers, participants: transfer.participants() };
  const serverLink = new ServerLink(parts);
  return {
    start: async () => {
      transfer.start();
      await serverLink.start();
    },
    stop: async () => {
      await Promise.all([serverLink.stop(), transfer.stop()]);
    },
  };
}

async function waiting(): Promise<number> {
  return (await journal.space()).waiting ?? 0;
}

async function drained(): Promise<void> {
  while ((await waiting()) !== 0) await passed(50);
}

/** Holds a card up every so often, at least so many times and until `enough`; microseconds until each was served. */
async function taps(least: number, enough: () => Promise<boolean> = async () => true): Promise<number[]> {
  const samples: number[] = [];
  for (;;) {
    const dueUs = nowUs() + everyMs * 1_000;
    samples.push(await tap(samples.length));
    // the question costs the same thread as the taps: seldom
    if (samples.length >= least && samples.length % 20 === 0 && (await enough())) return samples;
    await passed(Math.max(1, (dueUs - nowUs()) / 1_000));
  }
}

function tap(index: number): Promise<number> {
  const { organization, profileId, diversifier = '' } = reading;
  const beganUs = nowUs();
  return new Promise((resolve) => {
    events.cardDetected('reader');
    events.cardClaimed('reader', { organization, profileId, diversifier });
    events.cardPresented({
      tapId: String(index).padStart(32, '0'),
      readerName: 'reader',
      presentedAtUs: clock.monotonicUs(),
      outcome: { kind: 'reading', reading },
      verifyPin: async () => ({ kind: 'blocked' }),
      end: async () => {
        resolve(nowUs() - beganUs);
        events.cardRemoved('reader');
      },
    });
  });
}

async function report({
  before,
  during,
  after,
  tookS,
}: {
  readonly before: readonly number[];
  readonly during: readonly number[];
  readonly after: readonly number[];
  readonly tookS: number;
}): Promise<boolean> {
  const answer = once(server, 'message');
  server.send('report');
  const [{ entries, alarms }] = (await answer) as [{ entries: number; alarms: readonly unknown[] }];
  const { entries: written } = await journal.space();
  const idle = [...before, ...after];
  const ratio = percentile(during, 0.99) / percentile(idle, 0.99);
  console.log(`taps with nothing to send: ${latencies(idle)} (${idle.length} taps)`);
  console.log(`taps while ${backlog} entries were sent: ${latencies(during)} (${during.length} taps)`);
  console.log(`sent and stored in ${tookS.toFixed(1)} s, ${Math.round(backlog / tookS)} entries/s`);
  console.log(`p99 against idle: ${ratio.toFixed(2)} (at most ${ratioLimit})`);
  console.log(`stored once each: ${entries} of ${written} entries, ${alarms.length} alarms`);
  return ratio <= ratioLimit && entries === written && alarms.length === 0;
}
