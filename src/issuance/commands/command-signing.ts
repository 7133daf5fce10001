import { toHex } from '#core/bytes/bytes.ts';
import { Fault } from '#core/fault.ts';
import type { Command, CommandAction } from '#core/sync/command.ts';
import { commandBytes, longestCommandBytes } from '#core/sync/command-message.ts';
import { encodeSigned, type Signer, signDocument } from '#core/sync/signed.ts';
import { isSiteAction } from '#core/sync/site-command.ts';
import type { TerminalIdentity } from '#core/sync/terminal-identity.ts';
import type { Entropy } from '#ports/entropy.ts';

/** Keys of the role `command` that sign here, as many as it takes. */
export interface CommandKeys {
  readonly signers: readonly Signer[];
}

/** What a command says, whichever terminal it is for. */
export interface CommandContent {
  readonly action: CommandAction;
  readonly issuedBy: string;
  readonly reason: string;
  readonly validMs: number;
}

/** A command signed for one terminal. */
export interface SignedCommand {
  readonly command_id: string;
  readonly document: Uint8Array;
  readonly issued_at_ms: number;
  readonly expires_at_ms: number;
}

/** a condition is to hold also where clocks differ by some minutes, and harms nobody when it comes a little late */
const conditionValidityMs = 15 * 60_000;

/**
 * Signs a command for one terminal, under a number used once; `givenAtMs` (UTC) says of one that is signed anew when
 * somebody gave it.
 *
 * @throws Fault `argument-invalid` where it is too long
 */
export async function signCommand(
  { action, issuedBy, reason, validMs }: CommandContent,
  { organization, terminal }: TerminalIdentity,
  at: {
    readonly nowMs: number;
    readonly givenAtMs?: number;
    readonly keys: CommandKeys;
    readonly entropy: Entropy;
  },
): Promise<SignedCommand> {
  const { nowMs, givenAtMs, keys, entropy } = at;
  const command: Command = {
    format: 1,
    id: toHex(entropy.bytes(16)).toLowerCase(),
    ...{ terminal, issuedBy, reason, action },
    issuedAtMs: nowMs,
    ...(givenAtMs !== undefined && { givenAtMs }),
    expiresAtMs: nowMs + (isSiteAction(action) ? Math.max(validMs, conditionValidityMs) : validMs),
  };
  const raw = commandBytes(organization, command);
  if (raw.length > longestCommandBytes) throw new Fault('argument-invalid', 'the command is too long');
  return {
    command_id: command.id,
    document: encodeSigned(await signDocument(raw, keys.signers)),
    issued_at_ms: command.issuedAtMs,
    expires_at_ms: command.expiresAtMs,
  };
}
