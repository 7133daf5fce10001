/**
 * The card's end of SCP03 at level 33, written a second time from GlobalPlatform's Amendment D on WebCrypto alone, for
 * the lengths that no published exchange pins: AES-192, AES-256 and 16-byte mode.
 */
import { Crypto } from '@peculiar/webcrypto';

const { subtle } = new Crypto();

type Bytes = Uint8Array<ArrayBuffer>;

const join = (...parts: readonly Uint8Array[]): Bytes => new Uint8Array(parts.flatMap((part) => [...part]));

async function cmac(keyBytes: Bytes, message: Bytes): Promise<Bytes> {
  const algorithm = { name: 'AES-CMAC', length: 8 * keyBytes.length };
  const key = await subtle.importKey('raw', keyBytes, algorithm, false, ['sign']);
  return new Uint8Array(await subtle.sign(algorithm, key, message));
}

async function derive(key: Bytes, constant: number, context: Bytes, bits: number): Promise<Bytes> {
  let derived = new Uint8Array();
  for (let i = 1; derived.length < bits / 8; i += 1) {
    const label = join(new Uint8Array(11), Uint8Array.of(constant));
    derived = join(
      derived,
      await cmac(key, join(label, Uint8Array.of(0, bits >> 8, bits & 0xff, i), context)),
    );
  }
  return derived.slice(0, bits / 8);
}

async function cbcEncrypt(keyBytes: Bytes, iv: Bytes, data: Bytes): Promise<Bytes> {
  const key = await subtle.importKey('raw', keyBytes, 'AES-CBC', false, ['encrypt']);
  return new Uint8Array(await subtle.encrypt({ name: 'AES-CBC', iv }, key, data)).slice(0, data.length);
}

/** WebCrypto pads CBC by PKCS 7 always; a decryption needs a block that looks so behind it. */
async function cbcDecrypt(keyBytes: Bytes, iv: Bytes, data: Bytes): Promise<Bytes> {
  const key = await subtle.importKey('raw', keyBytes, 'AES-CBC', false, ['encrypt', 'decrypt']);
  const padding = await subtle.encrypt({ name: 'AES-CBC', iv: data.slice(-16) }, key, new Uint8Array());
  return new Uint8Array(
    await subtle.decrypt({ name: 'AES-CBC', iv }, key, join(data, new Uint8Array(padding))),
  );
}

export interface SecondScp03Card {
  readonly encryption: Bytes;
  readonly mac: Bytes;
  /** 8 or 16: bytes of challenges, cryptograms and MACs */
  readonly length: 8 | 16;
  readonly challenge: Bytes;
}

/** One session of the card; each method takes one command and throws when it is not as it has to be. */
export class SecondScp03Session {
  readonly #card: SecondScp03Card;
  #context: Bytes = new Uint8Array();
  #sEnc: Bytes = new Uint8Array();
  #sMac: Bytes = new Uint8Array();
  #sRmac: Bytes = new Uint8Array();
  #chain: Bytes = new Uint8Array(16);
  #count = 0;

  constructor(card: SecondScp03Card) {
    this.#card = card;
  }

  /** The data that answers INITIALIZE UPDATE with key version 1 and i for a random challenge, R-MAC and R-ENC. */
  async initialize(command: Bytes): Promise<Bytes> {
    const { encryption, mac, length, challenge } = this.#card;
    const bits = 8 * mac.length;
    this.#context = join(command.slice(5, 5 + length), challenge);
    this.#sEnc = await derive(encryption, 4, this.#context, bits);
    this.#sMac = await derive(mac, 6, this.#context, bits);
    this.#sRmac = await derive(mac, 7, this.#context, bits);
    const head = Uint8Array.of(...new Array(10).fill(0), 1, 3, length === 16 ? 0x61 : 0x60);
    return join(head, challenge, await derive(this.#sMac, 0, this.#context, 8 * length));
  }

  async externalAuthenticate(command: Bytes): Promise<void> {
    const { length } = this.#card;
    const data = await this.#checked(command);
    if (`${data}` !== `${await derive(this.#sMac, 1, this.#context, 8 * length)}`)
      throw new Error('wrong cryptogram');
  }

  /** The data of a command, decrypted. */
  async open(command: Bytes): Promise<Bytes> {
    const data = await this.#checked(command);
    this.#count += 1;
    if (data.length === 0) return data;
    const plain = await cbcDecrypt(this.#sEnc, await this.#iv(0), data);
    return plain.slice(0, plain.lastIndexOf(0x80));
  }

  async answer(data: Bytes, sw1: number, sw2: number): Promise<Bytes> {
    const padded = join(data, Uint8Array.of(0x80), new Uint8Array(15 - (data.length % 16)));
    const content = data.length === 0 ? data : await cbcEncrypt(this.#sEnc, await this.#iv(0x80), padded);
    const status = Uint8Array.of(sw1, sw2);
    const mac = await cmac(this.#sRmac, join(this.#chain, content, status));
    return join(content, mac.slice(0, this.#card.length), status);
  }

  async #checked(command: Bytes): Promise<Bytes> {
    const { length } = this.#card;
    const end = 5 + (command[4] ?? 0) - length;
    const mac = await cmac(this.#sMac, join(this.#chain, command.slice(0, end)));
    if (`${mac.slice(0, length)}` !== `${command.slice(end, end + length)}`) throw new Error('wrong C-MAC');
    this.#chain = mac;
    return command.slice(5, end);
  }

  #iv(first: number): Promise<Bytes> {
    const counter = new Uint8Array(16);
    counter[0] = first;
    counter[15] = this.#count;
    return cbcEncrypt(this.#sEnc, new Uint8Array(16), counter);
  }
}
