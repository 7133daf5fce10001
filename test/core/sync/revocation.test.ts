import { beforeAll, describe, expect, it } from 'vitest';
import { documentBytes } from '#core/sync/document.ts';
import { checkRevocation, type Revocation, revocationBytes } from '#core/sync/revocation.ts';
import { signDocument } from '#core/sync/signed.ts';
import type { TrustRoot } from '#core/sync/trust.ts';
import { eachBitTurned, pinnedRoot, signedByPolicy, testKeys } from './keys.ts';

const refusal = (reason: string) => ({ kind: 'refused', reason });
const content = {
  organization: 'city',
  changeNumber: 41,
  rootVersion: 1,
  issuedAtMs: 1_800_000_000_000,
  holders: ['sato'],
  cards: [{ profileId: 'staff', userNumber: 'A1', diversifier: '0A' }],
};
const revocation: Revocation = { ...content, type: 'policy-revocation', format: 1 };

let root: TrustRoot;
beforeAll(async () => {
  root = await pinnedRoot();
});

describe('a revocation', () => {
  it('is believed as it was signed, ahead of the manifest that says the same', async () => {
    const document = await signedByPolicy(revocationBytes(content));
    expect(checkRevocation(document, { root })).toEqual({ kind: 'accepted', value: revocation });
    expect(checkRevocation(document, { root, known: { rootVersion: 1, changeNumber: 40 } }).kind).toBe(
      'accepted',
    );
    for (const changeNumber of [41, 42]) {
      const known = { rootVersion: 1, changeNumber };
      expect(checkRevocation(document, { root, known })).toEqual(refusal('older'));
    }
  });

  it('counts after all that was said under the root before it, and not under one that is not known', async () => {
    const later = { ...root, version: 2 };
    const under2 = await signedByPolicy(revocationBytes({ ...content, rootVersion: 2 }));
    const known = { rootVersion: 1, changeNumber: Number.MAX_SAFE_INTEGER };
    expect(checkRevocation(under2, { root: later, known }).kind).toBe('accepted');
    expect(checkRevocation(under2, { root, known })).toEqual(refusal('root-unknown'));
    const under1 = await signedByPolicy(revocationBytes(content));
    const installed = { rootVersion: 2, changeNumber: 1 };
    expect(checkRevocation(under1, { root: later, known: installed })).toEqual(refusal('older'));
  });

  it('is not believed with any bit turned, or from another role', async () => {
    const { raw, signatures } = await signedByPolicy(revocationBytes(content));
    for (const turned of eachBitTurned(raw)) {
      expect(checkRevocation({ raw: turned, signatures }, { root })).toEqual(
        refusal('signatures-insufficient'),
      );
    }
    for (const signers of [[], testKeys.root, testKeys.command]) {
      const document = await signDocument(raw, signers);
      expect(checkRevocation(document, { root })).toEqual(refusal('signatures-insufficient'));
    }
  });

  it('of another organization, malformed, too large or of a later format is refused', async () => {
    const check = async (value: Parameters<typeof documentBytes>[0]) =>
      checkRevocation(await signedByPolicy(documentBytes(value)), { root });
    expect(await check({ ...revocation, organization: 'village' })).toEqual(refusal('other-organization'));
    expect(await check({ ...revocation, format: 2 })).toEqual(refusal('format-unknown'));
    expect(await check({ ...revocation, filler: 'x'.repeat(300_000) })).toEqual(refusal('oversize'));
    const many = Array.from({ length: 1_001 }, (_, n) => `h${n}`);
    for (const changes of [
      { type: 'policy-manifest' },
      { holders: [], cards: [] },
      { holders: many },
      { changeNumber: 0 },
      { cards: [{ profileId: 'staff' }] },
      { more: 1 },
    ])
      expect(await check({ ...revocation, ...changes })).toEqual(refusal('malformed'));
  });
});
