import { concat, equalConstantTime, xor } from '#core/bytes/bytes.ts';
import { type ChannelCipher, type ChannelSuite, channelSuites } from '#core/card/channel/mutual/suite.ts';
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

/** What one side puts into its cryptogram: its own nonce first. */
export interface HandshakeContent {
  readonly ownNonce: Uint8Array;
  readonly otherNonce: Uint8Array;
  readonly keyMaterial: Uint8Array;
}

/** E || M with E = CBC(Kenc, IV 0, own nonce || other nonce || key material), M = MAC(Kmac, E). */
export function sealHandshake(suite: ChannelSuite, keys: CardKeys, content: HandshakeContent): Uint8Array {
  const plain = concat(content.ownNonce, content.otherNonce, content.keyMaterial);
  const cryptogram = suite.encrypt(keys.encryption, new Uint8Array(suite.blockLength), plain);
  plain.fill(0);
  return concat(cryptogram, suite.handshakeMac(keys.mac, cryptogram));
}

/** Opens the other side's E || M, the MAC first; undefined when it is not authentic. */
export function openHandshake(
  suite: ChannelSuite,
  keys: CardKeys,
  sealed: Uint8Array,
): HandshakeContent | undefined {
  if (sealed.length !== authenticationLength) return undefined;
  const cryptogram = sealed.subarray(0, cryptogramLength);
  if (!equalConstantTime(suite.handshakeMac(keys.mac, cryptogram), sealed.subarray(cryptogramLength))) {
    return undefined;
  }
  const plain = suite.decrypt(keys.encryption, new Uint8Array(suite.blockLength), cryptogram);
  return {
    ownNonce: plain.subarray(0, nonceLength),
    otherNonce: plain.subarray(nonceLength, 2 * nonceLength),
    keyMaterial: plain.subarray(2 * nonceLength),
  };
}

/** Keys and send sequence counter of one session; `close` zeroes them. */
export interface ChannelSession {
  readonly suite: ChannelSuite;
  readonly encryption: Uint8Array;
  readonly mac: Uint8Array;
  readonly counter: Uint8Array;
}

/** key(c) = hash(seed || 0000000c)[0..15], c = 1 encryption, 2 MAC (ICAO Doc 9303-11, 9.7.1). */
function sessionKey(suite: ChannelSuite, hash: DigestName, seed: Uint8Array, c: 1 | 2): Uint8Array {
  const input = concat(seed, Uint8Array.of(0, 0, 0, c));
  const key = suite.adjustKey(digest(hash, input).subarray(0, 16));
  input.fill(0);
  return key;
}

/** The session both sides reach: seed = K.IFD xor K.ICC. */
export function deriveSession(
  parameters: ChannelParameters,
  terminal: { readonly nonce: Uint8Array; readonly keyMaterial: Uint8Array },
  card: { readonly nonce: Uint8Array; readonly keyMaterial: Uint8Array },
): ChannelSession {
  const suite = channelSuites[parameters.cipher];
  const seed = xor(terminal.keyMaterial, card.keyMaterial);
  const session = {
    suite,
    encryption: sessionKey(suite, parameters.sessionKeys, seed, 1),
    mac: sessionKey(suite, parameters.sessionKeys, seed, 2),
    counter: suite.initialCounter(card.nonce, terminal.nonce),
  };
  seed.fill(0);
  return session;
}

/** True when the other side only returned what it was sent; the seed would be zero. */
export function isReflection(
  own: { readonly nonce: Uint8Array; readonly keyMaterial: Uint8Array },
  other: { readonly nonce: Uint8Array; readonly keyMaterial: Uint8Array },
): boolean {
  return equalConstantTime(own.nonce, other.nonce) || equalConstantTime(own.keyMaterial, other.keyMaterial);
}
