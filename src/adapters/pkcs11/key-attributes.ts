import pkcs11js from 'pkcs11js';
import {
  type CardDiversification,
  isMasterKeyLength,
  type MasterKeyLength,
  masterOperations,
} from '#core/card/diversification.ts';

/** A yes or no that a master key's attribute must be; `optional` where tokens of before PKCS#11 2.20 or 2.40 know none. */
interface Demand {
  readonly name: string;
  readonly type: number;
  readonly value: boolean;
  readonly optional?: true;
}

/** Of every master key, made here or brought by another program. What a key may be used for comes on top. */
const demands: readonly Demand[] = [
  { name: 'CKA_TOKEN', type: pkcs11js.CKA_TOKEN, value: true },
  { name: 'CKA_PRIVATE', type: pkcs11js.CKA_PRIVATE, value: true },
  { name: 'CKA_SENSITIVE', type: pkcs11js.CKA_SENSITIVE, value: true },
  { name: 'CKA_EXTRACTABLE', type: pkcs11js.CKA_EXTRACTABLE, value: false },
  // or somebody logged in could permit more later, to the key or to a copy of it
  { name: 'CKA_MODIFIABLE', type: pkcs11js.CKA_MODIFIABLE, value: false },
  { name: 'CKA_COPYABLE', type: pkcs11js.CKA_COPYABLE, value: false, optional: true },
  { name: 'CKA_WRAP_WITH_TRUSTED', type: pkcs11js.CKA_WRAP_WITH_TRUSTED, value: true, optional: true },
  { name: 'CKA_VERIFY', type: pkcs11js.CKA_VERIFY, value: false },
  { name: 'CKA_DECRYPT', type: pkcs11js.CKA_DECRYPT, value: false },
  { name: 'CKA_WRAP', type: pkcs11js.CKA_WRAP, value: false },
  { name: 'CKA_UNWRAP', type: pkcs11js.CKA_UNWRAP, value: false },
  // a key derived from a part of it would give it away piece by piece
  { name: 'CKA_DERIVE', type: pkcs11js.CKA_DERIVE, value: false },
];

/** The one operation that a diversification needs. */
const usageDemands = (diversification: CardDiversification): readonly Demand[] => {
  const operation = masterOperations[diversification];
  return [
    { name: 'CKA_SIGN', type: pkcs11js.CKA_SIGN, value: operation === 'cmac' },
    { name: 'CKA_ENCRYPT', type: pkcs11js.CKA_ENCRYPT, value: operation === 'encryption' },
  ];
};

/** Of a key that the token made itself: it was never anywhere else. One from outside was, at its ceremony. */
const localDemands: readonly Demand[] = [
  { name: 'CKA_ALWAYS_SENSITIVE', type: pkcs11js.CKA_ALWAYS_SENSITIVE, value: true },
  { name: 'CKA_NEVER_EXTRACTABLE', type: pkcs11js.CKA_NEVER_EXTRACTABLE, value: true },
];

/** Reads an attribute of a key; undefined where the token knows no such attribute. */
export type ReadAttribute = (type: number) => Uint8Array | undefined;

/** What a key in a token is good for, or why for nothing. */
export type KeyFitness =
  | { readonly diversification: CardDiversification; readonly length: MasterKeyLength }
  | { readonly unfit: string };

/** Holds a secret key against everything that is demanded of a master key. */
export function fitnessOf(read: ReadAttribute): KeyFitness {
  const length = numberOf(read(pkcs11js.CKA_VALUE_LEN)) ?? 0;
  if (numberOf(read(pkcs11js.CKA_KEY_TYPE)) !== pkcs11js.CKK_AES || !isMasterKeyLength(length)) {
    return { unfit: 'it is no AES key' };
  }
  const signs = isTrue(read(pkcs11js.CKA_SIGN));
  if (!signs && !isTrue(read(pkcs11js.CKA_ENCRYPT))) {
    return { unfit: 'CKA_SIGN must be true for kdf3, or CKA_ENCRYPT for an10922' };
  }
  const diversification = signs ? 'kdf3' : 'an10922';
  const local = isTrue(read(pkcs11js.CKA_LOCAL)) ? localDemands : [];
  const wrong = [...demands, ...usageDemands(diversification), ...local].filter(
    ({ type, value, optional }) => {
      const found = read(type);
      return found === undefined ? optional === undefined : isTrue(found) !== value;
    },
  );
  if (wrong.length === 0) return { diversification, length };
  return { unfit: wrong.map(({ name, value }) => `${name} must be ${value}`).join(', ') };
}

/** What a new key is made of. `all`: with what tokens of before PKCS#11 2.20 or 2.40 do not know. */
export function newKey(
  label: string,
  { value, diversification }: { readonly value: Buffer; readonly diversification: CardDiversification },
  all: boolean,
): pkcs11js.Template {
  return [
    { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_SECRET_KEY },
    { type: pkcs11js.CKA_KEY_TYPE, value: pkcs11js.CKK_AES },
    { type: pkcs11js.CKA_LABEL, value: label },
    { type: pkcs11js.CKA_VALUE, value },
    ...[...demands, ...usageDemands(diversification)]
      .filter(({ optional }) => all || !optional)
      .map(({ type, value: demanded }) => ({ type, value: demanded })),
  ];
}

const isTrue = (value: Uint8Array | undefined): boolean => value?.[0] === 1;

/** A CK_ULONG, little-endian on the machines this runs on; up to 48 bits of it, more than any attribute needs. */
function numberOf(value: Uint8Array | undefined): number | undefined {
  if (!value || value.length === 0) return undefined;
  return Buffer.from(value).readUIntLE(0, Math.min(6, value.length));
}
