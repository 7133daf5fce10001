import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import { JournalFile } from '#adapters/sqlite/journal-file.ts';
import { JournalReader } from '#adapters/sqlite/journal-reader.ts';
import { JournalStore } from '#adapters/sqlite/journal-store.ts';
import type { JournalRecord } from '#core/journal/record.ts';
import { verifyJournal } from '#core/journal/verify.ts';
import { latencies, nowUs } from './figures.ts';

/**
 * `node test/bench/journal.ts [--short] [--directory DIR]`: appends one after the other and many at once, with and
 * without waiting for the disk, then the verification of all of it. DIR is on the disk to measure.
 */
const short = process.argv.includes('--short');
const at = process.argv.indexOf('--directory');
const parent = at === -1 ? tmpdir() : (process.argv[at + 1] ?? tmpdir());
const single = short ? 200 : 2_000;
const bursts = short ? 20 : 200;
const burst = 100;
const directory = mkdtempSync(join(parent, 'kazasu-bench-'));
const clock = new SystemClock();
try {
  const signing = await openDeviceKey(directory);
  const file = join(directory, 'journal.sqlite');
  const journal = new JournalStore({ file, terminal: 'bench', signing, clock, reserveMiB: 64 });
  const start = nowUs();
  await journal.start();
  console.log(`first start, 64 MiB reserved: ${((nowUs() - start) / 1_000).toFixed(0)} ms`);

  const waits: number[] = [];
  for (let index = 0; index < single; index += 1) {
    const from = nowUs();
    await journal.append([record(index)]);
    waits.push(nowUs() - from);
  }
  console.log(`one append at a time, durable: ${latencies(waits)}`);

  const from = nowUs();
  const grouped: number[] = [];
  for (let round = 0; round < bursts; round += 1) {
    const began = nowUs();
    const all = Array.from({ length: burst }, (_, index) =>
      journal.append([record(index)]).then(() => grouped.push(nowUs() - began)),
    );
    await Promise.all(all);
  }
  const perSecond = (bursts * burst) / ((nowUs() - from) / 1e6);
  console.log(`${burst} appends at once: ${Math.round(perSecond)} entries/s, durable; ${latencies(grouped)}`);
  await journal.stop();

  const again = nowUs();
  await journal.start();
  console.log(`start with ${single + bursts * burst} entries: ${((nowUs() - again) / 1_000).toFixed(0)} ms`);
  await journal.stop();
  await measureWithoutDisk();
  await measureVerification(file, signing.publicKey());
} finally {
  rmSync(directory, { recursive: true, force: true });
}

/** The same work in the same thread with nothing made durable: what the disk costs is the difference. */
async function measureWithoutDisk(): Promise<void> {
  const file = join(directory, 'volatile.sqlite');
  const journal = JournalFile.open({ file, terminal: 'bench', create: true, reserveMiB: 8 });
  journal.database().pragma('synchronous = OFF');
  const samples: number[] = [];
  for (let index = 0; index < single; index += 1) {
    const from = nowUs();
    journal.append([[record(index)]]);
    samples.push(nowUs() - from);
  }
  journal.close();
  console.log(`one append in the writer's thread, not durable: ${latencies(samples)}`);
}

async function measureVerification(file: string, publicKey: Uint8Array): Promise<void> {
  const reader = new JournalReader({ file });
  await reader.start();
  const from = nowUs();
  const report = await verifyJournal(reader.items(), {
    publicKeys: [publicKey],
    heads: [],
    personalIncluded: true,
    checkpointEveryEntries: 1_000,
  });
  await reader.stop();
  if (!report.sound) throw new Error(JSON.stringify(report.findings));
  const perSecond = report.entries / ((nowUs() - from) / 1e6);
  console.log(`verification: ${Math.round(perSecond)} entries/s`);
}

function record(index: number): JournalRecord {
  return {
    kind: 'decision',
    atMs: clock.utcMs(),
    monotonicUs: clock.monotonicUs(),
    bootId: clock.bootId(),
    clock: 'trusted',
    tapId: index.toString(16).padStart(32, '0'),
    body: {
      door: 'main',
      reader: 'outside',
      result: 'granted',
      basis: { policyVersion: 12, doorId: 'main', timeMs: 1, clock: 'trusted', demanded: ['pin'] },
      card: { organization: 'city', profile: 'type-a', method: 'type-a', assurance: ['pin'] },
    },
    personal: { userNumber: `A${String(index).padStart(8, '0')}`, diversifier: '00112233445566778899' },
  };
}
