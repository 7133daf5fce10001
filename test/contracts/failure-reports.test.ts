import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const module = new URL('../../src/adapters/os/failure-reports.ts', import.meta.url).href;
let state: string;

beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'kazasu-failures-'));
});
afterEach(() => rmSync(state, { recursive: true }));

/** Runs a program that reports its failures and then does `action`; resolves with its reports. */
function reportsOf(action: string, ...flags: readonly string[]): readonly string[] {
  const program = `
    const { reportFailures } = await import(${JSON.stringify(module)});
    const log = { warn: ({ latest }) => process.stderr.write(String(latest)) };
    process.stdout.write(JSON.stringify(reportFailures(${JSON.stringify(state)}, log)));
    ${action}`;
  const words = [...flags, '--input-type=module', '--eval', program];
  const { stdout } = spawnSync(process.execPath, words, {
    encoding: 'utf8',
    env: { ...process.env, SECRET: 'of-the-environment' },
  });
  return JSON.parse(stdout) as readonly string[];
}

const folder = () => join(state, 'failures');
const written = () => readdirSync(folder()).map((name) => readFileSync(join(folder(), name), 'utf8'));

describe('a process that ends by a failure leaves a report', () => {
  it.each([
    ['an error', 'throw new Error("the cause")'],
    [
      'a promise that nobody waited for',
      'Promise.reject(new Error("the cause")); setInterval(() => {}, 1_000)',
    ],
  ])('of %s', (_, action) => {
    reportsOf(action);
    expect(written()).toHaveLength(1);
    expect(JSON.parse(written()[0] ?? '')).toMatchObject({
      javascriptStack: { message: 'Error: the cause' },
      header: { trigger: 'Exception' },
    });
    expect(written()[0]).not.toContain('of-the-environment');
    expect(statSync(folder()).mode & 0o077).toBe(0);
    // the next start tells of it
    expect(reportsOf('')).toEqual(readdirSync(folder()));
  });

  it('of want of memory', () => {
    const action = 'const all = []; for (;;) all.push(new Array(10_000).fill({}));';
    reportsOf(action, '--max-old-space-size=20');
    expect(JSON.parse(written()[0] ?? '')).toMatchObject({
      header: { event: 'Allocation failed - JavaScript heap out of memory' },
    });
  });
});

it('a process that ends well leaves none, and no more than ten are kept', () => {
  expect(reportsOf('')).toEqual([]);
  expect(readdirSync(folder())).toEqual([]);
  const names = Array.from({ length: 12 }, (_, day) => `report.202611${day + 10}.000000.1.0.001.json`);
  for (const name of names) writeFileSync(join(folder(), name), '{}');
  expect(reportsOf('')).toEqual(names.slice(2));
  expect(readdirSync(folder())).toEqual(names.slice(2));
});

it('where no folder can be made, the program runs all the same', () => {
  writeFileSync(folder(), 'a file');
  expect(reportsOf('')).toEqual([]);
});
