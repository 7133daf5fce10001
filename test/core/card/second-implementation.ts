/**
 * The card's end of the AES-128, SHA-256 mutual authentication and MAC-only secure messaging, written a second
 * time from the standards on WebCrypto alone, so that the terminal is not only checked against its own sibling.
 */
import { Crypto } from '@peculiar/webcrypto';

const { subtle } = new Crypto();

type Bytes = Uint8Array<ArrayBuffer>;

const join = (...parts: readonly Uint8Array[]): Bytes => new Uint8Array(parts.flatMap((part) => [...part]));

/** WebCrypto pads CBC by PKCS 7 always; a decryption needs a block that looks so behind it. */
async function cbcDecrypt(keyBytes: Bytes, iv: Bytes, data: Bytes): Promise<Bytes> {
  const key = await subtle.importKey('raw', keyBytes, 'AES-CBC', false, ['encrypt', 'decrypt']);
  const last = data.slice(-16);
  const padding = new Uint8Array(await subtle.encrypt({ name: 'AES-CBC', iv: last }, key, new Uint8Array(0)));
  return new Uint8Array(await subtle.decrypt({ name: 'AES-CBC', iv }, key, join(data, padding)));
}

async function cbcEncrypt(keyBytes: Bytes, iv: Bytes, data: Bytes): Promise<Bytes> {
  const key = await subtle.importKey('raw', keyBytes, 'AES-CBC', false, ['encrypt']);
  return new Uint8Array(await subtle.encrypt({ name: 'AES-CBC', iv }, key, data)).slice(0, data.length);
}

const cmac = { name: 'AES-CMAC', length: 128 };

async function cmac8(keyBytes: Bytes, message: Bytes): Promise<Bytes> {
  const key = await subtle.importKey('raw', keyBytes, cmac, false, ['sign']);
  return new Uint8Array(await subtle.sign(cmac, key, message)).slice(0, 8);
}

/** ISO 9797-1 padding method 2 to 16 bytes. */
function pad(data: Uint8Array): Bytes {
  const zeros = 15 - (data.length % 16);
  return join(data, Uint8Array.of(0x80), new Uint8Array(zeros));
}

function unpad(data: Bytes): Bytes {
  return data.slice(0, data.lastIndexOf(0x80));
}

async function sessionKey(seed: Bytes, c: number): Promise<Bytes> {
  return new Uint8Array(await subtle.digest('SHA-256', join(seed, Uint8Array.of(0, 0, 0, c)))).slice(0, 16);
}

export interface SecondCardKeys {
  readonly encryption: Bytes;
  readonly mac: Bytes;
}

const zeroIv = new Uint8Array(16);

/** Answers MUTUAL AUTHENTICATE; throws when the terminal is not authentic. */
export async function secondAuthenticate(
  keys: SecondCardKeys,
  sealed: Bytes,
  card: { readonly nonce: Bytes; readonly keyMaterial: Bytes },
): Promise<{ answer: Bytes; session: SecondSession }> {
  const e = sealed.slice(0, 32);
  if (`${await cmac8(keys.mac, e)}` !== `${sealed.slice(32)}`) throw new Error('wrong MAC');
  const plain = await cbcDecrypt(keys.encryption, zeroIv, e);
  if (`${plain.slice(8, 16)}` !== `${card.nonce}`) throw new Error('wrong nonce');
  const answer = await cbcEncrypt(
    keys.encryption,
    zeroIv,
    join(card.nonce, plain.slice(0, 8), card.keyMaterial),
  );
  const seed = plain.slice(16).map((byte, i) => byte ^ (card.keyMaterial[i] ?? 0));
  const session = new SecondSession(await sessionKey(seed, 1), await sessionKey(seed, 2));
  return { answer: join(answer, await cmac8(keys.mac, answer)), session };
}

/** Opens and answers protected commands of the forms the terminal uses. */
export class SecondSession {
  readonly #encryption: Bytes;
  readonly #mac: Bytes;
  #counter = 0n;

  constructor(encryption: Bytes, mac: Bytes) {
    this.#encryption = encryption;
    this.#mac = mac;
  }

  async open(
    apdu: Bytes,
  ): Promise<{ header: Bytes; data: Bytes; form: 'none' | 'plain' | 'encrypted'; le?: number }> {
    this.#counter += 1n;
    const body = apdu.slice(5, 5 + (apdu[4] ?? 0));
    const objects = body.slice(0, -10);
    const header = apdu.slice(0, 4);
    const message =
      objects.length === 0 ? join(this.#ssc(), header) : join(this.#ssc(), pad(header), objects);
    if (`${body.slice(-10, -8)}` !== '142,8') throw new Error('no MAC');
    if (`${await cmac8(this.#mac, pad(message))}` !== `${body.slice(-8)}`) throw new Error('wrong MAC');
    const hasLe = objects.at(-3) === 0x97 && objects.at(-2) === 1;
    const le = hasLe ? { le: objects.at(-1) || 256 } : {};
    const object = hasLe ? objects.slice(0, -3) : objects;
    // a length of 81 xx has one byte more
    const value = object.slice((object[1] ?? 0) === 0x81 ? 3 : 2);
    if (object.length === 0) return { header, data: new Uint8Array(), form: 'none', ...le };
    if (object[0] === 0x81) return { header, data: value, form: 'plain', ...le };
    const iv = await cbcEncrypt(this.#encryption, zeroIv, this.#ssc());
    const padded = await cbcDecrypt(this.#encryption, iv, value.slice(1));
    return { header, data: unpad(padded), form: 'encrypted', ...le };
  }

  async answer(data: Bytes, sw1: number, sw2: number): Promise<Bytes> {
    this.#counter += 1n;
    const head = data.length < 128 ? [0x81, data.length] : [0x81, 0x81, data.length];
    const object = data.length === 0 ? new Uint8Array() : join(Uint8Array.from(head), data);
    const objects = join(object, Uint8Array.of(0x99, 2, sw1, sw2));
    const mac = await cmac8(this.#mac, pad(join(this.#ssc(), objects)));
    return join(objects, Uint8Array.of(0x8e, 8), mac, Uint8Array.of(sw1, sw2));
  }

  #ssc(): Bytes {
    return Uint8Array.from({ length: 16 }, (_, i) => Number((this.#counter >> BigInt(8 * (15 - i))) & 0xffn));
  }
}
