import pkcs11js from 'pkcs11js';
import { toHex } from '#core/bytes/bytes.ts';
import {
  type CardDiversification,
  cardKeySteps,
  checkValueSteps,
  isMasterKeyLength,
  type MasterKeyLength,
  masterOperations,
  runSteps,
} from '#core/card/diversification.ts';
import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import { Fault } from '#core/fault.ts';
import type { MasterKeyName, NewMasterKey, StoredMasterKey } from '#ports/key-vault.ts';
import { endsSession, isModuleError, type TokenSession, unavailable } from './token-session.ts';

type Handle = pkcs11js.Handle;

/** A master key in the token, fit for use. */
interface TokenKey {
  readonly handle: Handle;
  readonly diversification: CardDiversification;
  readonly length: MasterKeyLength;
}

const labelPrefix = 'kazasu:';
const labelOf = ({ profileId, version }: MasterKeyName): string => `${labelPrefix}${profileId}:${version}`;
const macLength = 16;
const { CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID } = pkcs11js;

/**
 * The master keys in a token: AES keys labelled `kazasu:PROFILE:VERSION`, which cannot be taken out of it. A key for
 * `kdf3` may sign and nothing else; one for `an10922`, whose short inputs are no CMAC, may encrypt and nothing else.
 */
export class TokenKeys {
  readonly #session: TokenSession;
  readonly #known = new Map<string, TokenKey>();

  constructor(session: TokenSession) {
    this.#session = session;
  }

  cardKeys(request: CardKeyRequest): CardKeys {
    const { profileId, keyVersion, diversification, diversifier } = request;
    const name = { profileId, version: keyVersion };
    if (diversification === 'none') {
      throw new Fault(
        'key-unavailable',
        `all cards of ${profileId} share the master key itself, which a token never shows: use diversified keys`,
      );
    }
    return this.#withKey(name, (key) => {
      if (key.diversification !== diversification) {
        throw new Fault(
          'key-unavailable',
          `the key ${labelOf(name)} is permitted ${key.diversification} alone, the profile asks for ${diversification}`,
        );
      }
      return runSteps(cardKeySteps(diversification, key.length, diversifier), (input) =>
        this.#operate(key, input),
      );
    });
  }

  list(): readonly StoredMasterKey[] {
    const names = this.#find([]).flatMap((handle) => {
      const match = /^kazasu:(.+):(\d{1,3})$/.exec(this.#label(handle));
      return match ? [{ profileId: match[1] ?? '', version: Number(match[2]) }] : [];
    });
    return names
      .sort((a, b) =>
        a.profileId < b.profileId ? -1 : a.profileId > b.profileId ? 1 : a.version - b.version,
      )
      .map((name) => this.#describe(name));
  }

  add({ profileId, version, diversification, key }: NewMasterKey): StoredMasterKey {
    const name = { profileId, version };
    if (!isMasterKeyLength(key.length)) {
      throw new Fault('key-refused', `a master key has 16, 24 or 32 bytes, not ${key.length}`);
    }
    if (diversification === 'none') {
      throw new Fault(
        'key-refused',
        'a key that all cards share would have to leave the token for each card',
      );
    }
    if (this.#find([{ type: pkcs11js.CKA_LABEL, value: labelOf(name) }]).length > 0) {
      throw new Fault('key-refused', `the token has a key ${labelOf(name)} already`);
    }
    const value = Buffer.from(key);
    try {
      this.#session.writing((session) =>
        this.#session.pkcs11.C_CreateObject(session, newKey(labelOf(name), value, diversification)),
      );
    } catch (error) {
      if (!isModuleError(error) || endsSession(error)) throw error;
      const { message } = unavailable('the token takes no key of this kind from outside', error);
      throw new Fault('key-refused', message);
    } finally {
      value.fill(0);
    }
    return this.#describe(name);
  }

  destroy(name: MasterKeyName): void {
    const handles = this.#find([{ type: pkcs11js.CKA_LABEL, value: labelOf(name) }]);
    if (handles.length === 0) throw noKey(name);
    this.#known.delete(labelOf(name));
    this.#session.writing((session) => {
      for (const handle of handles) this.#session.pkcs11.C_DestroyObject(session, handle);
    });
  }

  #describe(name: MasterKeyName): StoredMasterKey {
    return this.#withKey(name, (key) => ({
      ...name,
      diversification: key.diversification,
      length: key.length,
      checkValue: toHex(runSteps(checkValueSteps(key.diversification), (input) => this.#operate(key, input))),
    }));
  }

  /** Uses a key; where another program has changed what is in the token meanwhile, it is looked for once more. */
  #withKey<T>(name: MasterKeyName, use: (key: TokenKey) => T): T {
    const label = labelOf(name);
    const known = this.#known.get(label);
    if (known) {
      try {
        return use(known);
      } catch (error) {
        if (!isModuleError(error, CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID)) throw error;
        this.#known.delete(label);
      }
    }
    const key = this.#locate(name);
    this.#known.set(label, key);
    return use(key);
  }

  #locate(name: MasterKeyName): TokenKey {
    const [handle, another] = this.#find([{ type: pkcs11js.CKA_LABEL, value: labelOf(name) }]);
    if (!handle) throw noKey(name);
    if (another) throw new Fault('key-unavailable', `the token has several keys labelled ${labelOf(name)}`);
    const { CKA_ENCRYPT, CKA_EXTRACTABLE, CKA_KEY_TYPE, CKA_SENSITIVE, CKA_SIGN, CKA_VALUE_LEN } = pkcs11js;
    const types = [CKA_SENSITIVE, CKA_EXTRACTABLE, CKA_SIGN, CKA_ENCRYPT, CKA_KEY_TYPE, CKA_VALUE_LEN];
    const values = this.#session.pkcs11
      .C_GetAttributeValue(
        this.#session.handle,
        handle,
        types.map((type) => ({ type })),
      )
      .map(({ value }) => Buffer.from(value as Buffer));
    const [sensitive, extractable, signs, encrypts] = values.map((value) => value[0] === 1);
    const [keyType, length = 0] = values
      .slice(4)
      .map((value) => value.readUIntLE(0, Math.min(6, value.length)));
    const unfit = (why: string) => new Fault('key-unavailable', `the key ${labelOf(name)} ${why}`);
    if (keyType !== pkcs11js.CKK_AES || !isMasterKeyLength(length)) throw unfit('is no AES key');
    if (!sensitive || extractable) throw unfit('could be taken out of the token; make it anew');
    if (signs === encrypts) {
      throw unfit('must be permitted either to sign (for kdf3) or to encrypt (for an10922); make it anew');
    }
    return { handle, length, diversification: signs ? 'kdf3' : 'an10922' };
  }

  #operate({ handle, diversification }: TokenKey, input: Uint8Array): Uint8Array {
    const { pkcs11, handle: session } = this.#session;
    const data = Buffer.from(input);
    if (masterOperations[diversification] === 'cmac') {
      pkcs11.C_SignInit(session, { mechanism: pkcs11js.CKM_AES_CMAC }, handle);
      return new Uint8Array(pkcs11.C_Sign(session, data, Buffer.alloc(macLength)));
    }
    const cbc = { mechanism: pkcs11js.CKM_AES_CBC, parameter: Buffer.alloc(macLength) };
    pkcs11.C_EncryptInit(session, cbc, handle);
    const blocks = pkcs11.C_Encrypt(session, data, Buffer.alloc(data.length));
    const last = new Uint8Array(blocks.subarray(-macLength));
    blocks.fill(0);
    return last;
  }

  #find(template: pkcs11js.Template): Handle[] {
    const { pkcs11, handle: session } = this.#session;
    pkcs11.C_FindObjectsInit(session, [
      { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_SECRET_KEY },
      ...template,
    ]);
    try {
      const found: Handle[] = [];
      for (let next = pkcs11.C_FindObjects(session); next; next = pkcs11.C_FindObjects(session))
        found.push(next);
      return found;
    } finally {
      pkcs11.C_FindObjectsFinal(session);
    }
  }

  #label(handle: Handle): string {
    const [label] = this.#session.pkcs11.C_GetAttributeValue(this.#session.handle, handle, [
      { type: pkcs11js.CKA_LABEL },
    ]);
    return Buffer.from((label?.value as Buffer | undefined) ?? []).toString('utf8');
  }
}

function newKey(label: string, value: Buffer, diversification: CardDiversification): pkcs11js.Template {
  const operation = masterOperations[diversification];
  const permitted = new Map<number, boolean>([
    [pkcs11js.CKA_TOKEN, true],
    [pkcs11js.CKA_PRIVATE, true],
    [pkcs11js.CKA_SENSITIVE, true],
    [pkcs11js.CKA_EXTRACTABLE, false],
    // or somebody logged in could permit more later
    [pkcs11js.CKA_MODIFIABLE, false],
    [pkcs11js.CKA_SIGN, operation === 'cmac'],
    [pkcs11js.CKA_ENCRYPT, operation === 'encryption'],
    [pkcs11js.CKA_VERIFY, false],
    [pkcs11js.CKA_DECRYPT, false],
    [pkcs11js.CKA_WRAP, false],
    [pkcs11js.CKA_UNWRAP, false],
    [pkcs11js.CKA_DERIVE, false],
  ]);
  return [
    { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_SECRET_KEY },
    { type: pkcs11js.CKA_KEY_TYPE, value: pkcs11js.CKK_AES },
    { type: pkcs11js.CKA_LABEL, value: label },
    { type: pkcs11js.CKA_VALUE, value },
    ...[...permitted].map(([type, allowed]) => ({ type, value: allowed })),
  ];
}

const noKey = (name: MasterKeyName): Fault =>
  new Fault('card-key-missing', `the token has no key ${labelOf(name)}`);
