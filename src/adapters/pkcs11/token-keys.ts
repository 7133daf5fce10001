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
import { Fault, isFault } from '#core/fault.ts';
import type { ListedMasterKey, MasterKeyName, NewMasterKey, StoredMasterKey } from '#ports/key-vault.ts';
import { fitnessOf, newKey } from './key-attributes.ts';
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

/** The name that a label tells; none where no version stands there as it is written here. */
function nameIn(label: string): MasterKeyName | undefined {
  const [, profileId, digits] = /^kazasu:(.+):([1-9]\d{0,2})$/s.exec(label) ?? [];
  const version = Number(digits);
  return profileId === undefined || version > 255 ? undefined : { profileId, version };
}

const macLength = 16;
const {
  CKR_ATTRIBUTE_SENSITIVE,
  CKR_ATTRIBUTE_TYPE_INVALID,
  CKR_KEY_HANDLE_INVALID,
  CKR_OBJECT_HANDLE_INVALID,
} = pkcs11js;

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

  /** Names of all keys here, in order, each once: of a label that stands twice too. */
  names(): readonly MasterKeyName[] {
    const names = new Map<string, MasterKeyName>();
    for (const handle of this.#find([])) {
      const name = nameIn(this.#label(handle));
      if (name) names.set(labelOf(name), name);
    }
    return [...names.values()].sort((a, b) =>
      a.profileId < b.profileId ? -1 : a.profileId > b.profileId ? 1 : a.version - b.version,
    );
  }

  /** What may be told of a key; of one that serves no card, why. */
  describe(name: MasterKeyName): ListedMasterKey {
    try {
      return this.#describe(name);
    } catch (error) {
      if (endsSession(error)) throw error;
      if (isFault(error)) return { ...name, unfit: error.message };
      if (isModuleError(error)) return { ...name, unfit: unavailable('its check value', error).message };
      throw error;
    }
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
    const handle = this.#create(labelOf(name), { value: Buffer.from(key), diversification });
    const made = this.describe(name);
    if (!('unfit' in made)) return made;
    this.#known.delete(labelOf(name));
    this.#session.writing((session) => this.#session.pkcs11.C_DestroyObject(session, handle));
    throw new Fault(
      'key-refused',
      `the token made another key than was asked for, destroyed again: ${made.unfit}`,
    );
  }

  destroy(name: MasterKeyName): void {
    const handles = this.#find([{ type: pkcs11js.CKA_LABEL, value: labelOf(name) }]);
    if (handles.length === 0) throw noKey(name);
    this.#known.delete(labelOf(name));
    this.#session.writing((session) => {
      for (const handle of handles) this.#session.pkcs11.C_DestroyObject(session, handle);
    });
  }

  #describe({ profileId, version }: MasterKeyName): StoredMasterKey {
    return this.#withKey({ profileId, version }, (key) => ({
      profileId,
      version,
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
    const fitness = fitnessOf((type) => this.#read(handle, type));
    if ('unfit' in fitness) {
      throw new Fault(
        'key-unavailable',
        `the key ${labelOf(name)} is not fit: ${fitness.unfit}; make it anew`,
      );
    }
    return { handle, ...fitness };
  }

  /** Makes a key, with every attribute that the token knows. Zeroes its value. */
  #create(
    label: string,
    { value, diversification }: { readonly value: Buffer; readonly diversification: CardDiversification },
  ): Handle {
    const create = (all: boolean) =>
      this.#session.writing((session) =>
        this.#session.pkcs11.C_CreateObject(session, newKey(label, { value, diversification }, all)),
      );
    try {
      try {
        return create(true);
      } catch (error) {
        if (!isModuleError(error, CKR_ATTRIBUTE_TYPE_INVALID)) throw error;
        return create(false);
      }
    } catch (error) {
      if (!isModuleError(error) || endsSession(error)) throw error;
      const { message } = unavailable('the token takes no key of this kind from outside', error);
      throw new Fault('key-refused', message);
    } finally {
      value.fill(0);
    }
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
    return Buffer.from(this.#read(handle, pkcs11js.CKA_LABEL) ?? []).toString('utf8');
  }

  /** One attribute; one by one, since where a token does not know one it tells none. */
  #read(handle: Handle, type: number): Uint8Array | undefined {
    try {
      const { pkcs11, handle: session } = this.#session;
      const [attribute] = pkcs11.C_GetAttributeValue(session, handle, [{ type }]);
      return attribute?.value as Buffer | undefined;
    } catch (error) {
      if (isModuleError(error, CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_SENSITIVE)) return undefined;
      throw error;
    }
  }
}

const noKey = (name: MasterKeyName): Fault =>
  new Fault('card-key-missing', `the token has no key ${labelOf(name)}`);
