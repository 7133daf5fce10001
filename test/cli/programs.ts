import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect } from 'vitest';
import { kazasu } from './kazasu.ts';

const main = join(import.meta.dirname, '../../src/cli/main.ts');
const running = new Set<ChildProcess>();

/** A program of ours that runs until it is ended. */
export interface Program {
  readonly faults: readonly string[];
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<unknown>;
}

/** Runs a program and resolves when it has logged `message`. */
export async function run(message: string, ...words: readonly string[]): Promise<Program> {
  const child = spawn(process.execPath, [main, ...words], { stdio: ['ignore', 'pipe', 'inherit'] });
  running.add(child);
  child.once('exit', () => running.delete(child));
  const logged: string[] = [];
  const faults: string[] = [];
  const waiting = Promise.withResolvers<void>();
  createInterface(child.stdout).on('line', (line) => {
    const { msg, fault } = JSON.parse(line) as { msg: string; fault?: string };
    logged.push(msg);
    if (fault !== undefined) faults.push(fault);
    if (msg === message) waiting.resolve();
  });
  child.once('exit', () => waiting.reject(new Error(`ended: ${logged.join('; ')}`)));
  await waiting.promise;
  return {
    faults,
    end: async (signal) => {
      child.kill(signal);
      return (await once(child, 'exit'))[0];
    },
  };
}

/** Kills what a test left running. */
export async function endPrograms(): Promise<void> {
  await Promise.all(
    [...running].map((child) => {
      child.kill('SIGKILL');
      return once(child, 'exit');
    }),
  );
}

/** Runs a command that must succeed, and resolves to what it says. */
export async function done(...words: readonly string[]): Promise<string> {
  const { code, out, err } = await kazasu(...words);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return out;
}
