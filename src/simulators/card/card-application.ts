import type { Command } from '#core/apdu/command.ts';
import { joinResponse, statusWords } from '#core/apdu/response.ts';
import { concat, fromHex } from '#core/bytes/bytes.ts';
import { buildTlv } from '#core/bytes/tlv.ts';
import type { CardSecureChannel } from '#core/card/channel/secure-channel.ts';
import { deriveCardKeys } from '#core/card/diversification.ts';
import type { CardKeys } from '#core/card/keys.ts';
import { type CardAnswer, statusAnswer } from './card-answer.ts';
import type { CardAuthentication } from './card-authentication.ts';
import type { CardApplicationDescription, FileDescription, KeysDescription } from './card-description.ts';
import { CardFiles } from './card-files.ts';
import { CardPins } from './card-pins.ts';
import type { ApplicationState } from './card-state.ts';
import { MutualAuthentication } from './mutual-authentication.ts';
import { Scp03Authentication } from './scp03-authentication.ts';

/** An application of the card, as the card's operating system sees it. */
export interface Application {
  readonly aid: Uint8Array;
  /** file control information, for SELECT with P2 00 */
  readonly controlInformation: Uint8Array;
  /** Forgets the session: channel, challenge, verified PINs, current file. */
  deselect(): void;
  /** Takes note of the challenge given, for one authentication. */
  challenged(challenge: Uint8Array): void;
  /** class bytes it takes beside 00 */
  readonly classes: ReadonlySet<number>;
  /** Works on a command in the clear, which came as `apdu`. */
  execute(command: Command, apdu: Uint8Array): CardAnswer;
  /** Answers a protected command, which came as `apdu`. */
  executeProtected(command: Command, apdu: Uint8Array): Uint8Array;
}

function cardKeysOf({ master, card, diversification, diversifier }: KeysDescription): CardKeys {
  if (card) return { encryption: fromHex(card.encryption), mac: fromHex(card.mac) };
  return deriveCardKeys(fromHex(master ?? ''), diversification, fromHex(diversifier ?? ''));
}

function authenticationOf(parts: CardApplicationParts): CardAuthentication | undefined {
  const { description, randomBytes, ...rest } = parts;
  if (!description.keys) return undefined;
  const keys = cardKeysOf(description.keys);
  if (description.keys.mechanism === 'mutual') {
    return new MutualAuthentication({ parameters: description.keys, keys, randomBytes });
  }
  const aid = fromHex(description.aid);
  return new Scp03Authentication({ description: description.keys, aid, keys, randomBytes, ...rest });
}

/** 6F { 84 AID, A5 { C0 key version, C1 diversifier } }; A5 only where `mutual` needs it. */
function controlInformationOf({ aid, keys }: CardApplicationDescription): Uint8Array {
  const name = buildTlv(0x84, fromHex(aid));
  if (keys?.mechanism !== 'mutual') return buildTlv(0x6f, name);
  const version = buildTlv(0xc0, Uint8Array.of(keys.version));
  const diversifier = keys.diversifier ? buildTlv(0xc1, fromHex(keys.diversifier)) : new Uint8Array();
  return buildTlv(0x6f, concat(name, buildTlv(0xa5, concat(version, diversifier))));
}

export interface CardApplicationParts {
  readonly description: CardApplicationDescription;
  readonly state: ApplicationState;
  readonly stateChanged: () => void;
  readonly randomBytes: (length: number) => Uint8Array;
}

/** A card AP in the free space: files, PINs and, where it has keys, authentication and a secure channel. */
export class CardApplication implements Application {
  readonly aid: Uint8Array;
  readonly controlInformation: Uint8Array;
  readonly classes: ReadonlySet<number>;
  readonly #files: CardFiles;
  readonly #pins: CardPins;
  readonly #authentication: CardAuthentication | undefined;
  #channel: CardSecureChannel | undefined;

  constructor(parts: CardApplicationParts) {
    const { description, state, stateChanged } = parts;
    this.aid = fromHex(description.aid);
    this.controlInformation = controlInformationOf(description);
    this.#files = new CardFiles(description.files);
    this.#pins = new CardPins(state.pins, stateChanged);
    this.#authentication = authenticationOf(parts);
    this.classes = this.#authentication?.classes ?? new Set([0x0c]);
  }

  deselect(): void {
    this.#endSession();
    this.#files.deselect();
  }

  challenged(challenge: Uint8Array): void {
    this.#authentication?.challenged(challenge);
  }

  /** A command in the clear ends a protected session before it is worked on (ICAO Doc 9303-11, 9.8.3). */
  execute(command: Command, apdu: Uint8Array): CardAnswer {
    if (this.#channel) this.#endSession();
    return this.#authenticate(command, apdu) ?? this.#execute(command, false);
  }

  executeProtected(command: Command, apdu: Uint8Array): Uint8Array {
    const channel = this.#channel;
    if (!channel) {
      const { data, status } =
        this.#authenticate(command, apdu) ?? statusAnswer(statusWords.conditionsNotSatisfied);
      return joinResponse(data, status);
    }
    const opened = channel.unwrap(apdu);
    if (opened.kind === 'refused') {
      this.#endSession();
      return joinResponse(new Uint8Array(), opened.status);
    }
    const { data, status } = this.#execute(opened.command, true);
    return channel.wrap(data, status);
  }

  #authenticate(command: Command, apdu: Uint8Array): CardAnswer | undefined {
    const answer = this.#authentication?.execute(command, apdu);
    this.#channel = answer?.channel;
    return answer;
  }

  #execute(command: Command, inChannel: boolean): CardAnswer {
    const allows = (read: FileDescription['read']) =>
      read === 'always' || (inChannel && (read === 'authenticated' || this.#pins.anyVerified));
    if (command.cla !== 0x00) return statusAnswer(statusWords.classNotSupported);
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

  #endSession(): void {
    this.#channel?.close();
    this.#channel = undefined;
    this.#authentication?.forget();
    this.#pins.forget();
  }
}
