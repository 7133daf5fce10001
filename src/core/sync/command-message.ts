import { z } from 'zod';
import type { JsonValue } from '#core/journal/record.ts';
import { type Command, type CommandResult, commandResultSchema, commandSchema } from './command.ts';
import { accepted, type Checked, documentBytes, readDocument, refused } from './document.ts';
import { isSignedByRole, type SignedDocument } from './signed.ts';
import { maxPayloadBytes } from './topics.ts';
import { partyId, type TrustRoot } from './trust.ts';

const format = 1;
/** of the signed bytes: as base64 in its envelope it fits one message, whatever zones it names */
export const longestCommandBytes = 131_072;
const documentSchema = z.strictObject({
  type: z.literal('terminal-command'),
  format: z.literal(format),
  organization: partyId,
  command: commandSchema,
});

/** The bytes to sign of a command. It names the organization too: one key may stand in the roots of two. */
export function commandBytes(organization: string, command: Command): Uint8Array {
  return documentBytes({
    type: 'terminal-command',
    format,
    organization,
    command: commandSchema.parse(command) as JsonValue,
  });
}

/**
 * Whether `terminal` believes a command: signed in the role `command`, by its organization, for itself. Whether it comes
 * in time, and for the first time, whoever carries it out finds.
 */
export function checkCommand(
  document: SignedDocument,
  { root, terminal }: { readonly root: TrustRoot; readonly terminal: string },
): Checked<Command> {
  if (document.raw.length > longestCommandBytes) return refused('oversize');
  if (!isSignedByRole(document, root.roles.command)) return refused('signatures-insufficient');
  const kind = { schema: documentSchema, format, maximumBytes: longestCommandBytes };
  const read = readDocument(document.raw, kind);
  if (read.kind === 'refused') return read;
  if (read.value.organization !== root.organization) return refused('other-organization');
  if (read.value.command.terminal !== terminal) return refused('other-terminal');
  return accepted(read.value.command);
}

const resultSchema = z.object({
  type: z.literal('command-result'),
  format: z.literal(format),
  result: commandResultSchema,
});

/** What a terminal answers. What does not fit one message is cut, and says by how much. */
export function commandResultBytes(result: CommandResult): Uint8Array {
  const bytes = encode(result);
  if (bytes.length <= maxPayloadBytes) return bytes;
  const { rollCall, diagnostics: _, ...rest } = result;
  const holders = rollCall?.flatMap(({ zone, holders }) => holders.map((one) => ({ zone, ...one }))) ?? [];
  for (let kept = holders.length; kept > 0; kept = Math.floor(kept / 2)) {
    const short = encode({
      ...rest,
      rollCall: regrouped(holders.slice(0, kept)),
      omitted: holders.length - kept,
    });
    if (short.length <= maxPayloadBytes) return short;
  }
  return encode({ ...rest, omitted: 1 });
}

function regrouped(
  holders: readonly { readonly zone: string; readonly holder: string; readonly sinceMs: number }[],
): NonNullable<CommandResult['rollCall']> {
  return [...Map.groupBy(holders, ({ zone }) => zone)].map(([zone, inside]) => ({
    zone,
    holders: inside.map(({ holder, sinceMs }) => ({ holder, sinceMs })),
  }));
}

function encode(result: CommandResult): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ type: 'command-result', format, result }));
}

/** undefined for what is none */
export function readCommandResult(payload: Uint8Array): CommandResult | undefined {
  if (payload.length > maxPayloadBytes) return undefined;
  try {
    return resultSchema.safeParse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))).data
      ?.result;
  } catch {
    return undefined;
  }
}
