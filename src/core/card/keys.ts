import type { Diversification } from './diversification.ts';

/** The two static keys of one card for one card AP, valid for one session; the receiver zeroes them after use. */
export interface CardKeys {
  readonly encryption: Uint8Array;
  readonly mac: Uint8Array;
}

export interface CardKeyRequest {
  readonly profileId: string;
  readonly keyVersion: number;
  /** as the profile names it: a master key serves one alone */
  readonly diversification: Diversification;
  /** absent where the profile has no diversifier: then all cards share their keys */
  readonly diversifier?: Uint8Array;
}

/** Overwrites both keys with zeros. */
export function zeroCardKeys({ encryption, mac }: CardKeys): void {
  encryption.fill(0);
  mac.fill(0);
}
