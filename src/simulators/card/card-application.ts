import type { Command } from '#core/apdu/command.ts';
import { joinResponse, statusWords } from '#core/apdu/response.ts';
import { concat, fromHex } from '#core/bytes/bytes.ts';
import { buildTlv } from '#core/bytes/tlv.ts';
import type { CardChannel } from '#core/card/channel/mutual/card-channel.ts';
import { answerMutualAuthentication } from '#core/card/channel/mutual/card-side.ts';
import { authenticationLength, nonceLength } from '#core/card/channel/mutual/messages.ts';
import { deriveCardKeys } from '#core/card/diversification.ts';
import type { CardKeys } from '#core/card/keys.ts';
import { type CardAnswer, dataAnswer, statusAnswer, wrongExpected } from './card-answer.ts';
import type { CardApplicationDescription, FileDescription } from './card-description.ts';
import { CardFiles } from './card-files.ts';
import { CardPins } from './card-pins.ts';
import type { PinState } from './card-state.ts';

/** An application of the card, as the card's operating system sees it. */
export interface Application {
  readonly aid: Uint8Array;
  /** file control information, for SELECT with P2 00 */
  readonly controlInformation: Uint8Array;
  /** Forgets the session: channel, challenge, verified PINs, current file. */
  deselect(): void;
  /** Takes note of the challenge given, for one authentication. */
  challenged(challenge: Uint8Array): void;
  execute(command: Command): CardAnswer;
  /** Answers a protected command APDU. */
  executeProtected(apdu: Uint8Array): Uint8Array;
}

type KeysDescription = NonNullable<CardApplicationDescription['keys']>;

function cardKeysOf({ master, card, diversifier }: KeysDescription): CardKeys {
  if (card) return { encryption: fromHex(card.encryption), mac: fromHex(card.mac) };
  return deriveCardKeys(fromHex(master ?? ''), 'an10922', fromHex(diversifier ?? ''));
}

/** 6F { 84 AID, A5 { C0 key version, C1 diversifier } }; A5 only where the application has keys. */
function controlInformationOf({ aid, keys }: CardApplicationDescription): Uint8Array {
  const name = buildTlv(0x84, fromHex(aid));
  if (!keys) return buildTlv(0x6f, name);
  const version = buildTlv(0xc0, Uint8Array.of(keys.version));
  const diversifier = keys.diversifier ? buildTlv(0xc1, fromHex(keys.diversifier)) : new Uint8Array();
  return buildTlv(0x6f, concat(name, buildTlv(0xa5, concat(version, diversifier))));
}

export interface CardApplicationParts {
  readonly description: CardApplicationDescription;
  readonly pins: readonly PinState[];
  readonly pinsChanged: () => void;
  readonly randomBytes: (length: number) => Uint8Array;
}

/** A card AP in the free space: files, PINs and, where it has keys, mutual authentication and secure messaging. */
export class CardApplication implements Application {
  readonly aid: Uint8Array;
  readonly controlInformation: Uint8Array;
  readonly #description: CardApplicationDescription;
  readonly #randomBytes: (length: number) => Uint8Array;
  readonly #files: CardFiles;
  readonly #pins: CardPins;
  readonly #keys: CardKeys | undefined;
  #challenge: Uint8Array | undefined;
  #channel: CardChannel | undefined;

  constructor({ description, pins, pinsChanged, randomBytes }: CardApplicationParts) {
    this.aid = fromHex(description.aid);
    this.controlInformation = controlInformationOf(description);
    this.#description = description;
    this.#randomBytes = randomBytes;
    this.#files = new CardFiles(description.files);
    this.#pins = new CardPins(pins, pinsChanged);
    this.#keys = description.keys && cardKeysOf(description.keys);
  }

  deselect(): void {
    this.#endSession();
    this.#files.deselect();
  }

  challenged(challenge: Uint8Array): void {
    this.#challenge = challenge.length === nonceLength ? challenge : undefined;
  }

  /** A command in the clear ends a protected session before it is worked on (ICAO Doc 9303-11, 9.8.3). */
  execute(command: Command): CardAnswer {
    if (this.#channel) this.#endSession();
    return command.ins === 0x82 ? this.#authenticate(command) : this.#execute(command, false);
  }

  executeProtected(apdu: Uint8Array): Uint8Array {
    const channel = this.#channel;
    if (!channel) return joinResponse(new Uint8Array(), statusWords.conditionsNotSatisfied);
    const opened = channel.unwrap(apdu);
    if (opened.kind === 'refused') {
      this.#endSession();
      return joinResponse(new Uint8Array(), opened.status);
    }
    const { data, status } = this.#execute(opened.command, true);
    return channel.wrap(data, status);
  }

  #execute(command: Command, inChannel: boolean): CardAnswer {
    const allows = (read: FileDescription['read']) =>
      read === 'always' || (inChannel && (read === 'authenticated' || this.#pins.anyVerified));
    switch (command.ins) {
      case 0xa4:
        return this.#files.select(command);
      case 0xb0:
        return this.#files.readBinary(command, allows);
      case 0xb2:
        return this.#files.readRecord(command, allows);
      case 0x20:
        return this.#pins.verify(command, inChannel);
      case 0x24:
        return this.#pins.change(command, inChannel);
      default:
        return statusAnswer(statusWords.instructionNotSupported);
    }
  }

  #authenticate({ p1, p2, data, expected }: Command): CardAnswer {
    const challenge = this.#challenge;
    this.#challenge = undefined;
    const { keys } = this.#description;
    if (!keys || !this.#keys) return statusAnswer(statusWords.instructionNotSupported);
    if (p1 !== 0 || p2 !== 0) return statusAnswer(statusWords.wrongParameters);
    if (data?.length !== authenticationLength) return statusAnswer(statusWords.wrongLength);
    if (expected !== authenticationLength && expected !== 256) return wrongExpected(authenticationLength);
    if (!challenge) return statusAnswer(statusWords.conditionsNotSatisfied);
    const parts = {
      parameters: keys,
      keys: this.#keys,
      cardNonce: challenge,
      random: this.#randomBytes,
    };
    const accepted = answerMutualAuthentication(parts, data);
    if (!accepted) return statusAnswer(statusWords.authenticationFailed);
    this.#channel = accepted.channel;
    return dataAnswer(accepted.answer);
  }

  #endSession(): void {
    this.#channel?.close();
    this.#channel = undefined;
    this.#challenge = undefined;
    this.#pins.forget();
  }
}
