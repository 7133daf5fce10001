import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { JournalReader } from '#adapters/sqlite/journal-reader.ts';
import { verifyJournal } from '#core/journal/verify.ts';

const writerModule = join(import.meta.dirname, 'journal-writer.ts');
let directory: string;
let children: ChildProcess[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kazasu-fault-'));
  children = [];
});

afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

interface Told {
  readonly acknowledged?: number;
  readonly fault?: string;
}

/** Runs the writer and hands over each line it tells. */
function runWriter(command: readonly string[], hear: (told: Told) => void): ChildProcess {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    if (line.startsWith('{')) hear(JSON.parse(line) as Told);
  });
  return child;
}

const closed = (child: ChildProcess) => new Promise<void>((resolve) => child.once('close', () => resolve()));

async function verified(path: string) {
  const reader = new JournalReader({ file: join(path, 'journal.sqlite') });
  await reader.start();
  try {
    return await verifyJournal(reader.items(), {
      publicKeys: [(await openDeviceKey(path)).publicKey()],
      heads: [],
      personalIncluded: true,
      checkpointEveryEntries: 50,
    });
  } finally {
    await reader.stop();
  }
}

describe('the writer killed at any moment', () => {
  const rounds = Number(process.env.KAZASU_KILL_ROUNDS ?? 5);

  test('loses no acknowledged entry, and the next one goes on with the chain', async () => {
    let acknowledged = 0;
    for (let round = 0; round < rounds; round += 1) {
      const until = acknowledged + randomInt(1, 200);
      const child = runWriter([process.execPath, writerModule, directory], (told) => {
        acknowledged = Math.max(acknowledged, told.acknowledged ?? 0);
        if (acknowledged > until) child.kill('SIGKILL');
      });
      await closed(child);
      const report = await verified(directory);
      expect(report.findings).toEqual([]);
      expect(report.chains).toHaveLength(1);
      expect(report.chains[0]?.lastSequence).toBeGreaterThanOrEqual(acknowledged);
      // a group is stored whole or not at all
      expect((report.chains[0]?.lastSequence ?? 1) % 2).toBe(0);
    }
  }, 120_000);
});

describe('the writer killed while it lets go of entries', () => {
  test('leaves a journal that verifies, and goes on with it', async () => {
    let [acknowledged, forgotten] = [0, 0];
    for (let round = 0; round < 5; round += 1) {
      const until = acknowledged + 1_200 + randomInt(1, 200);
      const child = runWriter([process.execPath, writerModule, directory, '4', 'forgets'], (told) => {
        expect(told.fault).toBeUndefined();
        acknowledged = Math.max(acknowledged, told.acknowledged ?? 0);
        if (acknowledged > until) child.kill('SIGKILL');
      });
      await closed(child);
      const report = await verified(directory);
      expect(report.findings).toEqual([]);
      expect(report.chains).toHaveLength(1);
      const [chain] = report.chains;
      expect(chain?.lastSequence).toBeGreaterThanOrEqual(acknowledged);
      expect(chain?.forgottenThrough ?? 0).toBeGreaterThanOrEqual(forgotten);
      forgotten = chain?.forgottenThrough ?? 0;
    }
    expect(forgotten).toBeGreaterThan(1_000);
  }, 120_000);
});

describe('a full disk', () => {
  /**
   * In a mount namespace of its own with a small file system: fills it up while the writer runs, frees it when told
   * to on standard input, and leaves the journal behind for inspection when it ends.
   */
  const script = `
    set -eu
    mount -t tmpfs -o size=8m tmpfs "$1"
    "$2" "$3" "$1" 2 & writer=$!
    read -r _
    cat /dev/zero > "$1/filling" 2>/dev/null || true
    read -r _
    rm "$1/filling"
    read -r _
    kill -KILL $writer
    wait $writer 2>/dev/null || true
    umask 077
    cp -a "$1" "$4"
  `;

  test.skipIf(process.getuid?.() !== 0)(
    'refuses entries once nothing fits any more, and takes them again when there is space',
    async () => {
      const small = join(directory, 'small');
      const kept = join(directory, 'kept');
      mkdirSync(small);
      const seen = { before: 0, atFault: 0, after: 0, fault: '' };
      let phase: 'filling' | 'freeing' | 'ended' = 'filling';
      const command = [
        'unshare',
        '--mount',
        '--pid',
        '--fork',
        '--kill-child',
        '--propagation',
        'private',
        'sh',
        '-c',
        script,
        'sh',
        small,
        process.execPath,
        writerModule,
        kept,
      ];
      const child = runWriter(command, ({ acknowledged, fault }) => {
        if (phase === 'filling' && (acknowledged ?? 0) > 20) {
          seen.before = acknowledged ?? 0;
          phase = 'freeing';
          child.stdin?.write('\n');
        } else if (phase === 'freeing' && fault !== undefined) {
          seen.fault = fault;
          child.stdin?.write('\n');
          phase = 'ended';
        } else if (phase === 'freeing') {
          seen.atFault = Math.max(seen.atFault, acknowledged ?? 0);
        } else if (phase === 'ended' && (acknowledged ?? 0) > seen.atFault + 20) {
          if (seen.after === 0) child.stdin?.write('\n');
          seen.after = Math.max(seen.after, acknowledged ?? 0);
        } else if (phase === 'ended' && seen.after > 0) {
          seen.after = Math.max(seen.after, acknowledged ?? 0);
        }
      });
      await closed(child);
      expect(seen.fault).toBe('journal-full');
      // the space reserved beforehand held out long after the disk was full
      expect(seen.atFault).toBeGreaterThan(seen.before + 500);
      const report = await verified(kept);
      expect(report.findings).toEqual([]);
      expect(report.chains[0]?.lastSequence).toBeGreaterThanOrEqual(seen.after);
      expect((report.chains[0]?.lastSequence ?? 1) % 2).toBe(0);
    },
    120_000,
  );

  test.skipIf(process.getuid?.() !== 0)(
    'does not keep the next start from writing into the space reserved',
    async () => {
      const small = join(directory, 'small');
      mkdirSync(small);
      const told: Told[] = [];
      const program = join(import.meta.dirname, 'journal-restart.ts');
      const mountAndRun = 'mount -t tmpfs -o size=8m tmpfs "$1" && exec "$2" "$3" "$1"';
      const unshare = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', mountAndRun, 'sh'];
      await closed(runWriter([...unshare, small, process.execPath, program], (line) => told.push(line)));
      expect(told).toEqual([
        { acknowledged: 1 },
        { fault: 'ENOSPC' },
        { acknowledged: 2 },
        { acknowledged: 3 },
      ]);
    },
  );
});
