import { randomBytes } from 'node:crypto';
import { userInfo } from 'node:os';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { giveCommand } from '#adapters/control/give-command.ts';
import { Fault } from '#core/fault.ts';
import {
  type CommandAction,
  type CommandResult,
  type LocalCommand,
  localCommandSchema,
} from '#core/sync/command.ts';
import { commandKindText, commandOutcomeText } from '#core/texts/commands.ts';
import { type Language, languages } from '#core/texts/language.ts';
import { createOutput } from './output.ts';

/** where the service listens (systemd/tmpfiles.d) */
const serviceSocket = '/run/kazasu/control.sock';
/** longer than a terminal takes to say that it does not know */
const answerWithinMs = 120_000;
/** exit code where a terminal was asked and did not do it */
const refusedCode = 2;

interface OperatorOptions {
  readonly reason: string;
  readonly socket: string;
  readonly language: Language;
  readonly json?: boolean;
}

/** How a command of an operator reaches a terminal. */
export interface CommandWay {
  /** What every command takes by this way. */
  options(command: Command): Command;
  /**
   * Gives `action` and prints what came of it; `text` says more than the outcome where it was done. Rejects with the
   * Fault of a terminal, or a server, that could not be asked.
   */
  operate(
    command: Command,
    action: CommandAction,
    text?: (result: CommandResult, language: Language) => string,
  ): Promise<void>;
}

/** What every command to a terminal takes: why, where it listens, in which language it answers. */
function operatorOptions(command: Command): Command {
  return command
    .requiredOption('--reason <text>', 'Why; it is recorded with who, as the operating system names you')
    .option('--socket <path>', 'Where the terminal listens', serviceSocket)
    .addOption(
      new Option('--language <language>', 'Language of the answer').choices([...languages]).default('ja'),
    )
    .addHelpText('after', '\nExit codes: 0 done, 1 could not be asked, 2 the terminal did not do it.');
}

async function operate(
  command: Command,
  action: CommandAction,
  text?: (result: CommandResult, language: Language) => string,
): Promise<void> {
  const { reason, socket, language, json = false } = command.optsWithGlobals<OperatorOptions>();
  const result = await giveCommand(socket, commandOf(action, reason), answerWithinMs);
  const { outcome, known, fault } = result;
  if (outcome === 'done') {
    const { format: _, ...told } = result;
    const words =
      text?.(result, language) ??
      `${commandKindText(action.kind, language)}: ${commandOutcomeText(outcome, language)}`;
    createOutput(json).result(told, words);
    return;
  }
  process.exitCode = refusedCode;
  const names = known && known.length > 0 ? ` (${known.join(', ')})` : '';
  const cause = fault === undefined ? '' : ` (${fault})`;
  const message = `${commandKindText(action.kind, language)}: ${commandOutcomeText(outcome, language)}${names}${cause}`;
  if (json) {
    const error = { fault: 'command-refused', message, outcome, ...(known && { known }) };
    process.stdout.write(`${JSON.stringify({ error }, null, 2)}\n`);
  } else process.stderr.write(`kazasu: command-refused: ${message}\n`);
}

/** At the socket of a terminal that runs on this machine. */
export const onDevice: CommandWay = { options: operatorOptions, operate };

function commandOf(action: CommandAction, reason: string): LocalCommand {
  const id = randomBytes(16).toString('hex');
  const command = localCommandSchema.safeParse({ format: 1, id, issuedBy: whoAsks(), reason, action });
  if (command.success) return command.data;
  const [problem] = command.error.issues;
  const name = problem?.path.at(-1);
  throw new Fault(
    'argument-invalid',
    `${name === undefined ? '' : `${String(name)}: `}${problem?.message ?? 'wrong'}`,
  );
}

/** The login name, as this program is told it: the terminal cannot check it, and records that it came from here. */
function whoAsks(): string {
  const { username } = userInfo();
  const before = process.env.SUDO_USER;
  return before === undefined || before === username ? username : `${before} (${username})`;
}

const units: Readonly<Record<string, number>> = { s: 1, min: 60, h: 3_600, d: 86_400 };

/** Parser of a commander option: whole seconds of a duration such as `20 s`, `5 min` or `2 h`. */
export function durationSeconds(text: string): number {
  const [, count, unit = ''] = /^([1-9]\d{0,6}) ?(s|min|h|d)$/.exec(text.trim()) ?? [];
  const seconds = Number(count) * (units[unit] ?? Number.NaN);
  if (!Number.isFinite(seconds))
    throw new InvalidArgumentError('write it as "20 s", "5 min", "2 h" or "1 d"');
  return seconds;
}

/** Parser of a commander option: a moment with its offset from UTC, such as `2026-04-01T18:00+09:00`, in milliseconds. */
export function moment(text: string): number {
  const utcMs = Date.parse(text);
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})$/.test(text) || Number.isNaN(utcMs))
    throw new InvalidArgumentError('write it as 2026-04-01T18:00+09:00');
  return utcMs;
}

/** Parser of a commander option that may be given several times. */
export function several(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}
