import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { bucketBytes, chunkHash } from '#core/sync/bucket.ts';
import { documentBytes } from '#core/sync/document.ts';
import { checkManifest, type Manifest, manifestBytes, readSignedManifest } from '#core/sync/manifest.ts';
import {
  decodeManifestMessage,
  encodeManifestMessage,
  maximumInlineBytes,
} from '#core/sync/manifest-message.ts';
import { type SignedDocument, signDocument } from '#core/sync/signed.ts';
import type { TrustRoot } from '#core/sync/trust.ts';
import { eachBitTurned, pinnedRoot, rootContent, signedByPolicy, testKeys } from './keys.ts';

const nowMs = 1_800_000_000_000;
const day = 86_400_000;
const content = {
  organization: 'city',
  terminal: 'lobby',
  version: 7,
  changeNumber: 40,
  issuedAtMs: nowMs - 60_000,
  expiresAtMs: nowMs + 30 * day,
  rulesHash: 'A'.repeat(64),
  holdersRoot: 'B'.repeat(64),
  bits: 4,
  holders: 250,
  rootVersion: 1,
};
const known: Manifest = { ...content, type: 'policy-manifest', format: 1 };
const refusal = (reason: string) => ({ kind: 'refused', reason });

let root: TrustRoot;
beforeAll(async () => {
  root = await pinnedRoot();
});

function sign(changes: Partial<typeof content> = {}): Promise<SignedDocument> {
  return signedByPolicy(manifestBytes({ ...content, ...changes }));
}

function check(document: SignedDocument, more: { known?: Manifest; clock?: 'trusted' | 'untrusted' } = {}) {
  return checkManifest(document, { root, terminal: 'lobby', nowMs, clock: 'trusted', ...more });
}

describe('a manifest', () => {
  it('is believed as it was signed', async () => {
    expect(check(await sign())).toEqual({ kind: 'accepted', value: known });
    expect(check(await sign(), { known })).toEqual({ kind: 'accepted', value: known });
  });

  it('is not believed with any bit of it or of its signature turned', async () => {
    const { raw, signatures } = await sign();
    for (const turned of eachBitTurned(raw)) {
      expect(check({ raw: turned, signatures })).toEqual(refusal('signatures-insufficient'));
    }
    const [first] = signatures;
    if (!first) throw new Error('one signature');
    for (const signature of eachBitTurned(first.signature)) {
      const turned = { raw, signatures: [{ ...first, signature }] };
      expect(check(turned)).toEqual(refusal('signatures-insufficient'));
    }
  });

  it('is signed in the role of the policy, and by as many as that takes', async () => {
    const raw = manifestBytes(content);
    for (const signers of [[], testKeys.root, testKeys.command]) {
      expect(check(await signDocument(raw, signers))).toEqual(refusal('signatures-insufficient'));
    }
    const roles = rootContent().roles;
    root = await pinnedRoot(rootContent({ roles: { ...roles, policy: { ...roles.policy, threshold: 2 } } }));
    const [first] = testKeys.policy;
    if (!first) throw new Error('a key');
    expect(check(await signDocument(raw, [first, first]))).toEqual(refusal('signatures-insufficient'));
    expect(check(await signDocument(raw, testKeys.policy)).kind).toBe('accepted');
    root = await pinnedRoot();
  });

  it('is no other document that the same keys sign', async () => {
    const revocation = documentBytes({ type: 'policy-revocation', format: 1, organization: 'city' });
    expect(check(await signedByPolicy(revocation))).toEqual(refusal('malformed'));
    const nameless = documentBytes({ ...content, format: 1 });
    expect(check(await signedByPolicy(nameless))).toEqual(refusal('malformed'));
  });

  it.each([
    ['of another organization', { organization: 'village' }, 'other-organization'],
    ['for another terminal', { terminal: 'cellar' }, 'other-terminal'],
    ['of a lower version', { version: 6 }, 'older'],
    ['of a lower change number', { version: 8, changeNumber: 39 }, 'older'],
    ['issued earlier', { version: 8, issuedAtMs: content.issuedAtMs - 1 }, 'older'],
    ['of the same version with other rules', { rulesHash: 'C'.repeat(64) }, 'contradicts-known'],
    ['of the same version with other holders', { holdersRoot: 'C'.repeat(64) }, 'contradicts-known'],
    ['of the same version with other buckets', { bits: 5 }, 'contradicts-known'],
    ['of the same version with more holders', { holders: 251 }, 'contradicts-known'],
    ['that has expired', { version: 8, expiresAtMs: nowMs }, 'expired'],
    ['of the future', { version: 8, issuedAtMs: nowMs + 3_600_001 }, 'issued-in-future'],
  ])('%s is refused', async (_, changes, reason) => {
    expect(check(await sign(changes), { known })).toEqual(refusal(reason));
  });

  it('may say again, later, what is known', async () => {
    const again = { issuedAtMs: nowMs, expiresAtMs: nowMs + 31 * day, changeNumber: 41 };
    expect(check(await sign(again), { known })).toMatchObject({ kind: 'accepted', value: again });
  });

  it('counts anew under the next root, however far somebody counted under the one before', async () => {
    const most = Number.MAX_SAFE_INTEGER;
    const ahead = { ...known, version: most, changeNumber: most, issuedAtMs: most };
    const under2 = await sign({ rootVersion: 2 });
    expect(check(under2, { known: ahead })).toEqual(refusal('root-unknown'));
    root = { ...root, version: 2 };
    expect(check(under2, { known: ahead }).kind).toBe('accepted');
    expect(check(await sign({ version: 8, changeNumber: 41 }), { known: ahead })).toEqual(refusal('older'));
    // and never back to what the root before said, though the keys be the same
    const installed = { ...known, rootVersion: 2 };
    expect(check(await sign({ version: 9, changeNumber: 50 }), { known: installed })).toEqual(
      refusal('older'),
    );
    expect(check(await sign({ rootVersion: 2, version: 6 }), { known: installed })).toEqual(refusal('older'));
    root = await pinnedRoot();
  });

  it('may be of an earlier time where the clock knows that the time known is wrong', async () => {
    const wrong = { ...known, issuedAtMs: nowMs + 3_600_001, expiresAtMs: nowMs + 40 * day };
    const now = await sign({ issuedAtMs: nowMs });
    expect(check(now, { known: wrong }).kind).toBe('accepted');
    expect(check(now, { known: wrong, clock: 'untrusted' })).toEqual(refusal('older'));
    expect(check(now, { known: { ...wrong, issuedAtMs: nowMs + 3_600_000 } })).toEqual(refusal('older'));
    expect(check(await sign({ version: 6, issuedAtMs: nowMs }), { known: wrong })).toEqual(refusal('older'));
  });

  it('of a time after that of a clock that nobody trusts is believed', async () => {
    const later = await sign({ issuedAtMs: nowMs + day });
    expect(check(later, { clock: 'untrusted' }).kind).toBe('accepted');
  });

  it('is read again after it has expired, to go on by it', async () => {
    const expired = await sign({ expiresAtMs: 1 });
    expect(readSignedManifest(expired, { root, terminal: 'lobby' }).kind).toBe('accepted');
    expect(readSignedManifest(expired, { root, terminal: 'cellar' })).toEqual(refusal('other-terminal'));
  });

  it('malformed, too large or of a later format is refused', async () => {
    const later = documentBytes({ type: 'policy-manifest', format: 2, shape: 'new' });
    expect(check(await signedByPolicy(later))).toEqual(refusal('format-unknown'));
    const large = documentBytes({ ...known, filler: 'x'.repeat(5_000) });
    expect(check(await signedByPolicy(large))).toEqual(refusal('oversize'));
    for (const [name, values] of Object.entries({
      version: [0, -1, 1.5, '7', null, 2 ** 53],
      bits: [-1, 21],
      rulesHash: ['', 'a'.repeat(64), 'A'.repeat(63)],
      terminal: ['a/b', '+', '', 'x'.repeat(33)],
      unknown: [1],
    })) {
      for (const value of values) {
        const signed = await signedByPolicy(documentBytes({ ...known, [name]: value }));
        expect(check(signed)).toEqual(refusal('malformed'));
      }
    }
    expect(check(await signedByPolicy(new Uint8Array()))).toEqual(refusal('malformed'));
  });

  it('never goes back, whatever comes in whatever order', async () => {
    const versions = await Promise.all(
      [1, 2, 3].flatMap((version) =>
        [0, 1].map((minute) => {
          const issuedAtMs = nowMs - 1_000_000 + version * 100_000 + minute * 60_000;
          const rulesHash = String(version).repeat(64);
          return sign({ version, changeNumber: version * 10 + minute, issuedAtMs, rulesHash });
        }),
      ),
    );
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...versions), { maxLength: 12 }), (documents) => {
        let installed: Manifest | undefined;
        for (const document of documents) {
          const next = check(document, installed ? { known: installed } : {});
          if (next.kind === 'refused') continue;
          if (installed) {
            expect(next.value.version).toBeGreaterThanOrEqual(installed.version);
            expect(next.value.issuedAtMs).toBeGreaterThanOrEqual(installed.issuedAtMs);
            expect(next.value.changeNumber).toBeGreaterThanOrEqual(installed.changeNumber);
          }
          installed = next.value;
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe('a manifest as it is sent', () => {
  const chunk = bucketBytes([]);
  const change = { bucket: 3, hash: chunkHash(chunk) };

  it('carries changes and chunks', async () => {
    const message = { manifest: await sign(), changes: [change], chunks: [chunk] };
    expect(decodeManifestMessage(encodeManifestMessage(message))).toEqual({
      kind: 'accepted',
      value: message,
    });
  });

  it('is refused with too much, malformed, of a later format, or with a manifest that is none', async () => {
    const manifest = await sign();
    const much = [new Uint8Array(maximumInlineBytes), new Uint8Array(1)];
    const oversize = encodeManifestMessage({ manifest, changes: [], chunks: much });
    expect(decodeManifestMessage(oversize)).toEqual(refusal('oversize'));
    expect(decodeManifestMessage(new Uint8Array(300_000))).toEqual(refusal('oversize'));
    expect(decodeManifestMessage(documentBytes({ format: 2 }))).toEqual(refusal('format-unknown'));
    expect(decodeManifestMessage(documentBytes({ format: 1 }))).toEqual(refusal('malformed'));
    const none = documentBytes({ format: 1, manifest: 'AAAA', changes: [], chunks: [] });
    expect(decodeManifestMessage(none)).toEqual(refusal('malformed'));
    const later = documentBytes({
      format: 1,
      manifest: Buffer.from('{"format":2}').toString('base64'),
      changes: [],
      chunks: [],
    });
    expect(decodeManifestMessage(later)).toEqual(refusal('format-unknown'));
  });

  it('never throws, whatever is sent', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(decodeManifestMessage(bytes).kind).toBe('refused');
      }),
      { numRuns: 200 },
    );
  });
});
