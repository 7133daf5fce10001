import { generateKeyPairSync, sign } from 'node:crypto';
import { plainBytes, toHex } from '#core/bytes/bytes.ts';
import { digest } from '#core/crypto/digest.ts';
import { type SignedDocument, type Signer, signDocument } from '#core/sync/signed.ts';
import {
  pinTrustRoot,
  type TrustRole,
  type TrustRoot,
  type TrustRootContent,
  trustRootBytes,
} from '#core/sync/trust.ts';

export interface TestKey extends Signer {
  readonly spki: Uint8Array;
}

export function makeKey(): TestKey {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = plainBytes(publicKey.export({ format: 'der', type: 'spki' }));
  const keyId = toHex(digest('sha-256', spki));
  return {
    spki,
    keyId: () => keyId,
    sign: async (message) =>
      plainBytes(sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' })),
  };
}

/** Three keys of the root, of which two must sign, two of policy and one of commands, of which one does. */
export const testKeys: { readonly [role in TrustRole]: readonly TestKey[] } = {
  root: [makeKey(), makeKey(), makeKey()],
  policy: [makeKey(), makeKey()],
  command: [makeKey()],
};

type Roles = { readonly [role in TrustRole]?: readonly TestKey[] };

export function rootContent(changes: Partial<TrustRootContent> = {}, keys: Roles = {}): TrustRootContent {
  const role = (name: TrustRole, threshold: number) => ({
    threshold,
    keys: (keys[name] ?? testKeys[name]).map(({ spki }) => spki),
  });
  return {
    organization: 'city',
    version: 1,
    issuedAtMs: 1_700_000_000_000,
    roles: { root: role('root', 2), policy: role('policy', 1), command: role('command', 1) },
    authorities: [new Uint8Array([0x30, 0x00])],
    ...changes,
  };
}

export function signRoot(content: TrustRootContent, signers: readonly Signer[] = testKeys.root) {
  return signDocument(trustRootBytes(content), signers);
}

/** The root that most tests believe. */
export async function pinnedRoot(content: TrustRootContent = rootContent()): Promise<TrustRoot> {
  const checked = pinTrustRoot(await signRoot(content));
  if (checked.kind === 'refused') throw new Error(checked.reason);
  return checked.value;
}

export function signedByPolicy(raw: Uint8Array): Promise<SignedDocument> {
  return signDocument(raw, testKeys.policy.slice(0, 1));
}

/** `bytes` with one bit turned, for each of its bits, or for every so many of them. */
export function* eachBitTurned(bytes: Uint8Array, step = 1): Iterable<Uint8Array> {
  for (let bit = 0; bit < 8 * bytes.length; bit += step) {
    const turned = new Uint8Array(bytes);
    turned[bit >> 3] = (turned[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    yield turned;
  }
}
