import { encodeCommand } from '#core/apdu/command.ts';
import { describeStatus, splitResponse, statusWords } from '#core/apdu/response.ts';
import { equalConstantTime } from '#core/bytes/bytes.ts';
import {
  authenticationLength,
  type ChannelParameters,
  type Contribution,
  deriveSession,
  HandshakeKeys,
  isReflection,
  keyMaterialLength,
  nonceLength,
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
  /** the card's static keys; copied until the handshake is closed, zeroed by the caller */
  readonly keys: CardKeys;
  readonly random: (length: number) => Uint8Array;
}

/**
 * The terminal's part of the mutual authentication of ISO 7816-4 style (ICAO Doc 9303-11, 4.3; residence card).
 * Made before the card's challenge is there, so that the ciphers are prepared while the card computes it.
 */
export class TerminalHandshake {
  readonly #parameters: ChannelParameters;
  readonly #keys: HandshakeKeys;
  readonly #own: Contribution;
  #cardNonce: Uint8Array | undefined;

  constructor({ parameters, keys, random }: TerminalHandshakeParts) {
    this.#parameters = parameters;
    this.#keys = new HandshakeKeys(channelSuites[parameters.cipher], keys);
    this.#own = { nonce: random(nonceLength), keyMaterial: random(keyMaterialLength) };
  }

  /**
   * MUTUAL AUTHENTICATE, `00 82 00 00 28 E M 28`, on the card's challenge of 8 bytes.
   * Throws a Fault `card-authentication-failed` when the card's challenge is our own nonce.
   */
  command(cardNonce: Uint8Array): Uint8Array {
    this.#cardNonce = cardNonce;
    if (equalConstantTime(this.#own.nonce, cardNonce)) throw failed('the challenge is our own nonce');
    const data = this.#keys.seal(this.#own, cardNonce);
    return encodeCommand({ cla: 0, ins: 0x82, p1: 0, p2: 0, data, expected: authenticationLength });
  }

  /** Does now, while the card computes, what its answer would have to wait for. */
  prepare(): void {
    this.#keys.prepareToOpen();
  }

  /**
   * Checks the card's answer, the MAC first, and opens the channel.
   * Throws a Fault `card-authentication-failed` or `card-answer-malformed`.
   */
  complete(response: Uint8Array): TerminalChannel {
    const cardNonce = this.#cardNonce;
    if (!cardNonce) throw new Error('a handshake is completed after its command');
    const { data, status } = splitResponse(response);
    if (status !== statusWords.success) throw failed(`the card answered status ${describeStatus(status)}`);
    if (data.length !== authenticationLength) {
      throw new Fault(
        'card-answer-malformed',
        `the card's authentication has ${data.length} bytes instead of ${authenticationLength}`,
      );
    }
    const opened = this.#keys.open(data);
    if (!opened) throw failed('the answer is not authentic (key, key version or card AP differ)');
    const { other: card, ownNonce } = opened;
    try {
      const echoed = equalConstantTime(ownNonce, this.#own.nonce) && equalConstantTime(card.nonce, cardNonce);
      if (!echoed) throw failed('the answer belongs to another authentication');
      if (isReflection(this.#own, card)) throw failed('the answer is our own, sent back');
      return new TerminalChannel(this.#parameters, deriveSession(this.#parameters, this.#own, card));
    } finally {
      card.keyMaterial.fill(0);
    }
  }

  /** Zeroes the keys. */
  close(): void {
    this.#keys.close();
    this.#own.keyMaterial.fill(0);
  }
}
