import { concat, equalConstantTime, xor } from '#core/bytes/bytes.ts';
import {
  type ChannelCipher,
  type ChannelSuite,
  channelSuites,
  type KeyedCipher,
  type KeyedMac,
} from '#core/card/channel/mutual/suite.ts';
import type { CardKeys } from '#core/card/keys.ts';
import { type DigestName, digest } from '#core/crypto/digest.ts';

/** How a card AP's channel is made up; both sides must agree on it. */
export interface ChannelParameters {
  readonly cipher: ChannelCipher;
  /** hash of the session key derivation */
  readonly sessionKeys: DigestName;
  /** form of data in protected messages; a PIN is encrypted whatever it says */
  readonly messages: 'authenticated' | 'encrypted';
}

export const nonceLength = 8;
export const keyMaterialLength = 16;
const cryptogramLength = 2 * nonceLength + keyMaterialLength;
/** E and M together, in both directions */
export const authenticationLength = cryptogramLength + 8;

/** What one side brings to the handshake: RND and K. */
export interface Contribution {
  readonly nonce: Uint8Array;
  readonly keyMaterial: Uint8Array;
}

/** The card's static keys in use; `close` zeroes this copy of them. */
export class HandshakeKeys {
  readonly #cipher: KeyedCipher;
  readonly #mac: KeyedMac;
  readonly #zeroIv: Uint8Array;

  constructor(suite: ChannelSuite, keys: CardKeys) {
    this.#cipher = suite.cipher(keys.encryption);
    this.#cipher.prepare('encryption');
    this.#mac = suite.mac(keys.mac);
    this.#zeroIv = new Uint8Array(suite.blockLength);
  }

  /** E || M with E = CBC(Kenc, IV 0, own nonce || other nonce || own key material), M = MAC(Kmac, E). */
  seal(own: Contribution, otherNonce: Uint8Array): Uint8Array {
    const plain = concat(own.nonce, otherNonce, own.keyMaterial);
    try {
      const cryptogram = this.#cipher.encrypt(this.#zeroIv, plain);
      return concat(cryptogram, this.#mac.ofHandshake(cryptogram));
    } finally {
      plain.fill(0);
    }
  }

  /** Opens the other side's E || M, the MAC first; undefined when it is not authentic. The caller zeroes its key material. */
  open(sealed: Uint8Array): { readonly other: Contribution; readonly ownNonce: Uint8Array } | undefined {
    if (sealed.length !== authenticationLength) return undefined;
    const cryptogram = sealed.subarray(0, cryptogramLength);
    if (!equalConstantTime(this.#mac.ofHandshake(cryptogram), sealed.subarray(cryptogramLength)))
      return undefined;
    const plain = this.#cipher.decrypt(this.#zeroIv, cryptogram);
    const nonce = plain.subarray(0, nonceLength);
    const ownNonce = plain.subarray(nonceLength, 2 * nonceLength);
    return { other: { nonce, keyMaterial: plain.subarray(2 * nonceLength) }, ownNonce };
  }

  /** Does now what `open` would have to wait for. */
  prepareToOpen(): void {
    this.#cipher.prepare('decryption');
  }

  close(): void {
    this.#cipher.close();
    this.#mac.close();
  }
}

/** Keys and send sequence counter of one session, as bytes. */
export interface SessionSecrets extends CardKeys {
  readonly counter: Uint8Array;
}

/** key(c) = hash(seed || 0000000c)[0..15], c = 1 encryption, 2 MAC (ICAO Doc 9303-11, 9.7.1). */
function sessionKey(suite: ChannelSuite, hash: DigestName, seed: Uint8Array, c: 1 | 2): Uint8Array {
  const input = concat(seed, Uint8Array.of(0, 0, 0, c));
  const digested = digest(hash, input);
  try {
    return suite.adjustKey(digested.subarray(0, 16));
  } finally {
    input.fill(0);
    digested.fill(0);
  }
}

/** The secrets both sides reach: seed = K.IFD xor K.ICC. */
export function deriveSession(
  { cipher, sessionKeys }: ChannelParameters,
  terminal: Contribution,
  card: Contribution,
): SessionSecrets {
  const suite = channelSuites[cipher];
  const seed = xor(terminal.keyMaterial, card.keyMaterial);
  try {
    return {
      encryption: sessionKey(suite, sessionKeys, seed, 1),
      mac: sessionKey(suite, sessionKeys, seed, 2),
      counter: suite.initialCounter(card.nonce, terminal.nonce),
    };
  } finally {
    seed.fill(0);
  }
}

/** True when the other side only returned what it was sent; the seed would be zero. */
export function isReflection(own: Contribution, other: Contribution): boolean {
  return equalConstantTime(own.nonce, other.nonce) || equalConstantTime(own.keyMaterial, other.keyMaterial);
}
