import { equalConstantTime } from '#core/bytes/bytes.ts';
import { CardChannel } from '#core/card/channel/mutual/card-channel.ts';
import {
  type ChannelParameters,
  type Contribution,
  deriveSession,
  HandshakeKeys,
  isReflection,
  keyMaterialLength,
} from '#core/card/channel/mutual/messages.ts';
import { channelSuites } from '#core/card/channel/mutual/suite.ts';
import type { CardKeys } from '#core/card/keys.ts';

export interface CardHandshakeParts {
  readonly parameters: ChannelParameters;
  readonly keys: CardKeys;
  /** the challenge given last; good for one authentication */
  readonly cardNonce: Uint8Array;
  readonly random: (length: number) => Uint8Array;
}

/**
 * The card's part of the mutual authentication: takes the terminal's E || M, returns its own and the open channel;
 * undefined when the terminal is not authentic.
 */
export function answerMutualAuthentication(
  parts: CardHandshakeParts,
  sealed: Uint8Array,
): { readonly answer: Uint8Array; readonly channel: CardChannel } | undefined {
  const { parameters, cardNonce, random } = parts;
  const keys = new HandshakeKeys(channelSuites[parameters.cipher], parts.keys);
  const card = { nonce: cardNonce, keyMaterial: random(keyMaterialLength) };
  let terminal: Contribution | undefined;
  try {
    const opened = keys.open(sealed);
    terminal = opened?.other;
    if (!opened || !terminal || !equalConstantTime(opened.ownNonce, cardNonce)) return undefined;
    if (isReflection(card, terminal)) return undefined;
    const answer = keys.seal(card, terminal.nonce);
    return { answer, channel: new CardChannel(parameters, deriveSession(parameters, terminal, card)) };
  } finally {
    terminal?.keyMaterial.fill(0);
    card.keyMaterial.fill(0);
    keys.close();
  }
}
