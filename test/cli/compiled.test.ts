import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { asMortal } from './kazasu.ts';

const root = resolve(import.meta.dirname, '../..');
let cache: string;

beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'kazasu-compiled-'));
});

afterEach(() => rmSync(cache, { recursive: true }));

/** Runs a module of this repository with the cache; what is told is its output, and with `debug` what Node does with the cache. */
function run(file: string, { words = [], debug = '' }: { words?: readonly string[]; debug?: string } = {}) {
  const [program = '', ...before] = [...asMortal, process.execPath];
  const { status, stdout, stderr } = spawnSync(program, [...before, join(root, file), ...words], {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
    env: { ...process.env, NODE_COMPILE_CACHE: cache, NODE_DEBUG_NATIVE: debug },
  });
  return { code: status, told: stdout + stderr };
}

const files = () => readdirSync(cache, { recursive: true }).sort();
const stripped = 'saving transpilation cache';

test('the setup compiles every program and runs none', () => {
  expect(run('scripts/precompile.ts')).toEqual({ code: 0, told: '' });
});

test('a terminal starts from what the setup compiled, which it need not be able to write', () => {
  const debug = 'COMPILE_CACHE';
  expect(run('scripts/precompile.ts', { debug }).told).toContain(stripped);
  const before = files();
  for (const name of ['', ...before]) chmodSync(join(cache, String(name)), 0o555);
  try {
    const { code, told } = run('src/terminal/main.ts', {
      words: ['--config', '/absent/terminal.yaml'],
      debug,
    });
    expect({ code, told }).toEqual({ code: 1, told: expect.stringContaining('/absent/terminal.yaml') });
    expect(told).not.toContain(stripped);
    expect(files()).toEqual(before);
  } finally {
    for (const name of ['', ...before]) chmodSync(join(cache, String(name)), 0o755);
  }
});
