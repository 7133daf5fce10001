import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as pass } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { giveCommand } from '#adapters/control/give-command.ts';
import { JournalReader } from '#adapters/sqlite/journal-reader.ts';
import { parseEntry } from '#core/journal/entry.ts';
import { verifyJournal } from '#core/journal/verify.ts';
import type { CommandResult, LocalCommand } from '#core/sync/command.ts';
import { DoorProcess } from '../contracts/door-rigs.ts';

const kills = 6;
/** how many speak at once */
const givers = 6;

const unlock = (id: string): LocalCommand => ({
  format: 1,
  id,
  issuedBy: 'test',
  reason: 'kill',
  action: { kind: 'unlock-once', door: 'front' },
});

/** Commands given again and again, over all terminals: by id, how often each said that it had done it. */
class Flood {
  readonly done = new Map<string, number>();
  readonly #ids: string[] = [];
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Gives commands, half of them given before, until the terminal is gone. */
  async give(): Promise<void> {
    for (;;) {
      const known = this.#ids[Math.floor(Math.random() * this.#ids.length)];
      const id = known !== undefined && Math.random() < 0.5 ? known : randomBytes(16).toString('hex');
      this.#ids.push(id);
      let result: CommandResult;
      try {
        result = await giveCommand(this.#path, unlock(id), 10_000);
      } catch {
        return;
      }
      if (result.outcome === 'done') this.done.set(id, (this.done.get(id) ?? 0) + 1);
    }
  }
}

/** Starts a terminal, floods it with commands, and kills it at a random moment. */
async function killOnce(doors: DoorProcess, flood: Flood): Promise<void> {
  const program = join(import.meta.dirname, 'commanded-terminal.ts');
  const words = [program, doors.directory, JSON.stringify(doors.hardware())];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  await Promise.race([once(child.stdout, 'data'), exited]);
  expect(child.exitCode, 'the terminal runs').toBeNull();
  const giving = Array.from({ length: givers }, () => flood.give());
  await pass(Math.random() * 500);
  child.kill('SIGKILL');
  await Promise.all([exited, ...giving]);
}

it('a terminal killed under commands, each given again and again, does none twice and none unrecorded', async () => {
  const doors = new DoorProcess();
  await doors.start();
  try {
    const flood = new Flood(join(doors.directory, 'control.sock'));
    for (let kill = 0; kill < kills; kill += 1) await killOnce(doors, flood);
    const unlocked = doors
      .record()
      .flatMap(({ what, locked, cause }) => (what === 'command' && locked === false ? [cause] : []));
    expect(unlocked.length).toBeGreaterThan(kills);
    expect(new Set(unlocked).size, 'each moved the door once').toBe(unlocked.length);
    expect([...flood.done.values()].filter((count) => count > 1)).toEqual([]);
    const accepted: unknown[] = [];
    const reader = new JournalReader({ file: join(doors.directory, 'journal.sqlite') });
    await reader.start();
    for await (const item of reader.items()) {
      const entry = item.kind === 'entry' ? parseEntry(item.raw) : undefined;
      if (entry?.kind === 'command' && entry.body.outcome === 'accepted') accepted.push(entry.body.id);
    }
    const verified = { publicKeys: [], heads: [], personalIncluded: true, checkpointEveryEntries: 1_000 };
    const report = await verifyJournal(reader.items(), verified);
    await reader.stop();
    expect(new Set(accepted).size, 'each accepted once').toBe(accepted.length);
    expect(unlocked.filter((id) => !accepted.includes(id))).toEqual([]);
    expect([...flood.done.keys()].filter((id) => !unlocked.includes(id))).toEqual([]);
    expect(report.findings).toEqual([]);
  } finally {
    await doors.stop();
  }
}, 120_000);
