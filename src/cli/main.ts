import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { reportFailure } from './output.ts';

type Register = (parent: Command) => void;

/** Every command with the module that holds it; only the one called is loaded, so that each starts fast. */
const commands: readonly (readonly [group: string, name: string, load: () => Promise<Register>])[] = [
  ['', 'site', async () => (await import('./site.ts')).registerSite],
  ['', 'readers', async () => (await import('./readers.ts')).registerReaders],
  ['terminal', 'run', async () => (await import('./terminal-run.ts')).registerTerminalRun],
  ['card', 'emulate', async () => (await import('./card-emulate.ts')).registerCardEmulate],
  ['card', 'read', async () => (await import('./card-read.ts')).registerCardRead],
  ['policy', 'import', async () => (await import('./policy-import.ts')).registerPolicyImport],
  ['policy', 'show', async () => (await import('./policy-show.ts')).registerPolicyShow],
  ['journal', 'list', async () => (await import('./journal-list.ts')).registerJournalList],
  ['journal', 'verify', async () => (await import('./journal-verify.ts')).registerJournalVerify],
  ['journal', 'export', async () => (await import('./journal-export.ts')).registerJournalExport],
  ['journal', 'head', async () => (await import('./journal-head.ts')).registerJournalHead],
  ['journal', 'erase', async () => (await import('./journal-erase.ts')).registerJournalErase],
  ['config', 'check', async () => (await import('./config-check.ts')).registerConfigCheck],
  ['config', 'parameters', async () => (await import('./config-parameters.ts')).registerConfigParameters],
  ['door', 'lock', async () => (await import('./door-lock.ts')).registerDoorLock],
];

const groups: Readonly<Record<string, string>> = {
  terminal: 'run a terminal',
  card: 'read a card, or emulate one for tests',
  policy: 'permissions: import and look up',
  journal: 'the record of what happened: list, verify, export, erase',
  config: 'check a terminal’s configuration, list its parameters',
  door: 'the hardware of doors',
};

async function buildProgram(words: readonly string[]): Promise<Command> {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  const program = new Command('kazasu')
    .description('Terminals for the free space of the My Number Card')
    .version(version)
    .option('--json', 'print one JSON document instead of text')
    .showHelpAfterError('(--help shows what is possible)')
    .exitOverride();
  const parents = new Map<string, Command>([['', program]]);
  const called = commands.filter(([group, name]) =>
    group === '' ? words[0] === name : words[0] === group && words[1] === name,
  );
  for (const [group, , load] of called.length === 1 ? called : commands) {
    let parent = parents.get(group);
    if (!parent) {
      parent = program
        .command(group)
        .description(groups[group] ?? '')
        .exitOverride();
      parents.set(group, parent);
    }
    (await load())(parent);
  }
  return program;
}

const words = process.argv.slice(2).filter((word) => !word.startsWith('-'));
try {
  const program = await buildProgram(words);
  await program.parseAsync();
} catch (error) {
  // commander has printed its own errors and help already
  if (error instanceof CommanderError) process.exitCode = error.exitCode;
  else reportFailure(error, process.argv.includes('--json'));
}
