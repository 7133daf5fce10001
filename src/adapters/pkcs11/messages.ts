import type { Transient } from '#adapters/process/link.ts';
import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import type { ListedMasterKey, MasterKeyName, NewMasterKey, StoredMasterKey } from '#ports/key-vault.ts';

/** Which token to use, and how. */
export interface TokenDescription {
  /** absolute path of the PKCS#11 library */
  readonly module: string;
  /** label of the token; exactly one must have it */
  readonly token: string;
  /** file with the PIN of the token's user */
  readonly pinFile: string;
  /** folder where tries of the PIN are noted */
  readonly directory: string;
}

/** A message to be signed by the key with this label and id. */
export interface SignOrder {
  readonly label: string;
  readonly keyId: string;
  readonly message: Uint8Array;
}

/** What the child offers to the parent. A type, not an interface, since a link needs its index signature. */
export type ChildOffer = {
  /** Logs in, once; everything else comes after it. */
  readonly open: (description: TokenDescription) => void | Promise<void>;
  readonly cardKeys: (request: CardKeyRequest) => Transient<CardKeys>;
  readonly names: (nothing: undefined) => readonly MasterKeyName[];
  readonly describe: (name: MasterKeyName) => ListedMasterKey;
  readonly add: (key: NewMasterKey) => StoredMasterKey;
  readonly destroy: (name: MasterKeyName) => void;
  /** SubjectPublicKeyInfo; undefined where there is no such key and none is to be made */
  readonly signingKey: (asked: { readonly label: string; readonly make: boolean }) => Uint8Array | undefined;
  readonly sign: (order: SignOrder) => Uint8Array;
};
