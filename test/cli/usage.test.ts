import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { kazasu, refusal, refusalDocument } from './kazasu.ts';

const root = resolve(import.meta.dirname, '../..');
const commands = [
  'site',
  'readers',
  'terminal run',
  'terminal enrol',
  'card emulate',
  'card read',
  'card trace',
  'card explain',
  'card check',
  'card change-pin',
  'policy import',
  'policy rollback',
  'policy show',
  'decision explain',
  'decision replay',
  'decision test',
  'journal list',
  'journal verify',
  'journal export',
  'journal head',
  'journal attendance',
  'journal erase',
  'config check',
  'config parameters',
  'keys list',
  'keys import',
  'keys destroy',
  'keys receiver',
  'keys export-cards',
  'keys install-cards',
  'keys lost',
  'issuance run',
  'issuance organization',
  'issuance administrator',
  'issuance audit',
  'issuance journal',
  'issuance terminal',
  'issuance holder suspend',
  'issuance holder resume',
  'issuance holder show',
  'issuance holder import',
  'issuance holder export',
  'issuance holder',
  'issuance rules put',
  'issuance rules plan',
  'issuance rules show',
  'issuance rules list',
  'issuance rules cancel',
  'issuance rules',
  'issuance group list',
  'issuance group show',
  'issuance group add',
  'issuance group remove',
  'issuance group',
  'issuance trust',
  'issuance broker config',
  'issuance backup',
  'issuance restore',
  'door lock',
] as const;
const helps = new Map<string, string>();

beforeAll(async () => {
  const left = [...commands];
  const ask = async (): Promise<void> => {
    for (let command = left.shift(); command !== undefined; command = left.shift()) {
      const { code, out, err } = await kazasu(...command.split(' '), '--help');
      expect({ code, err }, command).toEqual({ code: 0, err: '' });
      helps.set(command, out);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, ask));
}, 300_000);

describe('help', () => {
  test('names every command', async () => {
    const { code, out } = await kazasu('--help');
    expect(code).toBe(0);
    for (const command of commands) expect(out).toMatch(new RegExp(`^ {2}${command.split(' ')[0]}\\b`, 'm'));
    for (const group of new Set(
      commands.filter((one) => one.includes(' ')).map((one) => one.split(' ')[0] ?? ''),
    )) {
      const text = (await kazasu(group, '--help')).out;
      for (const command of commands.filter((one) => one.startsWith(`${group} `))) {
        expect(text).toMatch(new RegExp(`^ {2}${command.split(' ')[1]}\\b`, 'm'));
      }
    }
  });

  test.each(commands)(
    '%s: sentences begin with a capital, end without a full stop; placeholders as <file>',
    (command) => {
      const text = helps.get(command) ?? '';
      const description = text.split('\n\n')[1] ?? '';
      expect(description).toMatch(/^[A-Z](?:.|\n)*[^.]$/);
      const rows = [...text.matchAll(/^ {2}((?:-\w, )?--[\w-]+)( <[^>]*>)? {2,}(\S+)/gm)];
      expect(rows.length).toBeGreaterThan(2);
      for (const [row, , placeholder, first] of rows) {
        if (placeholder) expect(placeholder, row).toMatch(/^ <[a-z]+(\.\.\.)?>$/);
        expect(first, row).toMatch(/^[A-Z]/);
      }
      expect(text).toContain('--json');
    },
  );

  test('and the version are one document under --json', async () => {
    expect(JSON.parse((await kazasu('--help', '--json')).out).help).toContain('Usage: kazasu');
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    expect(JSON.parse((await kazasu('--version', '--json')).out)).toEqual({ version });
    expect(await kazasu('--version')).toEqual({ code: 0, out: `${version}\n`, err: '' });
  });
});

describe('a wrong argument is one line, and one document under --json', () => {
  test.each([
    ['nonsense', /unknown command 'nonsense'/],
    ['journal lst', /unknown command 'lst'.*Did you mean list\?/],
    ['readers extra', /too many arguments/],
    ['config check', /missing required argument 'file'/],
    ['journal list', /required option '--database <file>' not specified/],
    ['journal list --database x --limit 0', /whole number from 1/],
    ['journal list --database x --kind nope', /Allowed choices are decision/],
    ['journal list --database x --nope', /unknown option '--nope'/],
    ['site --port 70000', /a port is a number/],
    ['card emulate --card x --slot 2', /slots 0 and 1/],
    ['journal verify', /name either --database or --export/],
    ['journal erase --database x', /name either --before, --sequence, --holder or --former/],
    ['policy import list.txt --database x', /rules end in \.yaml or \.yml, lists of holders in \.csv/],
  ])('%s', async (words, message) => {
    const said = await refusal(...words.split(' '));
    expect(said).toMatch(/^kazasu: argument-invalid: [^\n]+\n$/);
    expect(said).toMatch(message);
    expect(await refusalDocument(...words.split(' '))).toMatchObject({
      fault: 'argument-invalid',
      message: expect.stringMatching(message),
    });
  });

  test('no command at all shows the help, but not as a success', async () => {
    expect(await kazasu()).toMatchObject({ code: 1, out: '', err: expect.stringContaining('Usage: kazasu') });
    expect(await refusalDocument()).toMatchObject({
      message: expect.stringContaining('a command is missing'),
    });
    expect(await refusalDocument('journal')).toMatchObject({ fault: 'argument-invalid' });
  });
});

test('an output that nobody reads ends the command without a word', async () => {
  const child = spawn(process.execPath, [join(root, 'src/cli/main.ts'), '--help'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.destroy();
  let said = '';
  child.stderr.on('data', (piece) => {
    said += piece;
  });
  const [code] = await once(child, 'close');
  expect({ code, said }).toEqual({ code: 141, said: '' });
});

describe('the documentation', () => {
  const pages = [
    'README.md',
    'README.ja.md',
    'docs/commissioning.md',
    'docs/operation.md',
    'docs/permissions.md',
    'docs/cards.md',
    'docs/faults.md',
  ];
  const usages = pages.flatMap((page) =>
    [...readFileSync(join(root, page), 'utf8').matchAll(/scripts\/kazasu ([^\n`#|]+)/g)].map(
      ([, words = '']) => [page, words.trim()] as const,
    ),
  );

  test.each(usages)('%s: scripts/kazasu %s', (_page, words) => {
    // a page may name a command without using it
    if (words === '--help' || commands.some((one) => one === words)) return;
    const command = commands.find((one) => words === one || words.startsWith(`${one} `));
    expect(command, words).toBeDefined();
    const help = helps.get(command ?? '') ?? '';
    for (const [, option] of words.matchAll(/ (--[\w-]+)/g)) expect(help, words).toContain(` ${option}`);
    const takesArgument = /Usage: .* <\w+>/.test(help);
    const first = words.slice(command?.length ?? 0).trim();
    expect(first !== '' && !first.startsWith('-'), words).toBe(takesArgument);
  });

  test('names files that are there', () => {
    for (const page of pages) {
      const text = readFileSync(join(root, page), 'utf8');
      for (const [, file = ''] of text.matchAll(
        /(?<![\w/])((?:device-config|systemd|scripts|docs)\/[\w./-]*\w)/g,
      )) {
        expect(() => readFileSync(join(root, file)), `${page}: ${file}`).not.toThrow(/ENOENT/);
      }
    }
  });
});
