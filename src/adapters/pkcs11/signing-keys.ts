import { createHash, randomBytes } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import { concat, fromHex } from '#core/bytes/bytes.ts';
import { isSignedBy, parseDevicePublicKey } from '#core/crypto/device-signature.ts';
import { Fault } from '#core/fault.ts';
import type { SignOrder } from './messages.ts';
import { isModuleError, type TokenSession } from './token-session.ts';

type Handle = pkcs11js.Handle;

/** P-256 as CKA_EC_PARAMS, and what stands before the point in a SubjectPublicKeyInfo (RFC 5480) and in CKA_EC_POINT */
const curve = Buffer.from(fromHex('06082A8648CE3D030107'));
const spkiStart = fromHex('3059301306072A8648CE3D020106082A8648CE3D030107034200');
const pointStart = fromHex('0441');
const signatureLength = 64;

/** What a private key must be to sign here: made to sign and for nothing else, and never to leave. */
const demands = [
  [pkcs11js.CKA_TOKEN, true, 'CKA_TOKEN'],
  [pkcs11js.CKA_PRIVATE, true, 'CKA_PRIVATE'],
  [pkcs11js.CKA_SENSITIVE, true, 'CKA_SENSITIVE'],
  [pkcs11js.CKA_EXTRACTABLE, false, 'CKA_EXTRACTABLE'],
  [pkcs11js.CKA_MODIFIABLE, false, 'CKA_MODIFIABLE'],
  [pkcs11js.CKA_SIGN, true, 'CKA_SIGN'],
  [pkcs11js.CKA_DECRYPT, false, 'CKA_DECRYPT'],
  [pkcs11js.CKA_UNWRAP, false, 'CKA_UNWRAP'],
  [pkcs11js.CKA_DERIVE, false, 'CKA_DERIVE'],
] as const;

interface SigningKey {
  readonly handle: Handle;
  readonly publicKey: Uint8Array;
  readonly keyId: string;
}

/** ECDSA P-256 keys in a token, by label. */
export class TokenSigningKeys {
  readonly #session: TokenSession;
  readonly #known = new Map<string, SigningKey>();

  constructor(session: TokenSession) {
    this.#session = session;
  }

  /** SubjectPublicKeyInfo of the key; undefined where there is none and none is to be made. */
  publicKey({ label, make }: { readonly label: string; readonly make: boolean }): Uint8Array | undefined {
    const there = this.#find(pkcs11js.CKO_PRIVATE_KEY, label).length > 0;
    if (!there && !make) return undefined;
    if (!there) this.#make(label);
    return this.#located(label).publicKey;
  }

  /** r || s over SHA-256 of the message, by the very key that was shown before. */
  sign({ label, keyId, message }: SignOrder): Uint8Array {
    let key = this.#known.get(label) ?? this.#located(label);
    if (key.keyId !== keyId)
      throw new Fault('key-unavailable', `the key ${label} in the token is another one now`);
    try {
      return this.#signed(key.handle, message);
    } catch (error) {
      if (!isModuleError(error, pkcs11js.CKR_KEY_HANDLE_INVALID, pkcs11js.CKR_OBJECT_HANDLE_INVALID))
        throw error;
    }
    // another program has changed what is in the token meanwhile
    this.#known.delete(label);
    key = this.#located(label);
    if (key.keyId !== keyId)
      throw new Fault('key-unavailable', `the key ${label} in the token is another one now`);
    return this.#signed(key.handle, message);
  }

  #located(label: string): SigningKey {
    const [handle, another] = this.#find(pkcs11js.CKO_PRIVATE_KEY, label);
    const [shown] = this.#find(pkcs11js.CKO_PUBLIC_KEY, label);
    if (!handle || another || !shown) {
      throw new Fault(
        'key-unavailable',
        `the token must have one key labelled ${label}, with its public key`,
      );
    }
    const wrong = demands.filter(([type, value]) => (this.#read(handle, type)?.[0] === 1) !== value);
    const isOfCurve = curve.equals(this.#read(handle, pkcs11js.CKA_EC_PARAMS) ?? Buffer.alloc(0));
    const publicKey = this.#spki(shown);
    const parsed = publicKey && parseDevicePublicKey(publicKey);
    // the public object is anybody's to replace: the key itself proves that it is its own
    const challenge = randomBytes(32);
    const isOwn =
      wrong.length === 0 && parsed && isSignedBy(parsed, challenge, this.#signed(handle, challenge));
    if (!isOfCurve || !publicKey || !parsed || !isOwn) {
      const why =
        wrong.map(([, value, name]) => `${name} must be ${value}`).join(', ') || 'it is no P-256 key';
      throw new Fault('key-unavailable', `the key ${label} is not fit: ${why}; make it anew`);
    }
    const key = { handle, publicKey, keyId: parsed.keyId };
    this.#known.set(label, key);
    return key;
  }

  #make(label: string): void {
    const shared = [
      { type: pkcs11js.CKA_LABEL, value: label },
      { type: pkcs11js.CKA_ID, value: randomBytes(16) },
    ];
    const publicKey = [
      ...shared,
      { type: pkcs11js.CKA_TOKEN, value: true },
      { type: pkcs11js.CKA_VERIFY, value: true },
      { type: pkcs11js.CKA_EC_PARAMS, value: curve },
    ];
    const privateKey = [...shared, ...demands.map(([type, value]) => ({ type, value }))];
    this.#session.writing((session) => {
      const mechanism = { mechanism: pkcs11js.CKM_EC_KEY_PAIR_GEN };
      this.#session.pkcs11.C_GenerateKeyPair(session, mechanism, publicKey, privateKey);
    });
  }

  #signed(handle: Handle, message: Uint8Array): Uint8Array {
    const { pkcs11, handle: session } = this.#session;
    const digest = createHash('sha256').update(message).digest();
    pkcs11.C_SignInit(session, { mechanism: pkcs11js.CKM_ECDSA }, handle);
    return new Uint8Array(pkcs11.C_Sign(session, digest, Buffer.alloc(signatureLength)));
  }

  #spki(handle: Handle): Uint8Array | undefined {
    const point = this.#read(handle, pkcs11js.CKA_EC_POINT);
    const start = point?.subarray(0, pointStart.length);
    if (!point || point.length !== pointStart.length + 65 || !start?.equals(pointStart)) return undefined;
    return concat(spkiStart, point.subarray(pointStart.length));
  }

  #find(kind: number, label: string): Handle[] {
    const { pkcs11, handle: session } = this.#session;
    pkcs11.C_FindObjectsInit(session, [
      { type: pkcs11js.CKA_CLASS, value: kind },
      { type: pkcs11js.CKA_LABEL, value: label },
    ]);
    try {
      return pkcs11.C_FindObjects(session, 2);
    } finally {
      pkcs11.C_FindObjectsFinal(session);
    }
  }

  #read(handle: Handle, type: number): Buffer | undefined {
    const { pkcs11, handle: session } = this.#session;
    try {
      return pkcs11.C_GetAttributeValue(session, handle, [{ type }])[0]?.value as Buffer | undefined;
    } catch (error) {
      if (isModuleError(error, pkcs11js.CKR_ATTRIBUTE_TYPE_INVALID, pkcs11js.CKR_ATTRIBUTE_SENSITIVE))
        return undefined;
      throw error;
    }
  }
}
