export interface PinRequest {
  readonly minimumDigits: number;
  readonly maximumDigits: number;
  readonly timeoutMs: number;
}

/** `digits` are ASCII bytes in a buffer of their own, which the receiver zeroes; a PIN is never a string. */
export type PinEntry =
  | { readonly kind: 'entered'; readonly digits: Uint8Array }
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'absent' };

export interface PinPad {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Asks for one PIN; one request at a time. `signal` ends it as `cancelled` (the card was taken away). */
  request(request: PinRequest, signal: AbortSignal): Promise<PinEntry>;
}
