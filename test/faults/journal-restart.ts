import { appendFileSync } from 'node:fs';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import { JournalStore } from '#adapters/sqlite/journal-store.ts';
import { isFault } from '#core/fault.ts';
import type { JournalRecord } from '#core/journal/record.ts';

/**
 * `journal-restart.ts DIRECTORY`, on a small file system: makes a journal, stops it, fills the file system to the
 * last byte, and starts it twice more. Tells in JSON lines what was acknowledged each time.
 */
const [directory = '.'] = process.argv.slice(2);
const clock = new SystemClock();
const signing = await openDeviceKey(directory);

async function startAndAppend(): Promise<void> {
  const journal = new JournalStore({
    file: `${directory}/journal.sqlite`,
    terminal: 'gate',
    signing,
    clock,
    reserveMiB: 2,
  });
  await journal.start();
  const record: JournalRecord = {
    kind: 'terminal',
    atMs: clock.utcMs(),
    monotonicUs: clock.monotonicUs(),
    bootId: clock.bootId(),
    clock: 'trusted',
    body: { event: 'started' },
  };
  const { sequence } = await journal.append([record]);
  process.stdout.write(`${JSON.stringify({ acknowledged: sequence })}\n`);
  await journal.stop();
}

function fillUp(): void {
  try {
    for (;;) appendFileSync(`${directory}/filling`, new Uint8Array(4096));
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ fault: (error as NodeJS.ErrnoException).code })}\n`);
  }
}

try {
  await startAndAppend();
  fillUp();
  await startAndAppend();
  await startAndAppend();
} catch (error) {
  process.stdout.write(`${JSON.stringify({ fault: isFault(error) ? error.code : String(error) })}\n`);
  process.exitCode = 1;
}
