import { describe, expect, it } from 'vitest';
import { decodeSigned, encodeSigned, type SignedDocument } from '#core/sync/signed.ts';
import { nextTrustRoot, pinTrustRoot, type TrustRoot } from '#core/sync/trust.ts';
import {
  addSignature,
  describeRoot,
  draftRoot,
  type RootChange,
  rootStanding,
} from '#issuance/trust/ceremony.ts';
import { TestKey } from './test-key.ts';

const authorities = [Uint8Array.of(0x30, 0x00)];
const keysOf = (...keys: readonly TestKey[]) => keys.map((key) => key.publicKey());

async function signed(document: SignedDocument, ...keys: readonly TestKey[]): Promise<SignedDocument> {
  let next = document;
  for (const key of keys) next = await addSignature(next, key);
  return next;
}

function pinned(document: SignedDocument): TrustRoot {
  const root = pinTrustRoot(document);
  if (root.kind === 'refused') throw new Error(root.reason);
  return root.value;
}

describe('a ceremony', () => {
  const [first, second, third, fourth, policy, command, later] = Array.from(
    { length: 7 },
    () => new TestKey(),
  );
  if (!first || !second || !third || !fourth || !policy || !command || !later) throw new Error('seven keys');
  const change: RootChange = {
    organization: 'city',
    authorities,
    roles: {
      root: { threshold: 2, keys: keysOf(first, second, third) },
      policy: { keys: keysOf(policy) },
      command: { keys: keysOf(command) },
    },
  };

  it('makes a first root, which counts once enough root keys have signed it', async () => {
    const draft = draftRoot(change, 1_000);
    expect(rootStanding(draft)).toBe('signatures-insufficient');
    const one = await signed(draft, first);
    expect(rootStanding(one)).toBe('signatures-insufficient');
    expect(rootStanding(await signed(one, first))).toBe('signatures-insufficient');
    expect(rootStanding(await signed(one, policy))).toBe('signatures-insufficient');
    const two = await signed(one, third);
    expect(rootStanding(two)).toBe('complete');
    expect(decodeSigned(encodeSigned(two))).toEqual({ kind: 'accepted', value: two });
    expect(describeRoot(pinned(two)).join('\n')).toContain('root: 2 of 3');
  });

  it('replaces a policy key that is compromised, by the root keys alone', async () => {
    const before = pinned(await signed(draftRoot(change, 1_000), first, second));
    const draft = draftRoot({ roles: { policy: { keys: keysOf(later) } } }, 2_000, before);
    expect(rootStanding(await signed(draft, policy, later), before)).toBe('signatures-insufficient');
    const next = await signed(draft, second, third);
    expect(rootStanding(next, before)).toBe('complete');
    const { version, roles, authorities: kept } = pinned(next);
    expect([version, [...roles.policy.keys.keys()], kept]).toEqual([2, [later.keyId()], authorities]);
    expect([...roles.command.keys.keys()]).toEqual([command.keyId()]);
  });

  it('replaces a root key, by enough of the old keys and enough of the new', async () => {
    const before = pinned(await signed(draftRoot(change, 1_000), first, second));
    const draft = draftRoot({ roles: { root: { keys: keysOf(second, third, fourth) } } }, 2_000, before);
    // whoever has stolen the first key, and even one more, gets nowhere
    expect(rootStanding(await signed(draft, first, fourth), before)).toBe('signatures-insufficient');
    expect(rootStanding(await signed(draft, first, second), before)).toBe('signatures-insufficient');
    const next = await signed(draft, second, third);
    expect(nextTrustRoot(before, next).kind).toBe('accepted');
    const after = pinned(next);
    const stolen = draftRoot({ roles: {} }, 3_000, after);
    expect(rootStanding(await signed(stolen, first, second), after)).toBe('signatures-insufficient');
  });

  it.each<[string, RootChange]>([
    ['a key in two roles', { ...change, roles: { ...change.roles, command: { keys: keysOf(policy) } } }],
    ['one key twice', { ...change, roles: { ...change.roles, policy: { keys: keysOf(policy, policy) } } }],
    [
      'a threshold that cannot be met',
      { ...change, roles: { ...change.roles, policy: { threshold: 2, keys: keysOf(policy) } } },
    ],
    [
      'a role without keys',
      { ...change, roles: { root: { keys: keysOf(first) }, policy: { keys: keysOf(policy) } } },
    ],
    ['no authority', { ...change, authorities: [] }],
    ['no organization', { roles: change.roles, authorities }],
    ['what is no key', { ...change, roles: { ...change.roles, policy: { keys: [new Uint8Array(91)] } } }],
  ])('drafts nothing with %s', (_what, wrong) => {
    expect(() => draftRoot(wrong, 1_000)).toThrow(expect.objectContaining({ code: 'argument-invalid' }));
  });

  it('drafts no root of another organization after one', async () => {
    const before = pinned(await signed(draftRoot(change, 1_000), first, second));
    expect(() => draftRoot({ organization: 'ward', roles: {} }, 2_000, before)).toThrow(
      expect.objectContaining({ code: 'argument-invalid' }),
    );
  });
});
