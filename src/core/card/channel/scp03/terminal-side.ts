import { encodeCommand } from '#core/apdu/command.ts';
import { describeStatus, splitResponse, statusWords } from '#core/apdu/response.ts';
import { concat, copyOf, equalConstantTime } from '#core/bytes/bytes.ts';
import {
  diversificationDataLength,
  externalAuthenticateInstruction,
  gpClass,
  gpSecureMessaging,
  initializeUpdateInstruction,
  type Scp03Parameters,
  scp03Identifier,
  scp03Lengths,
  scp03Options,
  sequenceLength,
} from '#core/card/channel/scp03/messages.ts';
import { Scp03Session } from '#core/card/channel/scp03/session.ts';
import { Scp03TerminalChannel } from '#core/card/channel/scp03/terminal-channel.ts';
import type { CardKeys } from '#core/card/keys.ts';
import { Fault } from '#core/fault.ts';

function failed(why: string): Fault {
  return new Fault('card-authentication-failed', `mutual authentication failed: ${why}`);
}

function malformed(what: string): Fault {
  return new Fault('card-answer-malformed', `the card's answer is malformed: ${what}`);
}

/** What the card says of itself in its answer to INITIALIZE UPDATE; not authentic before its keys were used. */
export interface Scp03CardData {
  readonly keyVersion: number;
  /** 10 bytes from which its static keys are made */
  readonly diversifier: Uint8Array;
}

interface CardChallenge {
  readonly challenge: Uint8Array;
  readonly cryptogram: Uint8Array;
}

export interface Scp03TerminalHandshakeParts {
  readonly parameters: Scp03Parameters;
  /** key version to ask for; 0 leaves the choice to the card */
  readonly askedKeyVersion: number;
  readonly random: (length: number) => Uint8Array;
}

/**
 * The terminal's part of opening an SCP03 session (Amendment D, 5.3): INITIALIZE UPDATE, then EXTERNAL AUTHENTICATE.
 * The steps are to be taken in the order of the methods.
 */
export class Scp03TerminalHandshake {
  readonly #parameters: Scp03Parameters;
  readonly #askedKeyVersion: number;
  readonly #hostChallenge: Uint8Array;
  #card: CardChallenge | undefined;
  #session: Scp03Session | undefined;

  constructor({ parameters, askedKeyVersion, random }: Scp03TerminalHandshakeParts) {
    this.#parameters = parameters;
    this.#askedKeyVersion = askedKeyVersion;
    this.#hostChallenge = random(scp03Lengths[parameters.mode]);
  }

  /** `80 50 KVN 00 08 host challenge 00` (Amendment D, 7.1.1). */
  initializeUpdate(): Uint8Array {
    return encodeCommand({
      cla: gpClass,
      ins: initializeUpdateInstruction,
      p1: this.#askedKeyVersion,
      p2: 0,
      data: this.#hostChallenge,
      expected: 256,
    });
  }

  /**
   * Takes the card's answer: diversification data (10), key version, 03, i, challenge, cryptogram and, with a
   * pseudo-random challenge, the sequence counter (3) (Amendment D, 7.1.1.6).
   *
   * @throws Fault `card-answer-status`, `card-answer-malformed`
   */
  takeCardData(response: Uint8Array): Scp03CardData {
    const { data, status } = splitResponse(response);
    if (status !== statusWords.success) {
      const text = `the card did not take INITIALIZE UPDATE: status ${describeStatus(status)}`;
      throw new Fault('card-answer-status', text);
    }
    const keyVersionAt = diversificationDataLength;
    const [keyVersion = 0, protocol, options = 0] = data.subarray(keyVersionAt, keyVersionAt + 3);
    const length = scp03Lengths[this.#parameters.mode];
    const challengeAt = keyVersionAt + 3;
    const cryptogramAt = challengeAt + length;
    const end = cryptogramAt + length;
    const hasSequence = (options & scp03Options.pseudoRandomChallenge) !== 0;
    if (protocol !== scp03Identifier) throw malformed('it is no answer of SCP03');
    if (((options & scp03Options.s16) !== 0) !== (this.#parameters.mode === 's16')) {
      throw malformed('its challenges have another length than its profile says');
    }
    if (data.length !== end + (hasSequence ? sequenceLength : 0)) {
      throw malformed(`its SCP03 answer has ${data.length} bytes`);
    }
    this.#card = {
      challenge: data.subarray(challengeAt, cryptogramAt),
      cryptogram: data.subarray(cryptogramAt, end),
    };
    return { keyVersion, diversifier: copyOf(data.subarray(0, diversificationDataLength)) };
  }

  /**
   * Checks the card's cryptogram and makes EXTERNAL AUTHENTICATE, `84 82 level 00 10 host cryptogram, C-MAC`
   * (Amendment D, 7.1.2). `keys` are copied until the handshake is prepared or closed.
   *
   * @throws Fault `card-authentication-failed`
   */
  externalAuthenticate(keys: CardKeys): Uint8Array {
    const card = this.#card;
    if (!card) throw new Error('EXTERNAL AUTHENTICATE follows INITIALIZE UPDATE');
    const session = new Scp03Session(this.#parameters, keys, concat(this.#hostChallenge, card.challenge));
    this.#session = session;
    if (!equalConstantTime(session.cryptogram('cardCryptogram'), card.cryptogram)) {
      throw failed('the card cryptogram is wrong (key, key version or card AP differ)');
    }
    return session.withMac({
      cla: gpClass | gpSecureMessaging,
      ins: externalAuthenticateInstruction,
      p1: Number.parseInt(this.#parameters.level, 16),
      p2: 0,
      data: session.cryptogram('hostCryptogram'),
    });
  }

  /** Makes the keys of protected messages, which the card's check of EXTERNAL AUTHENTICATE leaves time for. */
  prepare(): void {
    this.#opened().prepare();
  }

  /**
   * Takes the card's answer to EXTERNAL AUTHENTICATE; the channel is open, and outlives the handshake.
   *
   * @throws Fault `card-authentication-failed`, `card-answer-malformed`
   */
  complete(response: Uint8Array): Scp03TerminalChannel {
    const { data, status } = splitResponse(response);
    if (status !== statusWords.success) throw failed(`the card answered status ${describeStatus(status)}`);
    if (data.length !== 0) throw malformed('its answer to EXTERNAL AUTHENTICATE has data');
    const session = this.#opened();
    this.#session = undefined;
    return new Scp03TerminalChannel(session);
  }

  /** Zeroes the keys, unless a channel has them. */
  close(): void {
    this.#session?.close();
  }

  #opened(): Scp03Session {
    if (!this.#session) throw new Error('a handshake is prepared and completed after EXTERNAL AUTHENTICATE');
    return this.#session;
  }
}
