import { z } from 'zod';
import type { JsonValue } from '#core/journal/record.ts';
import { type Command, type CommandResult, commandResultSchema, commandSchema } from './command.ts';
import { accepted, type Checked, documentBytes, readDocument, refused } from './document.ts';
import { type Present, placeInRollCall, presentInOrder, rollCallOf } from './roll-call.ts';
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

/**
 * What a terminal answers. What does not fit one message is cut, and says by how much; the rest of a roll call can be asked
 * for.
 */
export function commandResultBytes(result: CommandResult): Uint8Array {
  const bytes = encode(result);
  if (bytes.length <= maxPayloadBytes) return bytes;
  const { rollCall = [], diagnostics: _, ...rest } = result;
  const present = presentInOrder(rollCall);
  for (let kept = present.length; kept > 0; kept = Math.floor(kept / 2)) {
    const page = present.slice(0, wholeUpTo(present, kept));
    const last = page.at(-1);
    if (!last) break;
    const next = placeInRollCall(last.holder);
    const short = encode({
      ...rest,
      rollCall: rollCallOf(page),
      omitted: present.length - page.length,
      next,
    });
    if (short.length <= maxPayloadBytes) return short;
  }
  return encode({ ...rest, omitted: 1 });
}

/** At most `count`, so that whoever stands in two zones is whole in one page. */
function wholeUpTo(present: readonly Present[], count: number): number {
  let end = count;
  while (end > 0 && end < present.length && present[end]?.holder === present[end - 1]?.holder) end -= 1;
  return end;
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
