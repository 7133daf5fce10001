import { concat, equalConstantTime } from '#core/bytes/bytes.ts';
import { Scp03CardChannel } from '#core/card/channel/scp03/card-channel.ts';
import {
  pseudoRandomChallenge,
  type Scp03Cipher,
  type Scp03Mode,
  scp03Identifier,
  scp03Levels,
  scp03Options,
  sequenceBytes,
} from '#core/card/channel/scp03/messages.ts';
import { Scp03Session } from '#core/card/channel/scp03/session.ts';
import type { CardKeys } from '#core/card/keys.ts';
import { AesCmac } from '#core/crypto/cmac.ts';

export interface Scp03CardHandshakeParts {
  readonly cipher: Scp03Cipher;
  readonly mode: Scp03Mode;
  readonly keys: CardKeys;
  readonly keyVersion: number;
  /** diversification data, 10 bytes */
  readonly diversifier: Uint8Array;
  /** a random challenge, or the counter and the AID that a pseudo-random one is made from */
  readonly challenge: Uint8Array | { readonly sequence: number; readonly aid: Uint8Array };
}

function challengeOf({ challenge, keys, mode }: Scp03CardHandshakeParts): Uint8Array {
  if (challenge instanceof Uint8Array) return challenge;
  const key = new AesCmac(keys.encryption);
  const made = pseudoRandomChallenge(key, { ...challenge, mode });
  key.close();
  return made;
}

/** The card's part of opening an SCP03 session, good for one INITIALIZE UPDATE and one EXTERNAL AUTHENTICATE. */
export class Scp03CardHandshake {
  readonly #parts: Scp03CardHandshakeParts;
  readonly #context: Uint8Array;
  readonly #challenge: Uint8Array;

  constructor(parts: Scp03CardHandshakeParts, hostChallenge: Uint8Array) {
    this.#parts = parts;
    this.#challenge = challengeOf(parts);
    this.#context = concat(hostChallenge, this.#challenge);
  }

  /** The data that answers INITIALIZE UPDATE. */
  answer(): Uint8Array {
    const { mode, keyVersion, diversifier, challenge } = this.#parts;
    const isRandom = challenge instanceof Uint8Array;
    const options =
      scp03Options.rMacAndREnc |
      (isRandom ? 0 : scp03Options.pseudoRandomChallenge) |
      (mode === 's16' ? scp03Options.s16 : 0);
    const session = this.#session('01');
    const cryptogram = session.cryptogram('cardCryptogram');
    session.close();
    return concat(
      diversifier,
      Uint8Array.of(keyVersion, scp03Identifier, options),
      this.#challenge,
      cryptogram,
      isRandom ? new Uint8Array() : sequenceBytes(challenge.sequence),
    );
  }

  /** Takes EXTERNAL AUTHENTICATE; undefined when its C-MAC, level or host cryptogram is wrong. */
  accept(apdu: Uint8Array): Scp03CardChannel | undefined {
    const level = scp03Levels.find((known) => Number.parseInt(known, 16) === apdu[2]);
    if (level === undefined || apdu[3] !== 0) return undefined;
    const session = this.#session(level);
    const { data } = session.checkMac(apdu) ?? {};
    if (!data || !equalConstantTime(session.cryptogram('hostCryptogram'), data)) {
      session.close();
      return undefined;
    }
    session.prepare();
    return new Scp03CardChannel(session);
  }

  #session(level: (typeof scp03Levels)[number]): Scp03Session {
    const { cipher, mode, keys } = this.#parts;
    return new Scp03Session({ cipher, mode, level }, keys, this.#context);
  }
}
