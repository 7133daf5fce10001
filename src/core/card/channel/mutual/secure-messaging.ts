import { concat, increment } from '#core/bytes/bytes.ts';
import { buildTlv } from '#core/bytes/tlv.ts';
import type { ChannelParameters, SessionSecrets } from '#core/card/channel/mutual/messages.ts';
import { channelSuites, type KeyedCipher, type KeyedMac } from '#core/card/channel/mutual/suite.ts';
import { padIso9797, unpadIso9797 } from '#core/crypto/padding.ts';

/** Data objects of ISO 7816-4, 10.2. */
export const objectTags = {
  plain: 0x81,
  /** cryptogram without padding indicator, for odd instructions */
  encryptedOdd: 0x85,
  encrypted: 0x87,
  mac: 0x8e,
  expected: 0x97,
  status: 0x99,
} as const;

/** Keys and counter of one session and what either side computes with them. */
export class SecureMessaging {
  readonly #blockLength: number;
  readonly #cipher: KeyedCipher;
  readonly #mac: KeyedMac;
  readonly #counter: Uint8Array;

  /** Takes over `secrets` and zeroes what it does not keep. */
  constructor({ cipher }: Pick<ChannelParameters, 'cipher'>, secrets: SessionSecrets) {
    const suite = channelSuites[cipher];
    this.#blockLength = suite.blockLength;
    this.#cipher = suite.cipher(secrets.encryption);
    this.#mac = suite.mac(secrets.mac);
    this.#counter = secrets.counter;
    secrets.encryption.fill(0);
    secrets.mac.fill(0);
  }

  /** Adds one to the send sequence counter, as each side does before every command and every response. */
  advanceCounter(): void {
    increment(this.#counter);
  }

  /**
   * MAC over SSC || padded header || data objects (commands) or SSC || data objects (responses). Without data
   * objects the header is padded by the MAC's own padding alone: once, not twice.
   */
  macOf(header: Uint8Array | undefined, objects: Uint8Array): Uint8Array {
    if (!header) return this.#mac.ofMessage(concat(this.#counter, objects));
    const head = objects.length === 0 ? header : padIso9797(header, this.#blockLength);
    return this.#mac.ofMessage(concat(this.#counter, head, objects));
  }

  /** DO'87' = 01 || cryptogram, or DO'85' = cryptogram where the instruction is odd. */
  encryptObject(data: Uint8Array, oddInstruction: boolean): Uint8Array {
    const padded = padIso9797(data, this.#blockLength);
    const cryptogram = this.#cipher.encrypt(this.#cipher.messageIv(this.#counter), padded);
    padded.fill(0);
    return oddInstruction
      ? buildTlv(objectTags.encryptedOdd, cryptogram)
      : buildTlv(objectTags.encrypted, concat(Uint8Array.of(0x01), cryptogram));
  }

  /** The plaintext of a cryptogram whose MAC has been checked; undefined when it is no whole number of padded blocks. */
  decryptObject(value: Uint8Array, oddInstruction: boolean): Uint8Array | undefined {
    if (!oddInstruction && value[0] !== 0x01) return undefined;
    const cryptogram = oddInstruction ? value : value.subarray(1);
    if (cryptogram.length === 0 || cryptogram.length % this.#blockLength !== 0) return undefined;
    const padded = this.#cipher.decrypt(this.#cipher.messageIv(this.#counter), cryptogram);
    return unpadIso9797(padded, this.#blockLength);
  }

  /** Zeroes the keys and the counter. Safe to call twice. */
  close(): void {
    this.#cipher.close();
    this.#mac.close();
    this.#counter.fill(0);
  }
}
