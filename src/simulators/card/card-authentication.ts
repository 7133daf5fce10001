import type { Command } from '#core/apdu/command.ts';
import type { CardSecureChannel } from '#core/card/channel/secure-channel.ts';
import type { CardAnswer } from './card-answer.ts';

/** The answer to a command of the authentication and, once that has succeeded, the channel it opened. */
export interface AuthenticationAnswer extends CardAnswer {
  readonly channel?: CardSecureChannel;
}

/** How an application of the card authenticates a terminal and itself. */
export interface CardAuthentication {
  /** class bytes it needs beside 00 */
  readonly classes: ReadonlySet<number>;
  /** Takes note of the challenge given, for one authentication. */
  challenged(challenge: Uint8Array): void;
  /** Works on a command that came as `apdu`; undefined when it is none of the authentication. */
  execute(command: Command, apdu: Uint8Array): AuthenticationAnswer | undefined;
  /** Forgets an authentication under way. */
  forget(): void;
}
