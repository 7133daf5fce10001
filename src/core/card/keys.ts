/** The two static keys of one card for one card AP, valid for one session; the receiver zeroes them after use. */
export interface CardKeys {
  readonly encryption: Uint8Array;
  readonly mac: Uint8Array;
}

export interface CardKeyRequest {
  readonly profileId: string;
  readonly keyVersion: number;
  /** absent where the profile has no diversifier: then all cards share their keys */
  readonly diversifier?: Uint8Array;
}
