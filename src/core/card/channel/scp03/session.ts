import { type Command, encodeCommand, parseCommand } from '#core/apdu/command.ts';
import { concat, copyOf, equalConstantTime, increment } from '#core/bytes/bytes.ts';
import {
  deriveScp03,
  gpSecureMessaging,
  type Scp03Parameters,
  type Scp03Protection,
  scp03KeyLengths,
  scp03Lengths,
  scp03Protection,
} from '#core/card/channel/scp03/messages.ts';
import type { CardKeys } from '#core/card/keys.ts';
import { AesCbc, aesBlockLength } from '#core/crypto/aes.ts';
import { AesCmac } from '#core/crypto/cmac.ts';
import { padIso9797, unpadIso9797 } from '#core/crypto/padding.ts';

/** Where the data of a command APDU with data begins, in short and in extended form. */
function dataStart(apdu: Uint8Array): number {
  return apdu[4] === 0 ? 7 : 5;
}

/** The ciphers of protected messages, made from the static keys while the card checks EXTERNAL AUTHENTICATE. */
interface MessageCiphers {
  readonly sEnc: AesCbc;
  readonly sRmac: AesCmac;
}

/**
 * What both sides compute in a session: cryptograms, C-MAC with its chain, encryption and R-MAC (Amendment D, 6.2).
 * S-MAC is there from the start; S-ENC and S-RMAC, which EXTERNAL AUTHENTICATE does not need, come with `prepare`.
 */
export class Scp03Session {
  readonly protection: Scp03Protection;
  readonly macLength: number;
  readonly #keyLength: number;
  readonly #context: Uint8Array;
  readonly #encryptionKey: Uint8Array;
  readonly #macKey: AesCmac;
  readonly #sMac: AesCmac;
  #ciphers: MessageCiphers | undefined;
  readonly #chain = new Uint8Array(aesBlockLength);
  readonly #counter = new Uint8Array(aesBlockLength);

  /** Copies the static keys until `prepare`. `context` is host challenge || card challenge. */
  constructor({ cipher, level, mode }: Scp03Parameters, keys: CardKeys, context: Uint8Array) {
    this.protection = scp03Protection(level);
    this.macLength = scp03Lengths[mode];
    this.#keyLength = scp03KeyLengths[cipher];
    this.#context = context;
    this.#encryptionKey = copyOf(keys.encryption);
    this.#macKey = new AesCmac(keys.mac);
    this.#sMac = this.#derived(this.#macKey, 'sMac', (key) => new AesCmac(key));
  }

  cryptogram(of: 'cardCryptogram' | 'hostCryptogram'): Uint8Array {
    return deriveScp03(this.#sMac, of, this.#context, this.macLength);
  }

  /** Makes the ciphers of protected messages and zeroes the static keys. To be called once, before the first message. */
  prepare(): void {
    const encryptionKey = new AesCmac(this.#encryptionKey);
    this.#ciphers = {
      sEnc: this.#derived(encryptionKey, 'sEnc', (key) => new AesCbc(key)),
      sRmac: this.#derived(this.#macKey, 'sRmac', (key) => new AesCmac(key)),
    };
    encryptionKey.close();
    this.#encryptionKey.fill(0);
    this.#macKey.close();
  }

  /** A command whose class and data are as they are to be sent, with its C-MAC. */
  withMac(command: Command): Uint8Array {
    const data = concat(command.data ?? new Uint8Array(), new Uint8Array(this.macLength));
    const apdu = encodeCommand({ ...command, data });
    const macAt = dataStart(apdu) + data.length - this.macLength;
    apdu.set(this.#commandMac(apdu.subarray(0, macAt)), macAt);
    return apdu;
  }

  /** The command without its C-MAC; undefined when that is missing or wrong, after which the session is of no use. */
  checkMac(apdu: Uint8Array): Command | undefined {
    const command = parseCommand(apdu);
    const length = (command?.data?.length ?? 0) - this.macLength;
    if (!command?.data || length < 0) return undefined;
    const { data, ...rest } = command;
    const mac = this.#commandMac(apdu.subarray(0, dataStart(apdu) + length));
    if (!equalConstantTime(mac, data.subarray(length))) return undefined;
    return length === 0 ? rest : { ...rest, data: data.subarray(0, length) };
  }

  /** Advances the encryption counter, as each side does for every command, one without data included. */
  advanceCounter(): void {
    increment(this.#counter);
  }

  /** Encrypted data of the command or the response of the counter's value. */
  encrypt(data: Uint8Array, of: 'command' | 'response'): Uint8Array {
    const padded = padIso9797(data, aesBlockLength);
    const { sEnc } = this.#prepared();
    const cryptogram = sEnc.encrypt(this.#iv(sEnc, of), padded);
    padded.fill(0);
    return cryptogram;
  }

  /** The plaintext of a cryptogram whose MAC has been checked; undefined when it is no whole number of padded blocks. */
  decrypt(cryptogram: Uint8Array, of: 'command' | 'response'): Uint8Array | undefined {
    if (cryptogram.length === 0 || cryptogram.length % aesBlockLength !== 0) return undefined;
    const { sEnc } = this.#prepared();
    return unpadIso9797(sEnc.decrypt(this.#iv(sEnc, of), cryptogram), aesBlockLength);
  }

  /** R-MAC: CMAC(S-RMAC, chain || data || status), which does not advance the chain (Amendment D, 6.2.5). */
  responseMac(data: Uint8Array, status: number): Uint8Array {
    const input = concat(this.#chain, data, Uint8Array.of(status >> 8, status & 0xff));
    return this.#prepared().sRmac.mac(input).subarray(0, this.macLength);
  }

  /** Zeroes keys, chain and counter. Safe to call twice. */
  close(): void {
    this.#encryptionKey.fill(0);
    this.#macKey.close();
    this.#sMac.close();
    this.#ciphers?.sEnc.close();
    this.#ciphers?.sRmac.close();
    this.#chain.fill(0);
    this.#counter.fill(0);
  }

  /**
   * CMAC(S-MAC, chain || header || Lc || data), with the class of logical channel 0 and Lc as sent, the C-MAC counted
   * in; its 16 bytes are the next chain (Amendment D, 6.2.4).
   */
  #commandMac(covered: Uint8Array): Uint8Array {
    const input = concat(this.#chain, covered);
    input[aesBlockLength] = ((covered[0] ?? 0) & 0xf0) | gpSecureMessaging;
    this.#chain.set(this.#sMac.mac(input));
    return this.#chain.slice(0, this.macLength);
  }

  /** The counter encrypted, for a response with its first byte 80 (Amendment D, 6.2.6 and 6.2.7). */
  #iv(sEnc: AesCbc, of: 'command' | 'response'): Uint8Array {
    if (of === 'command') return sEnc.lastBlock(this.#counter);
    const block = copyOf(this.#counter);
    block[0] = 0x80;
    return sEnc.lastBlock(block);
  }

  #prepared(): MessageCiphers {
    if (!this.#ciphers) throw new TypeError('the SCP03 session is not prepared');
    return this.#ciphers;
  }

  #derived<Cipher>(
    from: AesCmac,
    constant: 'sEnc' | 'sMac' | 'sRmac',
    make: (key: Uint8Array) => Cipher,
  ): Cipher {
    const key = deriveScp03(from, constant, this.#context, this.#keyLength);
    const cipher = make(key);
    key.fill(0);
    return cipher;
  }
}
