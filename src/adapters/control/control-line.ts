import { z } from 'zod';
import { Fault, type FaultCode, faultCodes } from '#core/fault.ts';
import { type CommandResult, commandResultSchema, type LocalCommand } from '#core/sync/command.ts';

/**
 * One command, then its answer, each one line of JSON in UTF-8. A command is short; an answer may list everybody in a
 * building.
 */
export const commandLimitBytes = 16_384;
export const answerLimitBytes = 256 * 1_048_576;

const errorSchema = z.strictObject({
  error: z.strictObject({ fault: z.enum(faultCodes), message: z.string() }),
});
const answerSchema = z.union([commandResultSchema, errorSchema]);

export function commandLine(command: LocalCommand): string {
  return `${JSON.stringify(command)}\n`;
}

export function resultLine(result: CommandResult): string {
  return `${JSON.stringify(result)}\n`;
}

export function errorLine(fault: FaultCode, message: string): string {
  return `${JSON.stringify({ error: { fault, message } })}\n`;
}

/** What a terminal answered. Throws its Fault, or `argument-invalid` for what no terminal of this version answers. */
export function readAnswer(line: string): CommandResult {
  let told: unknown;
  try {
    told = JSON.parse(line);
  } catch {
    throw new Fault('argument-invalid', 'what listens there is no terminal');
  }
  const answer = answerSchema.safeParse(told);
  if (!answer.success) throw new Fault('argument-invalid', 'the terminal is of another version');
  if ('error' in answer.data) throw new Fault(answer.data.error.fault, answer.data.error.message);
  return answer.data;
}
