import { concat, toHex, xorInto } from '#core/bytes/bytes.ts';
import type { CardKeys } from '#core/card/keys.ts';
import { AesCbc, aesBlockLength } from '#core/crypto/aes.ts';
import { AesCmac, cmacInput, cmacSubkeys } from '#core/crypto/cmac.ts';
import { Fault } from '#core/fault.ts';

/**
 * How a card's keys come from the master key: `kdf3` (GlobalPlatform, CMAC in counter mode), `an10922` (NXP), or
 * `none`: all cards share the master itself as encryption and as MAC key.
 */
export const diversifications = ['kdf3', 'an10922', 'none'] as const;
export type Diversification = (typeof diversifications)[number];

/** The diversifications that compute something of each card. */
export type CardDiversification = Exclude<Diversification, 'none'>;

/** Lengths of an AES master key in bytes; the keys of its cards are as long. */
export const masterKeyLengths = [16, 24, 32] as const;
export type MasterKeyLength = (typeof masterKeyLengths)[number];

export function isMasterKeyLength(length: number): length is MasterKeyLength {
  return masterKeyLengths.some((known) => known === length);
}

/**
 * The one thing each diversification does with the master key, so that nothing else need be permitted to it:
 * `cmac` gives the AES-CMAC of an input, `encryption` the last block of the AES-CBC encryption of whole blocks with
 * IV 0. Encryption can do what CMAC does, but not the other way round.
 */
export const masterOperations = { kdf3: 'cmac', an10922: 'encryption' } as const;

/** A computation that yields batches of inputs for the operation of the master key and takes the results, 16 bytes each. */
export type MasterKeySteps<Result> = Generator<readonly Uint8Array[], Result, readonly Uint8Array[]>;

/** Tells the keys of one card apart: k of KDF3; with AN10922, whose inputs would else be equal, the first byte of M. */
const purposes = [1, 2] as const;
/** First byte of what AN10922 encrypts, one for each block of the key (NXP AN10922, 2.2 to 2.4). */
const an10922Constants = { 16: [0x01], 24: [0x11, 0x12], 32: [0x41, 0x42] } as const;
/** Longest diversifier, for which AN10922's M of 31 bytes leaves room behind the purpose. */
const longestDiversifier = 30;
/** Bytes of a key check value (ANSI X9.24-1: for AES the first five of the CMAC of a block of zeros). */
const checkValueLength = 5;
const zeroBlock = new Uint8Array(aesBlockLength);

/**
 * The keys of the card with `diversifier`, from a master key of `length` bytes.
 *
 * @throws Fault `key-unavailable` without a diversifier of 1 to 30 bytes
 */
export function* cardKeySteps(
  diversification: CardDiversification,
  length: MasterKeyLength,
  diversifier: Uint8Array | undefined,
): MasterKeySteps<CardKeys> {
  if (!diversifier || diversifier.length === 0 || diversifier.length > longestDiversifier) {
    throw new Fault(
      'key-unavailable',
      'the keys are diversified, and the card gave no diversifier of 1 to 30 bytes',
    );
  }
  const [encryption, mac] =
    diversification === 'kdf3'
      ? yield* kdf3Steps(length, diversifier)
      : yield* an10922Steps(
          length,
          purposes.map((purpose) => concat(Uint8Array.of(purpose), diversifier)),
        );
  if (!encryption || !mac) throw new Error('two keys were asked for');
  return { encryption, mac };
}

/** Block i of key k is CMAC(master, i || 000000 || k || 00 || diversifier); blocks are joined and cut to `length`. */
export function* kdf3Steps(length: MasterKeyLength, diversifier: Uint8Array): MasterKeySteps<Uint8Array[]> {
  const blocks = Math.ceil(length / aesBlockLength);
  const inputs = purposes.flatMap((purpose) =>
    Array.from({ length: blocks }, (_, i) => concat(Uint8Array.of(i + 1, 0, 0, 0, purpose, 0), diversifier)),
  );
  const results = yield inputs;
  return purposes.map((_, key) => {
    const joined = concat(...results.slice(key * blocks, (key + 1) * blocks));
    const cut = joined.slice(0, length);
    joined.fill(0);
    zero(results.slice(key * blocks, (key + 1) * blocks));
    return cut;
  });
}

/**
 * The key for each input M, of 1 to 31 bytes: constant || M, always padded to 32 bytes, so that for a short M it is
 * not plain CMAC (NXP AN10922, 2.2 to 2.4). The first step gets the block that the subkeys come from.
 */
export function* an10922Steps(
  length: MasterKeyLength,
  inputs: readonly Uint8Array[],
): MasterKeySteps<Uint8Array[]> {
  const constants = an10922Constants[length];
  const [encryptedZeros = zeroBlock] = yield [zeroBlock];
  const subkeys = cmacSubkeys(encryptedZeros);
  const results = yield inputs.flatMap((input) =>
    constants.map((constant) => cmacInput(concat(Uint8Array.of(constant), input), 2, subkeys)),
  );
  zero([encryptedZeros, subkeys.k1, subkeys.k2]);
  return inputs.map((_, key) => {
    const blocks = results.slice(key * constants.length, (key + 1) * constants.length);
    const joined = joinBlocks(length, blocks);
    zero(blocks);
    return joined;
  });
}

/** The AES-192 key overlaps its two blocks in the middle (NXP AN10922, 2.3). */
function joinBlocks(
  length: MasterKeyLength,
  [first = zeroBlock, second = zeroBlock]: Uint8Array[],
): Uint8Array {
  if (length === 16) return first.slice();
  if (length === 32) return concat(first, second);
  const joined = concat(first, second.subarray(8));
  xorInto(joined.subarray(8), second.subarray(0, 8));
  return joined;
}

/** The check value of a master key, five bytes that tell keys apart and reveal nothing (ANSI X9.24-1, for AES). */
export function* checkValueSteps(diversification: CardDiversification): MasterKeySteps<Uint8Array> {
  let input: Uint8Array = zeroBlock;
  if (masterOperations[diversification] === 'encryption') {
    const [encryptedZeros = zeroBlock] = yield [zeroBlock];
    const subkeys = cmacSubkeys(encryptedZeros);
    input = cmacInput(zeroBlock, 1, subkeys);
    zero([encryptedZeros, subkeys.k1, subkeys.k2]);
  }
  const [mac = zeroBlock] = yield [input];
  const checkValue = mac.slice(0, checkValueLength);
  // the masked block of zeros is a subkey
  zero([input, mac]);
  return checkValue;
}

/** Runs `steps` with a master key. */
export function runSteps<Result>(
  steps: MasterKeySteps<Result>,
  operation: (input: Uint8Array) => Uint8Array,
): Result {
  let step = steps.next();
  while (!step.done) step = steps.next(step.value.map(operation));
  return step.value;
}

/** The keys of one card from a master key at hand: what whoever loads cards computes, and a card in software has. */
export function deriveCardKeys(
  master: Uint8Array,
  diversification: CardDiversification,
  diversifier: Uint8Array | undefined,
): CardKeys {
  if (!isMasterKeyLength(master.length)) throw new TypeError('a master key has 16, 24 or 32 bytes');
  const steps = cardKeySteps(diversification, master.length, diversifier);
  const cipher = diversification === 'kdf3' ? new AesCmac(master) : new AesCbc(master);
  const operation = (input: Uint8Array) =>
    cipher instanceof AesCmac ? cipher.mac(input) : cipher.lastBlock(input);
  try {
    return runSteps(steps, operation);
  } finally {
    cipher.close();
  }
}

/** The check value of a master key at hand, hexadecimal. */
export function checkValueOf(master: Uint8Array): string {
  const cmac = new AesCmac(master);
  try {
    return toHex(cmac.mac(zeroBlock).subarray(0, checkValueLength));
  } finally {
    cmac.close();
  }
}

function zero(parts: readonly Uint8Array[]): void {
  for (const part of parts) part.fill(0);
}
