import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
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

test('a command runs what the setup joined, and its source from when one has changed', () => {
  const copy = join(cache, 'copy');
  for (const name of ['src', 'scripts', 'package.json', 'package-lock.json', '.node-version'])
    cpSync(join(root, name), join(copy, name), { recursive: true });
  for (const name of ['node_modules', '.runtime']) symlinkSync(join(root, name), join(copy, name));
  const kazasu = (...words: string[]) => {
    const { status, stdout, stderr } = spawnSync(join(copy, 'scripts/kazasu'), words, { encoding: 'utf8' });
    return { status, told: stdout + stderr };
  };
  const says = (file: string, before: string, after: string) => {
    const text = readFileSync(join(copy, file), 'utf8');
    expect(text).toContain(before);
    writeFileSync(join(copy, file), text.replace(before, after));
  };
  const purpose = 'Terminals for the free space of the My Number Card';
  const { status, stderr } = spawnSync(join(copy, 'scripts/node'), [join(copy, 'scripts/precompile.ts')], {
    encoding: 'utf8',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });

  says('dist/joined/main.js', purpose, 'What was joined');
  expect(kazasu('--help').told).toContain('What was joined');
  // what is beside a source is found
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  expect(kazasu('--version')).toEqual({ status: 0, told: `${version}\n` });
  says('src/core/fault.ts', '', '\n');
  expect(kazasu('--help').told).toContain(purpose);
});
