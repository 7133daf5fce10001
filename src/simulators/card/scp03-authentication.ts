import type { Command } from '#core/apdu/command.ts';
import { statusWords } from '#core/apdu/response.ts';
import { fromHex } from '#core/bytes/bytes.ts';
import { Scp03CardHandshake, type Scp03CardHandshakeParts } from '#core/card/channel/scp03/card-side.ts';
import {
  externalAuthenticateInstruction,
  gpClass,
  gpSecureMessaging,
  initializeUpdateInstruction,
  scp03Lengths,
} from '#core/card/channel/scp03/messages.ts';
import type { CardKeys } from '#core/card/keys.ts';
import { dataAnswer, statusAnswer } from './card-answer.ts';
import type { AuthenticationAnswer, CardAuthentication } from './card-authentication.ts';
import type { KeysDescription } from './card-description.ts';
import type { ApplicationState } from './card-state.ts';

const lastSequence = 0xffffff;

export interface Scp03AuthenticationParts {
  readonly description: Extract<KeysDescription, { mechanism: 'scp03' }>;
  readonly aid: Uint8Array;
  readonly keys: CardKeys;
  readonly state: ApplicationState;
  /** keeps the sequence counter before a challenge made from it leaves the card */
  readonly stateChanged: () => void;
  readonly randomBytes: (length: number) => Uint8Array;
}

/** INITIALIZE UPDATE and EXTERNAL AUTHENTICATE of GlobalPlatform; protected commands have the class 84 or 04. */
export class Scp03Authentication implements CardAuthentication {
  readonly classes = new Set([gpClass, gpClass | gpSecureMessaging, gpSecureMessaging]);
  readonly #parts: Scp03AuthenticationParts;
  #handshake: Scp03CardHandshake | undefined;

  constructor(parts: Scp03AuthenticationParts) {
    this.#parts = parts;
  }

  challenged(): void {
    this.forget();
  }

  execute(command: Command, apdu: Uint8Array): AuthenticationAnswer | undefined {
    const { cla, ins } = command;
    const handshake = this.#handshake;
    this.forget();
    if (cla === gpClass && ins === initializeUpdateInstruction) return this.#initialize(command);
    if (cla !== (gpClass | gpSecureMessaging) || ins !== externalAuthenticateInstruction) return undefined;
    if (!handshake) return statusAnswer(statusWords.conditionsNotSatisfied);
    const channel = handshake.accept(apdu);
    if (!channel) return statusAnswer(statusWords.authenticationFailed);
    return { ...statusAnswer(statusWords.success), channel };
  }

  forget(): void {
    this.#handshake = undefined;
  }

  #initialize({ p1, p2, data, expected }: Command): AuthenticationAnswer {
    const { description, keys, aid, state, stateChanged, randomBytes } = this.#parts;
    const { cipher, mode, version, diversifier } = description;
    if (p2 !== 0) return statusAnswer(statusWords.wrongParameters);
    if (p1 !== 0 && p1 !== version) return statusAnswer(statusWords.referenceNotFound);
    if (data?.length !== scp03Lengths[mode] || expected === undefined) {
      return statusAnswer(statusWords.wrongLength);
    }
    let challenge: Scp03CardHandshakeParts['challenge'] = randomBytes(scp03Lengths[mode]);
    if (description.challenge === 'pseudo-random') {
      if (state.sequence >= lastSequence) return statusAnswer(statusWords.conditionsNotSatisfied);
      state.sequence += 1;
      stateChanged();
      challenge = { sequence: state.sequence, aid };
    }
    const parts = { cipher, mode, keys, keyVersion: version, diversifier: fromHex(diversifier), challenge };
    this.#handshake = new Scp03CardHandshake(parts, data);
    return dataAnswer(this.#handshake.answer());
  }
}
