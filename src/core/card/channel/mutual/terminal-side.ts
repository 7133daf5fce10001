import { encodeCommand } from '#core/apdu/command.ts';
import { describeStatus, splitResponse, statusWords } from '#core/apdu/response.ts';
import { equalConstantTime } from '#core/bytes/bytes.ts';
import {
  authenticationLength,
  type ChannelParameters,
  deriveSession,
  isReflection,
  keyMaterialLength,
  nonceLength,
  openHandshake,
  sealHandshake,
} from '#core/card/channel/mutual/messages.ts';
import { channelSuites } from '#core/card/channel/mutual/suite.ts';
import { TerminalChannel } from '#core/card/channel/mutual/terminal-channel.ts';
import type { CardKeys } from '#core/card/keys.ts';
import { Fault } from '#core/fault.ts';

export const getChallenge = encodeCommand({ cla: 0x00, ins: 0x84, p1: 0, p2: 0, expected: nonceLength });

function failed(why: string): Fault {
  return new Fault('card-authentication-failed', `mutual authentication failed: ${why}`);
}

/** The card's nonce from its answer to GET CHALLENGE. Throws a Fault `card-answer-status` or `card-answer-malformed`. */
export function parseChallenge(response: Uint8Array): Uint8Array {
  const { data, status } = splitResponse(response);
  if (status !== statusWords.success) {
    throw new Fault('card-answer-status', `the card gave no challenge: status ${describeStatus(status)}`);
  }
  if (data.length !== nonceLength) {
    throw new Fault(
      'card-answer-malformed',
      `the card's challenge has ${data.length} bytes instead of ${nonceLength}`,
    );
  }
  return data;
}

export interface TerminalHandshakeParts {
  readonly parameters: ChannelParameters;
  /** the card's static keys; needed until `complete` returns, zeroed by the caller */
  readonly keys: CardKeys;
  readonly cardNonce: Uint8Array;
  readonly randomBytes: (length: number) => Uint8Array;
}

export interface TerminalHandshake {
  /** MUTUAL AUTHENTICATE, 00 82 00 00 28 E M 28 */
  readonly command: Uint8Array;
  /**
   * Checks the card's answer, the MAC first, and opens the channel.
   * Throws a Fault `card-authentication-failed` or `card-answer-malformed`.
   */
  complete(response: Uint8Array): TerminalChannel;
}

/** The terminal's part of the mutual authentication of ISO 7816-4 style (ICAO Doc 9303-11, 4.3; residence card). */
export function beginMutualAuthentication(parts: TerminalHandshakeParts): TerminalHandshake {
  const { parameters, keys, cardNonce, randomBytes } = parts;
  const suite = channelSuites[parameters.cipher];
  const own = { nonce: randomBytes(nonceLength), keyMaterial: randomBytes(keyMaterialLength) };
  if (equalConstantTime(own.nonce, cardNonce)) throw failed('the card returned our own nonce');
  const sealed = sealHandshake(suite, keys, {
    ownNonce: own.nonce,
    otherNonce: cardNonce,
    keyMaterial: own.keyMaterial,
  });
  const command = encodeCommand({
    cla: 0,
    ins: 0x82,
    p1: 0,
    p2: 0,
    data: sealed,
    expected: authenticationLength,
  });

  function complete(response: Uint8Array): TerminalChannel {
    const { data, status } = splitResponse(response);
    if (status !== statusWords.success) throw failed(`the card answered status ${describeStatus(status)}`);
    if (data.length !== authenticationLength) {
      throw new Fault(
        'card-answer-malformed',
        `the card's authentication has ${data.length} bytes instead of ${authenticationLength}`,
      );
    }
    const content = openHandshake(suite, keys, data);
    if (!content) throw failed('the answer is not authentic (key, key version or card AP differ)');
    const card = { nonce: content.ownNonce, keyMaterial: content.keyMaterial };
    const echoed =
      equalConstantTime(content.otherNonce, own.nonce) && equalConstantTime(card.nonce, cardNonce);
    if (!echoed) throw failed('the answer belongs to another authentication');
    if (isReflection(own, card)) throw failed('the answer is our own, sent back');
    const channel = new TerminalChannel(deriveSession(parameters, own, card), parameters.messages);
    own.keyMaterial.fill(0);
    card.keyMaterial.fill(0);
    return channel;
  }

  return { command, complete };
}
