/**
 * The card seam: one command APDU out, one response APDU (data and status word) back.
 * Rejects with a Fault `card-removed`, `card-timeout` or a reader fault. Chaining, GET RESPONSE and secure
 * channels each wrap this same type.
 */
export type Transmit = (command: Uint8Array) => Promise<Uint8Array>;
