import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import { JournalStore } from '#adapters/sqlite/journal-store.ts';
import { sampleRecord } from '../core/journal/sample-journal.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kazasu-slow-'));
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(directory, { recursive: true, force: true });
});

it('waits for a slow disk: an append given up could still become durable, and be recorded twice', async () => {
  const journal = new JournalStore({
    file: join(directory, 'journal.sqlite'),
    terminal: 'gate',
    signing: await openDeviceKey(directory),
    clock: new SystemClock(),
    reserveMiB: 1,
  });
  await journal.start();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const appended = journal.append([sampleRecord(1)]);
  // time passes on this side of the thread alone, as while the disk stalls on the other
  vi.advanceTimersByTime(60_000);
  vi.useRealTimers();
  await expect(appended).resolves.toMatchObject({ sequence: 1 });
  await journal.stop();
});
