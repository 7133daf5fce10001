import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');
const page = readFileSync(join(root, 'docs/threat-model.md'), 'utf8');
/** in which every test is of an attack */
const ofAttacks = [
  ...globSync('test/contracts/broker-attacks-*.test.ts', { cwd: root }),
  'test/issuance/gateway-attacks.test.ts',
  'test/terminal/connected-attacks.test.ts',
];

/** The attacks of the table, each with the tests that its row names: a file, and a part of the full name. */
function rows() {
  const section = page.split(/^## /m).find((one) => one.startsWith('Attacks that are tried\n')) ?? '';
  const [, , ...lines] = section.split('\n').filter((line) => line.startsWith('|'));
  return lines.map((line) => {
    const [, attack = '', , cell = ''] = line.split('|').map((text) => text.trim());
    return { attack, tests: namedIn(cell) };
  });
}

function namedIn(cell: string): readonly { readonly file: string; readonly title: string }[] {
  return cell.split('; ').flatMap((part) => {
    const [, pattern = '', titles = ''] = /^`([^`]+)` (.+)$/.exec(part) ?? [];
    const files = globSync(pattern, { cwd: root });
    expect(files.length, `a file like ${pattern}`).toBeGreaterThan(0);
    const named = [...titles.matchAll(/“([^”]+)”(?:, |$)/g)].map(([, title = '']) => title);
    expect(named.map((title) => `“${title}”`).join(', '), 'titles in quotes').toBe(titles);
    return files.flatMap((file) => named.map((title) => ({ file, title })));
  });
}

/** Full names of the tests that would be run, by file. */
const run = new Map<string, string[]>();

beforeAll(async () => {
  const files = new Set([...ofAttacks, ...rows().flatMap(({ tests }) => tests.map(({ file }) => file))]);
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  // helpers of tests make some of them: a file is loaded to know what it has
  const words = ['list', '--json', '--staticParse=false', '--no-isolate', '--project', 'unit', ...files];
  const { stdout } = await promisify(execFile)(process.execPath, [vitest, ...words], {
    cwd: root,
    maxBuffer: 2 ** 26,
  });
  for (const { name, file } of JSON.parse(stdout) as { name: string; file: string }[]) {
    const short = file.slice(root.length + 1);
    run.set(short, [...(run.get(short) ?? []), name]);
  }
}, 120_000);

describe('the table of attacks', () => {
  it.each(rows())('$attack: is tried by the tests that the row names', ({ tests }) => {
    expect(tests.length).toBeGreaterThan(0);
    for (const { file, title } of tests)
      expect(
        run.get(file)?.filter((name) => name.includes(title)),
        `${file}: ${title}`,
      ).not.toEqual([]);
  });

  it('has a row for every test of an attack', () => {
    const named = rows().flatMap(({ tests }) => tests);
    const without = ofAttacks.flatMap((file) => {
      const titles = named.filter((one) => one.file === file).map(({ title }) => title);
      return (run.get(file) ?? ['nothing is run']).filter(
        (name) => !titles.some((title) => name.includes(title)),
      );
    });
    expect(without).toEqual([]);
  });
});
