import type { Diversification, MasterKeyLength } from '#core/card/diversification.ts';
import type { KeyDerivation } from './key-derivation.ts';

/** Which master key: of a card profile, in one version (1 to 255). */
export interface MasterKeyName {
  readonly profileId: string;
  readonly version: number;
}

/** What may be told of a master key. */
export interface StoredMasterKey extends MasterKeyName {
  readonly diversification: Diversification;
  readonly length: MasterKeyLength;
  /** key check value, upper-case hexadecimal (ANSI X9.24-1 for AES: first five bytes of the CMAC of a block of zeros) */
  readonly checkValue: string;
}

/** A key that is there and serves no card: another program made it otherwise than is demanded, or made two of a name. */
export interface UnfitMasterKey extends MasterKeyName {
  /** why, for an operator */
  readonly unfit: string;
}

export type ListedMasterKey = StoredMasterKey | UnfitMasterKey;

export interface NewMasterKey extends MasterKeyName {
  readonly diversification: Diversification;
  /** 16, 24 or 32 bytes */
  readonly key: Uint8Array;
}

/** Where master keys are used and never shown (耐タンパー装置). Every method rejects with `key-unavailable` while it cannot be reached. */
export interface KeyVault extends KeyDerivation {
  /** Opens the vault. Rejects with the fault that keeps it closed. */
  start(): Promise<void>;
  /** Closes it; calls under way end, later ones reject with `key-unavailable`. */
  stop(): Promise<void>;
  /** In order of profile and version; never a key. One that is unfit hides no other. */
  list(): Promise<readonly ListedMasterKey[]>;
  /**
   * Takes a master key in, for the operation its diversification needs and no other, and zeroes `key`. Rejects with
   * `key-refused` where there is one of that name, or where this vault cannot serve its length or diversification.
   */
  add(key: NewMasterKey): Promise<StoredMasterKey>;
  /** Destroys a master key for good, an unfit one too. Rejects with `card-key-missing` where there is none of that name. */
  destroy(name: MasterKeyName): Promise<void>;
}
