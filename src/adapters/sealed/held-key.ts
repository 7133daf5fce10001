import type { webcrypto } from 'node:crypto';
import { Crypto } from '@peculiar/webcrypto';
import { copyOf, toHex } from '#core/bytes/bytes.ts';
import {
  type CardDiversification,
  checkValueSteps,
  type Diversification,
  type MasterKeyLength,
  masterOperations,
  runStepsAsync,
} from '#core/card/diversification.ts';

/** A master key as this process holds it: where it is diversified, as a key object that does not give it out. */
export type HeldKey =
  | {
      readonly diversification: CardDiversification;
      readonly length: MasterKeyLength;
      readonly key: webcrypto.CryptoKey;
    }
  | { readonly diversification: 'none'; readonly length: MasterKeyLength; readonly key: Uint8Array };

const crypto = new Crypto();
const zeroIv = new Uint8Array(16);

/** Takes a copy of the master key in `bytes`, for `diversification` alone. */
export async function holdKey(
  {
    diversification,
    length,
  }: { readonly diversification: Diversification; readonly length: MasterKeyLength },
  bytes: Uint8Array,
): Promise<HeldKey> {
  if (diversification === 'none') return { diversification, length, key: copyOf(bytes) };
  const [name, usage] =
    masterOperations[diversification] === 'cmac'
      ? (['AES-CMAC', 'sign'] as const)
      : (['AES-CBC', 'encrypt'] as const);
  const raw = new Uint8Array(bytes);
  const key = await crypto.subtle.importKey('raw', raw, { name, length: 8 * length }, false, [usage]);
  raw.fill(0);
  return { diversification, length, key };
}

/** The one operation that the key is permitted: `input` enciphered, or its CMAC. */
export function operationOf(
  diversification: CardDiversification,
  key: webcrypto.CryptoKey,
): (input: Uint8Array) => Promise<Uint8Array> {
  if (masterOperations[diversification] === 'cmac') {
    return async (input) =>
      new Uint8Array(await crypto.subtle.sign({ name: 'AES-CMAC', length: 128 }, key, new Uint8Array(input)));
  }
  return async (input) => {
    // Web Crypto appends a block of padding to whole blocks
    const blocks = await crypto.subtle.encrypt({ name: 'AES-CBC', iv: zeroIv }, key, new Uint8Array(input));
    return new Uint8Array(blocks).slice(input.length - 16, input.length);
  };
}

/** What tells a key without showing it (ANSI X9.24-1), hexadecimal. */
export async function checkValueOf(held: HeldKey): Promise<string> {
  const keyed =
    held.diversification === 'none'
      ? await holdKey({ diversification: 'kdf3', length: held.length }, held.key)
      : held;
  if (keyed.diversification === 'none') throw new Error('a key object was made');
  const operation = operationOf(keyed.diversification, keyed.key);
  return toHex(await runStepsAsync(checkValueSteps(keyed.diversification), operation));
}

/** Zeroes what keys are held as bytes; key objects go with the memory of the process. */
export function dropKeys(keys: Iterable<HeldKey>): void {
  for (const held of keys) if (held.diversification === 'none') held.key.fill(0);
}
