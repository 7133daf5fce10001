/**
 * Answer to reset as a PC/SC reader makes it up for a Type B card (PC/SC part 3, 3.1.3.2.3): 3B 88 80 01, 4 bytes
 * of application data, 3 of protocol information, MBLI << 4, TCK. The card's radio identifier (PUPI), random at
 * each activation, is no part of it: many cards share one answer, and none is known by it.
 */
function typeBAnswerToReset(applicationData: Uint8Array, protocolInfo: Uint8Array, mbli: number): Uint8Array {
  const atr = Uint8Array.of(0x3b, 0x88, 0x80, 0x01, ...applicationData, ...protocolInfo, mbli << 4, 0);
  let check = 0;
  for (const byte of atr.subarray(1)) check ^= byte;
  atr[atr.length - 1] = check;
  return atr;
}

/**
 * 106 to 848 kbit/s both ways, frames of 256 bytes, ISO 14443-4, waiting time 11 (0.6 s, for a signature), CID and
 * NAD not supported. Waiting time 8 would give the answer that OpenSC has down as that of another maker's card.
 */
export const virtualCardAnswerToReset = typeBAnswerToReset(
  new Uint8Array(4),
  Uint8Array.of(0x77, 0x81, 0xb0),
  0,
);
