import type { Command } from '#core/apdu/command.ts';
import type { Response } from '#core/apdu/response.ts';

/** A response that a secure channel has let through, and what the channel knows of it. */
export interface ChannelResponse extends Response {
  /** its MAC was right: the card sent it as it is, in answer to this very command */
  readonly authentic: boolean;
  /** its data came encrypted; false without data */
  readonly encrypted: boolean;
}

/** The terminal's end of an authenticated channel to a card AP. */
export interface SecureChannel {
  /**
   * Protects a command; a PIN is encrypted whatever the profile says.
   *
   * @throws Fault `card-channel-closed` once the channel is closed
   */
  wrap(command: Command): Uint8Array;
  /**
   * What the card answered to the command wrapped last. Every fault closes the channel for good.
   *
   * @throws Fault `card-message-not-authentic` without the MAC that the channel demands, `card-answer-status` for an
   * error status outside the protection, `card-answer-malformed`, `card-channel-closed`
   */
  unwrap(response: Uint8Array): ChannelResponse;
  /** Zeroes the session keys. Safe to call twice. */
  close(): void;
}

/** A command as the card takes it, or the bare status word that refuses it and ends the session. */
export type OpenedCommand =
  | { readonly kind: 'command'; readonly command: Command }
  | { readonly kind: 'refused'; readonly status: number };

/** The card's end of an authenticated channel. A command that it refuses ends it. */
export interface CardSecureChannel {
  /** Checks and opens a protected command. */
  unwrap(apdu: Uint8Array): OpenedCommand;
  /** Protects the response to the command opened last. */
  wrap(data: Uint8Array, status: number): Uint8Array;
  /** Zeroes the session keys. Safe to call twice. */
  close(): void;
}

/** VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER: their data is a PIN and never travels in the clear. */
const pinInstructions: ReadonlySet<number> = new Set([0x20, 0x24, 0x2c]);

export function carriesPin(instruction: number): boolean {
  return pinInstructions.has(instruction);
}
