import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, vi } from 'vitest';
import { profileFile } from '../contracts/deck.ts';

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/brokers.md'), 'utf8');
const running = new Set<ChildProcess>();

/** What docs/brokers.md has below a heading. */
export function sectionOf(heading: string): string {
  const section = page.split(/^## /m).find((one) => one.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`docs/brokers.md has nothing of ${heading}`);
  return section;
}

/** The blocks of a section in one language, together. */
export function blocksOf(section: string, language: 'sh' | 'yaml' | 'ini'): string {
  const found = section.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'));
  return [...found].map(([, text = '']) => text).join('');
}

export interface RunningLine {
  readonly child: ChildProcess;
  readonly said: string[];
}

/** Runs one line of the page; resolves when it has ended or, where it stays, when it has said `ready`. */
export async function runLine(
  line: string,
  { ready, env }: { readonly ready?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<RunningLine> {
  // the shell itself becomes a program that stays
  const command = line.endsWith('&') ? `exec ${line.slice(0, -1)}` : line;
  const child = spawn('bash', ['-o', 'pipefail', '-c', command], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  const said: string[] = [];
  const waiting = Promise.withResolvers<void>();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on('line', (text) => {
      said.push(text);
      if (ready !== undefined && text.includes(ready)) waiting.resolve();
    });
  }
  child.once('close', (code) => {
    if (ready === undefined && code === 0) waiting.resolve();
    else waiting.reject(new Error(`${line} ended with ${code}:\n${said.join('\n')}`));
  });
  await waiting.promise;
  return { child, said };
}

/** Resolves with the exit code; at once where it has ended. */
export async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<unknown> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  child.kill(signal);
  return (await once(child, 'exit'))[0];
}

/** Kills what stays of the lines. */
export async function endLines(): Promise<void> {
  await Promise.all([...running].map((child) => ended(child, 'SIGKILL')));
}

/** The first root of the organization `city` in `folder`: the ceremony of docs/trust.md in its shortest form. */
export async function makeRoot(folder: string, platform: string): Promise<void> {
  const at = (name: string) => join(folder, name);
  const trust = (...words: string[]) => runLine(`scripts/kazasu issuance trust ${words.join(' ')}`);
  for (const role of ['root', 'policy', 'command']) await trust('key', at(role));
  const keys = ['root', 'policy', 'command'].map((role) => `--${role}-key ${at(role)}.pub.pem`);
  await trust('root', '--organization city', `--authority ${platform}`, ...keys, '--out', at('root-1'));
  await trust('sign', at('root-1'), '--key', at('root'));
}

/** The configuration of the device `lobby`, whose reader and door are not there. */
export function writeTerminalConfig(file: string, stateDirectory: string): void {
  writeFileSync(
    file,
    `formatVersion: 1
terminal: lobby
stateDirectory: ${stateDirectory}
cardProfiles: [${profileFile('synthetic-type-c')}]
readers: [{ id: reader, name: absent, door: door }]
doors: [{ id: door, hardware: { strike: { kind: gpio, chip: absent, line: 1 } } }]
journal: { reserveMiB: 8 }
`,
  );
}

/** Resolves when the server of `config` has heard of the terminal `lobby` after `sinceMs`. */
export async function heard(config: string, sinceMs: number): Promise<void> {
  const list = `scripts/kazasu issuance terminal list --config ${config} --organization city --json`;
  await vi.waitFor(
    async () => {
      const { said } = await runLine(list);
      const { terminals } = JSON.parse(said.join('')) as {
        terminals: { terminal: string; presence?: { heardAtMs: number } }[];
      };
      const lobby = terminals.find(({ terminal }) => terminal === 'lobby');
      expect(lobby?.presence?.heardAtMs ?? 0).toBeGreaterThan(sinceMs);
    },
    { timeout: 60_000, interval: 300 },
  );
}
