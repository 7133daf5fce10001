import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { diagnosticsSchema } from '#core/sync/command.ts';
import { profileFile } from '../contracts/deck.ts';
import { kazasu } from './kazasu.ts';

const program = join(import.meta.dirname, '../../scripts/kazasu');
let folder = '';
let socket = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kazasu-commanded-'));
  socket = join(folder, 'control.sock');
  await writeFile(
    join(folder, 'terminal.yaml'),
    `formatVersion: 1
terminal: entrance
stateDirectory: ${folder}
cardProfiles: [${profileFile('synthetic-type-c')}]
readers: [{ id: reader, name: absent, door: door }]
doors: [{ id: door, strikeTime: 4 s, hardware: { strike: { kind: gpio, chip: absent, line: 1 } } }]
reasons: { 'doors[door].strikeTime': a short way }
journal: { reserveMiB: 8 }
`,
  );
});
afterEach(() => rm(folder, { recursive: true }));

it('the program of a terminal tells its state, what its door does not do, and ends in order when told to restart', async () => {
  const words = ['terminal', 'run', '--config', join(folder, 'terminal.yaml'), '--control', socket];
  const terminal = spawn(program, words, { stdio: 'ignore' });
  const ended = once(terminal, 'exit');
  const tell = (...told: readonly string[]) =>
    kazasu(...told, '--reason', 'test', '--socket', socket, '--json');
  try {
    await vi.waitFor(() => expect(existsSync(socket)).toBe(true), { timeout: 20_000 });
    const { out } = await tell('terminal', 'diagnostics');
    const diagnostics = diagnosticsSchema.parse(JSON.parse(out).diagnostics);
    expect(diagnostics).toMatchObject({
      terminal: 'entrance',
      versions: { node: process.versions.node },
      doors: [{ door: 'door', state: 'locked', fault: 'door-hardware-absent' }],
      readers: [{ reader: 'reader', ready: false }],
    });
    expect(diagnostics.parameters).toContainEqual({ name: 'doors[door].strikeTime', value: '4 s' });
    expect(diagnostics.faults).toContainEqual(
      expect.objectContaining({ code: 'door-hardware-absent', where: 'door' }),
    );
    const unlocked = await tell('door', 'unlock', 'door');
    expect(unlocked.code).toBe(2);
    expect(JSON.parse(unlocked.out).error).toMatchObject({ outcome: 'door-failed' });
    const restarted = await tell('terminal', 'restart');
    expect([restarted.code, JSON.parse(restarted.out).outcome]).toEqual([0, 'done']);
    expect(await ended).toEqual([0, null]);
  } finally {
    terminal.kill('SIGKILL');
    await ended;
  }
  expect(existsSync(socket)).toBe(false);
  const list = [
    'journal',
    'list',
    '--database',
    join(folder, 'journal.sqlite'),
    '--kind',
    'command',
    '--json',
  ];
  const entries = JSON.parse((await kazasu(...list)).out) as {
    entry: { body: { [name: string]: unknown } };
  }[];
  expect(entries.map(({ entry: { body } }) => [body.command, body.outcome])).toEqual([
    ['diagnostics', 'done'],
    ['unlock-once', 'accepted'],
    ['unlock-once', 'door-failed'],
    ['restart', 'accepted'],
    ['restart', 'done'],
  ]);
});
