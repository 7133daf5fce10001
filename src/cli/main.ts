import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { Fault } from '#core/fault.ts';
import { endWithOutput, reportFailure } from './output.ts';

type Register = (parent: Command) => void;

/** Every command with the module that holds it; only the one called is loaded, so that each starts fast. */
const commands: readonly (readonly [group: string, name: string, load: () => Promise<Register>])[] = [
  ['', 'site', async () => (await import('./site.ts')).registerSite],
  ['', 'readers', async () => (await import('./readers.ts')).registerReaders],
  ['terminal', 'run', async () => (await import('./terminal-run.ts')).registerTerminalRun],
  ['terminal', 'enrol', async () => (await import('./terminal-enrol.ts')).registerTerminalEnrol],
  ['terminal', 'identify', async () => (await import('./terminal-commands.ts')).registerTerminalIdentify],
  [
    'terminal',
    'diagnostics',
    async () => (await import('./terminal-commands.ts')).registerTerminalDiagnostics,
  ],
  ['terminal', 'restart', async () => (await import('./terminal-commands.ts')).registerTerminalRestart],
  ['card', 'emulate', async () => (await import('./card-emulate.ts')).registerCardEmulate],
  ['card', 'read', async () => (await import('./card-read.ts')).registerCardRead],
  ['card', 'trace', async () => (await import('./card-trace.ts')).registerCardTrace],
  ['card', 'explain', async () => (await import('./card-explain.ts')).registerCardExplain],
  ['card', 'check', async () => (await import('./card-check.ts')).registerCardCheck],
  ['card', 'change-pin', async () => (await import('./card-change-pin.ts')).registerCardChangePin],
  ['policy', 'import', async () => (await import('./policy-import.ts')).registerPolicyImport],
  ['policy', 'rollback', async () => (await import('./policy-rollback.ts')).registerPolicyRollback],
  ['policy', 'show', async () => (await import('./policy-show.ts')).registerPolicyShow],
  ['decision', 'explain', async () => (await import('./decision-explain.ts')).registerDecisionExplain],
  ['decision', 'replay', async () => (await import('./decision-replay.ts')).registerDecisionReplay],
  ['decision', 'test', async () => (await import('./decision-test.ts')).registerDecisionTest],
  ['journal', 'list', async () => (await import('./journal-list.ts')).registerJournalList],
  ['journal', 'verify', async () => (await import('./journal-verify.ts')).registerJournalVerify],
  ['journal', 'export', async () => (await import('./journal-export.ts')).registerJournalExport],
  ['journal', 'head', async () => (await import('./journal-head.ts')).registerJournalHead],
  ['journal', 'attendance', async () => (await import('./journal-attendance.ts')).registerJournalAttendance],
  ['journal', 'erase', async () => (await import('./journal-erase.ts')).registerJournalErase],
  ['config', 'check', async () => (await import('./config-check.ts')).registerConfigCheck],
  ['config', 'parameters', async () => (await import('./config-parameters.ts')).registerConfigParameters],
  ['keys', 'list', async () => (await import('./keys-list.ts')).registerKeysList],
  ['keys', 'import', async () => (await import('./keys-import.ts')).registerKeysImport],
  ['keys', 'destroy', async () => (await import('./keys-destroy.ts')).registerKeysDestroy],
  ['keys', 'retry-pin', async () => (await import('./keys-retry-pin.ts')).registerKeysRetryPin],
  ['keys', 'receiver', async () => (await import('./keys-receiver.ts')).registerKeysReceiver],
  ['keys', 'export-cards', async () => (await import('./keys-export-cards.ts')).registerKeysExportCards],
  ['keys', 'install-cards', async () => (await import('./keys-install-cards.ts')).registerKeysInstallCards],
  ['keys', 'lost', async () => (await import('./keys-lost.ts')).registerKeysLost],
  ['issuance', 'run', async () => (await import('./issuance-run.ts')).registerIssuanceRun],
  [
    'issuance',
    'organization',
    async () => (await import('./issuance-organization.ts')).registerIssuanceOrganization,
  ],
  [
    'issuance',
    'administrator',
    async () => (await import('./issuance-administrator.ts')).registerIssuanceAdministrator,
  ],
  ['issuance', 'rules', async () => (await import('./issuance-rules.ts')).registerIssuanceRules],
  ['issuance', 'group', async () => (await import('./issuance-group.ts')).registerIssuanceGroup],
  ['issuance', 'holder', async () => (await import('./issuance-holder.ts')).registerIssuanceHolder],
  ['issuance', 'trust', async () => (await import('./issuance-trust.ts')).registerIssuanceTrust],
  ['issuance', 'terminal', async () => (await import('./issuance-terminal.ts')).registerIssuanceTerminal],
  ['issuance', 'broker', async () => (await import('./issuance-broker.ts')).registerIssuanceBroker],
  ['issuance', 'command', async () => (await import('./issuance-command.ts')).registerIssuanceCommand],
  ['issuance', 'backup', async () => (await import('./issuance-backup.ts')).registerIssuanceBackup],
  ['issuance', 'restore', async () => (await import('./issuance-backup.ts')).registerIssuanceRestore],
  ['issuance', 'journal', async () => (await import('./issuance-journal.ts')).registerIssuanceJournal],
  ['issuance', 'audit', async () => (await import('./issuance-audit.ts')).registerIssuanceAudit],
  ['door', 'lock', async () => (await import('./door-lock.ts')).registerDoorLock],
  ['door', 'unlock', async () => (await import('./door-commands.ts')).registerDoorUnlock],
  ['door', 'hold', async () => (await import('./door-commands.ts')).registerDoorHold],
  ['door', 'resume', async () => (await import('./door-commands.ts')).registerDoorResume],
  ['condition', 'begin', async () => (await import('./condition-commands.ts')).registerConditionBegin],
  ['condition', 'end', async () => (await import('./condition-commands.ts')).registerConditionEnd],
  ['condition', 'threat', async () => (await import('./condition-commands.ts')).registerConditionThreat],
  ['zone', 'roll-call', async () => (await import('./people-commands.ts')).registerZoneRollCall],
  ['zone', 'reset', async () => (await import('./people-commands.ts')).registerZoneReset],
  [
    'holder',
    'reset-position',
    async () => (await import('./people-commands.ts')).registerHolderResetPosition,
  ],
  ['holder', 'attendance', async () => (await import('./people-commands.ts')).registerHolderAttendance],
];

const groups: Readonly<Record<string, string>> = {
  terminal: 'Enrol a terminal, run it, find it, look into it, restart it',
  card: 'Read cards, change a PIN, find out what is wrong with a card, emulate one',
  policy: 'Permissions: import and look up',
  decision: 'Why taps were decided as they were, and how another policy would decide them',
  journal: 'The record of what happened: list, verify, export, attendance, erase',
  config: 'Check configurations, list the parameters of a terminal',
  keys: 'Master keys in a vault, and the keys of cards at a terminal',
  door: 'Unlock doors, hold them unlocked, lock their hardware',
  condition: 'Lockdown, evacuation, threat level',
  zone: 'Who is in which zone',
  holder: 'What a terminal remembers of a holder',
  issuance: 'The server that issues permissions: run it, set it up, verify its record',
};

async function buildProgram(words: readonly string[], print: (text: string) => void): Promise<Command> {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  const program = new Command('kazasu')
    .description('Terminals for the free space of the My Number Card')
    .version(version, '-V, --version', 'Print the version')
    .option('--json', 'Print one JSON document instead of text')
    .helpOption('-h, --help', 'Show this help')
    .helpCommand('help [command]', 'Show the help of a command')
    .configureHelp({ showGlobalOptions: true })
    // errors are told at the end, in one line, like all others
    .configureOutput({ writeOut: print, writeErr: print, outputError: () => undefined })
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

/** What commander ended with: help and version are results, everything else is a wrong argument. */
function reportUsage(error: CommanderError, { json, printed }: { json: boolean; printed: string }): void {
  if (error.exitCode === 0) {
    const name = error.code === 'commander.version' ? 'version' : 'help';
    process.stdout.write(json ? `${JSON.stringify({ [name]: printed.trimEnd() }, null, 2)}\n` : printed);
    return;
  }
  const nothingNamed = error.code === 'commander.help';
  if (nothingNamed && !json) {
    process.stderr.write(printed);
    process.exitCode = 1;
    return;
  }
  const said = nothingNamed ? 'a command is missing' : error.message.replace(/^error: /, '');
  const text = said.replaceAll(/\s*\n\s*/g, ' ').replace(/\.$/, '');
  reportFailure(new Fault('argument-invalid', `${text}; --help shows what is possible`), json);
}

endWithOutput();
const json = process.argv.includes('--json');
const words = process.argv.slice(2).filter((word) => !word.startsWith('-'));
let printed = '';
try {
  const program = await buildProgram(words, (text) => {
    printed += text;
  });
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) reportUsage(error, { json, printed });
  else reportFailure(error, json);
}
