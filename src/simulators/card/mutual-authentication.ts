import type { Command } from '#core/apdu/command.ts';
import { statusWords } from '#core/apdu/response.ts';
import { answerMutualAuthentication } from '#core/card/channel/mutual/card-side.ts';
import {
  authenticationLength,
  type ChannelParameters,
  nonceLength,
} from '#core/card/channel/mutual/messages.ts';
import type { CardKeys } from '#core/card/keys.ts';
import { dataAnswer, statusAnswer, wrongExpected } from './card-answer.ts';
import type { AuthenticationAnswer, CardAuthentication } from './card-authentication.ts';

const mutualAuthenticate = 0x82;

export interface MutualAuthenticationParts {
  readonly parameters: ChannelParameters;
  readonly keys: CardKeys;
  readonly randomBytes: (length: number) => Uint8Array;
}

/** GET CHALLENGE and MUTUAL AUTHENTICATE; secure messaging has the class 0C. */
export class MutualAuthentication implements CardAuthentication {
  readonly classes = new Set([0x0c]);
  readonly #parts: MutualAuthenticationParts;
  #challenge: Uint8Array | undefined;

  constructor(parts: MutualAuthenticationParts) {
    this.#parts = parts;
  }

  challenged(challenge: Uint8Array): void {
    this.#challenge = challenge.length === nonceLength ? challenge : undefined;
  }

  execute(command: Command): AuthenticationAnswer | undefined {
    if (command.cla !== 0x00 || command.ins !== mutualAuthenticate) return undefined;
    const challenge = this.#challenge;
    this.forget();
    return this.#authenticate(command, challenge);
  }

  forget(): void {
    this.#challenge = undefined;
  }

  #authenticate(
    { p1, p2, data, expected }: Command,
    challenge: Uint8Array | undefined,
  ): AuthenticationAnswer {
    if (p1 !== 0 || p2 !== 0) return statusAnswer(statusWords.wrongParameters);
    if (data?.length !== authenticationLength) return statusAnswer(statusWords.wrongLength);
    if (expected !== authenticationLength && expected !== 256) return wrongExpected(authenticationLength);
    if (!challenge) return statusAnswer(statusWords.conditionsNotSatisfied);
    const { parameters, keys, randomBytes: random } = this.#parts;
    const accepted = answerMutualAuthentication({ parameters, keys, cardNonce: challenge, random }, data);
    if (!accepted) return statusAnswer(statusWords.authenticationFailed);
    return { ...dataAnswer(accepted.answer), channel: accepted.channel };
  }
}
