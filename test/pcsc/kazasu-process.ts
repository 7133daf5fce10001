import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(...words: readonly string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [main, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const ended = once(child, 'close').then(([code]) => ({ code, stdout, stderr }));
  return { child, ended };
}

/** how long one command may take on a busy machine before it counts as hanging, in milliseconds */
const commandLimitMs = 25_000;

/** Runs a command of the command line to its end; rejects with its words when it hangs. */
export async function kazasu(...words: readonly string[]): Promise<Ended> {
  const { child, ended } = start(...words);
  let hangs = false;
  const limit = setTimeout(() => {
    hangs = true;
    child.kill('SIGKILL');
  }, commandLimitMs);
  const end = await ended;
  clearTimeout(limit);
  if (hangs) throw new Error(`kazasu ${words.join(' ')} hangs, having said: ${end.stdout}${end.stderr}`);
  return end;
}

export interface EmulatedCard {
  stop(): Promise<Ended>;
}

/** Starts `card emulate` and resolves when it says that the card is in the reader. */
export async function emulate(cardFile: string, slot: 0 | 1 = 0): Promise<EmulatedCard> {
  const { child, ended } = start('card', 'emulate', '--card', cardFile, '--slot', String(slot));
  if (child.stderr) await once(child.stderr, 'data');
  return {
    stop: () => {
      child.kill('SIGINT');
      return ended;
    },
  };
}
