import { createECDH } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { concat, fromHex, plainBytes, toHex } from '#core/bytes/bytes.ts';
import { documentBytes } from '#core/sync/document.ts';
import { signDocument } from '#core/sync/signed.ts';
import { nextTrustRoot, pinTrustRoot, trustRootBytes, walkTrustRoots } from '#core/sync/trust.ts';
import { eachBitTurned, makeKey, pinnedRoot, rootContent, signRoot, testKeys } from './keys.ts';

const refusal = (reason: string) => ({ kind: 'refused', reason });

describe('a root of trust', () => {
  it('says who has which role', async () => {
    const root = await pinnedRoot();
    expect(root).toMatchObject({ organization: 'city', version: 1 });
    expect([...root.roles.policy.keys.keys()]).toEqual(testKeys.policy.map((key) => key.keyId()));
    expect(root.roles.root.threshold).toBe(2);
  });

  it('is not pinned without enough of its own root keys', async () => {
    for (const signers of [[], testKeys.root.slice(0, 1), [...testKeys.policy, ...testKeys.command]]) {
      expect(pinTrustRoot(await signRoot(rootContent(), signers))).toEqual(
        refusal('signatures-insufficient'),
      );
    }
  });

  it('is not pinned with a bit of its bytes turned', async () => {
    const { raw, signatures } = await signRoot(rootContent());
    // every 29th: each place in a byte has its turn
    for (const turned of eachBitTurned(raw, 29)) {
      expect(pinTrustRoot({ raw: turned, signatures }).kind).toBe('refused');
    }
  });

  it('takes a key once, in one role', async () => {
    const [first, second, third] = testKeys.root;
    if (!first || !second || !third) throw new Error('three keys');
    for (const keys of [
      { root: [first, first, second] },
      { policy: [first] },
      { command: [...testKeys.policy] },
    ]) {
      expect(pinTrustRoot(await signRoot(rootContent({}, keys)))).toEqual(refusal('malformed'));
    }
  });

  it('takes no key in a second form, which would have a second id', async () => {
    const { spki } = makeKey();
    const point = createECDH('prime256v1');
    point.generateKeys();
    const compressed = concat(
      fromHex('3039301306072A8648CE3D020106082A8648CE3D030107032200'),
      plainBytes(point.getPublicKey(null, 'compressed')),
    );
    for (const key of [compressed, concat(spki, new Uint8Array(1)), spki.slice(0, 90), new Uint8Array()]) {
      const content = rootContent();
      const roles = { ...content.roles, policy: { threshold: 1, keys: [key] } };
      expect(pinTrustRoot(await signRoot({ ...content, roles }))).toEqual(refusal('malformed'));
    }
  });

  it('takes no threshold that nobody meets or that everybody does', async () => {
    const content = rootContent();
    for (const threshold of [0, 3, -1, 1.5]) {
      const roles = { ...content.roles, policy: { ...content.roles.policy, threshold } };
      expect(pinTrustRoot(await signRoot({ ...content, roles }))).toEqual(refusal('malformed'));
    }
  });

  it('is not read in a format of later, and not where it is larger than any', async () => {
    const later = documentBytes({ type: 'trust-root', format: 2, anything: true });
    expect(pinTrustRoot(await signDocument(later, testKeys.root))).toEqual(refusal('format-unknown'));
    const large = documentBytes({ type: 'trust-root', format: 1, filler: 'x'.repeat(300_000) });
    expect(pinTrustRoot(await signDocument(large, testKeys.root))).toEqual(refusal('oversize'));
  });

  it('names an organization as certificates and topics can', async () => {
    for (const organization of ['', 'a/b', 'a+b', '#', 'x'.repeat(33), 'a b', 'CN=a,O=b']) {
      expect(pinTrustRoot(await signRoot(rootContent({ organization })))).toEqual(refusal('malformed'));
    }
  });
});

describe('the root that follows another', () => {
  const newKeys = [makeKey(), makeKey(), makeKey()];
  const second = rootContent({ version: 2 }, { root: newKeys });

  it('is signed by enough keys of both', async () => {
    const root = await pinnedRoot();
    const both = await signRoot(second, [...testKeys.root.slice(0, 2), ...newKeys.slice(1)]);
    expect(nextTrustRoot(root, both)).toMatchObject({ kind: 'accepted', value: { version: 2 } });
    for (const signers of [
      newKeys,
      testKeys.root,
      [...testKeys.root.slice(0, 1), ...newKeys],
      [...testKeys.root, ...newKeys.slice(0, 1)],
    ]) {
      expect(nextTrustRoot(root, await signRoot(second, signers))).toEqual(
        refusal('signatures-insufficient'),
      );
    }
  });

  it('cannot be made by who has the keys of another role, or of a root replaced', async () => {
    const root = await pinnedRoot();
    const byPolicy = await signRoot(second, [...testKeys.policy, ...testKeys.command, ...newKeys]);
    expect(nextTrustRoot(root, byPolicy)).toEqual(refusal('signatures-insufficient'));
    const replaced = nextTrustRoot(root, await signRoot(second, [...testKeys.root, ...newKeys]));
    if (replaced.kind === 'refused') throw new Error(replaced.reason);
    const third = await signRoot(rootContent({ version: 3 }), testKeys.root);
    expect(nextTrustRoot(replaced.value, third)).toEqual(refusal('signatures-insufficient'));
  });

  it('is of the same organization and the very next version', async () => {
    const root = await pinnedRoot(rootContent({ version: 5 }));
    for (const [content, reason] of [
      [{ version: 5 }, 'older'],
      [{ version: 4 }, 'older'],
      [{ version: 7 }, 'version-skipped'],
      [{ version: 6, organization: 'village' }, 'other-organization'],
    ] as const) {
      expect(nextTrustRoot(root, await signRoot(rootContent(content)))).toEqual(refusal(reason));
    }
  });

  it('is reached step by step, as far as the steps hold', async () => {
    const root = await pinnedRoot();
    const step = (version: number) => signRoot(rootContent({ version }));
    const steps = await Promise.all([1, 2, 3, 4].map(step));
    expect(walkTrustRoots(root, steps)).toMatchObject({ root: { version: 4 } });
    expect(walkTrustRoots(root, steps).refusal).toBeUndefined();
    const [one, two, , four] = steps;
    if (!one || !two || !four) throw new Error('four steps');
    expect(walkTrustRoots(root, [two, four])).toMatchObject({
      root: { version: 2 },
      refusal: 'version-skipped',
    });
    const forged = await signRoot(rootContent({ version: 2 }), [makeKey(), makeKey()]);
    expect(walkTrustRoots(root, [forged, two])).toMatchObject({
      root: { version: 1 },
      refusal: 'signatures-insufficient',
    });
  });
});

it('gives the same bytes for the same root', () => {
  expect(toHex(trustRootBytes(rootContent()))).toBe(toHex(trustRootBytes(rootContent())));
});
