import { createHash, createSign, generateKeyPairSync, randomBytes } from 'node:crypto';
import type {
  AuthenticationResponseJSON,
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
  RegistrationResponseJSON,
} from '@simplewebauthn/server';

const flag = { present: 1, verified: 4, attested: 64 };

/** What an authenticator may be made to do wrong. */
export interface Misbehaviour {
  readonly origin?: string;
  readonly relyingParty?: string;
  readonly unverified?: boolean;
  readonly counter?: number;
  readonly userHandle?: string;
}

/** An authenticator with one discoverable ES256 credential (WebAuthn level 2, attestation `none`). */
export class SoftwareAuthenticator {
  readonly id = randomBytes(32);
  readonly #keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  readonly #origin: string;
  #counter = 0;
  #userHandle = '';

  constructor(origin: string) {
    this.#origin = origin;
  }

  create(
    options: PublicKeyCredentialCreationOptionsJSON,
    wrong: Misbehaviour = {},
  ): RegistrationResponseJSON {
    this.#userHandle = options.user.id;
    const { x = '', y = '' } = this.#keys.publicKey.export({ format: 'jwk' });
    const key = map([
      [1, 2],
      [3, -7],
      [-1, 1],
      [-2, Buffer.from(x, 'base64url')],
      [-3, Buffer.from(y, 'base64url')],
    ]);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(this.id.length);
    const attested = Buffer.concat([Buffer.alloc(16), length, this.id, key]);
    const data = Buffer.concat([
      this.#data(wrong.relyingParty ?? options.rp.id ?? '', flag.attested, wrong),
      attested,
    ]);
    const attestationObject = map([
      ['fmt', 'none'],
      ['attStmt', map([])],
      ['authData', data],
    ]);
    return {
      ...this.#credential(),
      response: {
        clientDataJSON: this.#clientData('webauthn.create', options.challenge, wrong).toString('base64url'),
        attestationObject: attestationObject.toString('base64url'),
      },
    };
  }

  get(options: PublicKeyCredentialRequestOptionsJSON, wrong: Misbehaviour = {}): AuthenticationResponseJSON {
    this.#counter = wrong.counter ?? this.#counter + 1;
    const data = this.#data(wrong.relyingParty ?? options.rpId ?? '', 0, wrong);
    const clientData = this.#clientData('webauthn.get', options.challenge, wrong);
    const signed = createSign('sha256').update(data).update(sha256(clientData)).sign(this.#keys.privateKey);
    return {
      ...this.#credential(),
      response: {
        clientDataJSON: clientData.toString('base64url'),
        authenticatorData: data.toString('base64url'),
        signature: signed.toString('base64url'),
        userHandle: wrong.userHandle ?? this.#userHandle,
      },
    };
  }

  #credential() {
    const id = this.id.toString('base64url');
    return { id, rawId: id, type: 'public-key', clientExtensionResults: {} } as const;
  }

  #data(relyingParty: string, more: number, { unverified }: Misbehaviour): Buffer {
    const rest = Buffer.alloc(5);
    rest[0] = flag.present | (unverified ? 0 : flag.verified) | more;
    rest.writeUInt32BE(this.#counter, 1);
    return Buffer.concat([sha256(Buffer.from(relyingParty)), rest]);
  }

  #clientData(type: string, challenge: string, { origin = this.#origin }: Misbehaviour): Buffer {
    return Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin: false }));
  }
}

type Cbor = number | string | Buffer;
const maps = new WeakSet<Buffer>();

/** A map in CBOR (RFC 8949); a byte string that is a map itself goes in as one. */
function map(entries: readonly (readonly [Cbor, Cbor])[]): Buffer {
  const encoded = entries.flatMap(([key, value]) => [item(key), item(value)]);
  const made = Buffer.concat([head(5, entries.length), ...encoded]);
  maps.add(made);
  return made;
}

function item(value: Cbor): Buffer {
  if (typeof value === 'number') return value < 0 ? head(1, -1 - value) : head(0, value);
  if (typeof value === 'string') return Buffer.concat([head(3, value.length), Buffer.from(value)]);
  return maps.has(value) ? value : Buffer.concat([head(2, value.length), value]);
}

function head(major: number, count: number): Buffer {
  if (count < 24) return Buffer.from([(major << 5) | count]);
  if (count < 256) return Buffer.from([(major << 5) | 24, count]);
  return Buffer.from([(major << 5) | 25, count >> 8, count & 255]);
}

function sha256(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}
