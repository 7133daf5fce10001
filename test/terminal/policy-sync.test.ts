import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { siteRulesSchema } from '#core/access/site-rules.ts';
import { Fault } from '#core/fault.ts';
import type { BucketHolder } from '#core/sync/bucket.ts';
import { encodeSigned } from '#core/sync/signed.ts';
import { SimulatedClock, settlePromises } from '#simulators/clock/simulated-clock.ts';
import { makeKey, rootContent, signRoot, testKeys } from '../core/sync/keys.ts';
import { type Issued, PolicyIssuer } from '../policy-issuer.ts';
import { type Kept, SyncDevice } from './sync-device.ts';

const nowMs = Date.parse('2026-04-01T00:00:00Z');
const minuteMs = 60_000;
const rules = siteRulesSchema.parse({
  formatVersion: 1,
  organization: 'city',
  profiles: [{ id: 'type-a', userNumberFormat: { alphabet: 'digits', minimumLength: 8, maximumLength: 8 } }],
  groups: ['staff'],
  doors: [{ id: 'main' }],
  permissions: [{ group: 'staff', door: 'main' }],
});

const newPolicy = [makeKey()];
/** The root that follows the first, with other keys of the policy. */
const nextRoot = () =>
  signRoot(rootContent({ version: 2 }, { policy: newPolicy }), testKeys.root.slice(0, 2));

let kept: Kept;
let issuer: PolicyIssuer;
let clock: SimulatedClock;
let devices: SyncDevice[];

beforeEach(async () => {
  devices = [];
  await anew();
});

afterEach(async () => {
  for (const device of devices) await device.stop();
  rmSync(kept.directory, { recursive: true, force: true });
});

async function anew(): Promise<void> {
  kept = {
    directory: mkdtempSync(join(tmpdir(), 'kazasu-syncing-')),
    facts: new Map(),
    roots: [encodeSigned(await signRoot(rootContent()))],
  };
  issuer = new PolicyIssuer({ terminal: 'lobby', rules });
  clock = new SimulatedClock({ utcMs: nowMs });
}

async function device(): Promise<SyncDevice> {
  const one = new SyncDevice(kept, { issuer, clock });
  devices.push(one);
  await one.syncing.start();
  return one;
}

async function restarted(one: SyncDevice): Promise<SyncDevice> {
  await one.die();
  devices = devices.filter((other) => other !== one);
  return device();
}

function holder(number: number, changes: Partial<BucketHolder> = {}): BucketHolder {
  const userNumber = String(number).padStart(8, '0');
  const cards = [{ profileId: 'type-a', userNumber, status: 'active' as const }];
  return { holderId: `h${number}`, status: 'active', groups: ['staff'], cards, ...changes };
}

function fill(count: number): void {
  for (let number = 0; number < count; number += 1) issuer.put(holder(number));
}

/** Everything that needs no time has happened. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 40; turn += 1) await settlePromises();
}

async function send(one: SyncDevice, issued: Issued): Promise<void> {
  await one.syncing.manifestReceived(issued.message);
  await settled();
}

const alarms = (one: SyncDevice) => one.notes.filter(({ kind }) => kind === 'alarm').map(({ body }) => body);

/** A policy of some holders in force. */
async function inForce(count = 60): Promise<SyncDevice> {
  fill(count);
  const one = await device();
  await send(one, await issuer.issue(clock.utcMs()));
  expect(one.version()).toBe(1);
  issuer.asked.length = 0;
  return one;
}

describe('a policy that a server distributes', () => {
  it('is fetched, verified, put in force, recorded and told', async () => {
    const one = await inForce();
    expect(one.statusOf(5)).toBe('active');
    expect(one.syncing.status()).toEqual({
      installed: {
        ...{ rootVersion: 1, version: 1, changeNumber: 60 },
        ...{ issuedAtMs: nowMs, expiresAtMs: nowMs + 30 * 86_400_000 },
      },
      reached: { version: { rootVersion: 1, number: 1 }, changes: { rootVersion: 1, number: 60 } },
      rootVersion: 1,
      altered: false,
    });
    expect(one.events('installed')).toMatchObject([{ kind: 'policy', body: { version: 1, holders: 60 } }]);
    expect(kept.facts.get('policy/installed')).toEqual({ rootVersion: 1, number: 1 });
  });

  it('changes by one message where one holder changes', async () => {
    const one = await inForce();
    issuer.put(holder(5, { status: 'suspended' }));
    const issued = await issuer.issue(nowMs + 1);
    expect(issued.message.length).toBeLessThan(8_192);
    await send(one, issued);
    expect(one.statusOf(5)).toBe('suspended');
    expect(issuer.asked).toEqual([]);
  });

  it('is said again without being recorded again', async () => {
    const one = await inForce();
    clock.advance(5 * minuteMs);
    await send(one, await issuer.issue(clock.utcMs()));
    expect(one.syncing.status().installed).toMatchObject({ version: 1, issuedAtMs: clock.utcMs() });
    expect(one.events('installed')).toHaveLength(1);
    expect(one.slice(5).version.freshAtMs).toBe(clock.utcMs());
  });

  it('comes by the index where a terminal has missed versions', async () => {
    const one = await inForce();
    for (let version = 2; version <= 4; version += 1) {
      issuer.put(holder(version, { status: 'ended' }));
      const issued = await issuer.issue(nowMs + version);
      if (version === 4) await send(one, issued);
    }
    expect([2, 3, 4, 5].map((number) => one.statusOf(number))).toEqual(['ended', 'ended', 'ended', 'active']);
    expect(issuer.asked.map(({ kind }) => kind)).toContain('index');
    expect(issuer.asked.length).toBeLessThanOrEqual(4);
  });

  it.each([
    [
      'older',
      async () =>
        issuer.sign({ ...(await issuer.issue(nowMs)).manifest, version: 0 + 1, issuedAtMs: nowMs - 1 }),
    ],
    [
      'contradicts-known',
      async () => issuer.sign({ ...(await issuer.issue(nowMs)).manifest, rulesHash: 'A'.repeat(64) }),
    ],
    ['expired', async () => issuer.issue(nowMs + 1, { expiresAtMs: nowMs })],
    ['issued-in-future', async () => issuer.issue(nowMs + 2 * 3_600_000)],
    ['other-terminal', async () => issuer.issue(nowMs + 1, { terminal: 'cellar' })],
    ['other-organization', async () => issuer.issue(nowMs + 1, { organization: 'village' })],
  ])('is refused, recorded once and told, when %s', async (reason, make) => {
    const one = await inForce();
    const issued = await make();
    await send(one, issued);
    await send(one, issued);
    expect(one.version()).toBe(1);
    expect(one.syncing.status().lastRefusal).toMatchObject({ of: 'manifest', reason });
    expect(one.events('refused')).toHaveLength(1);
    await send(one, await issuer.sign({ ...issued.manifest, terminal: 'other' }));
    clock.advance(61 * minuteMs);
    await send(one, issued);
    expect(one.events('refused').length).toBeGreaterThan(1);
  });

  it('is refused from who has no key, however it is asked, and the server is not asked each time', async () => {
    const one = await inForce();
    let asked = 0;
    issuer.roots = async () => {
      asked += 1;
      return [];
    };
    issuer.signers = [makeKey()];
    for (let time = 0; time < 20; time += 1) await send(one, await issuer.issue(nowMs + time));
    expect(asked).toBe(1);
    expect(one.syncing.status().lastRefusal?.reason).toBe('signatures-insufficient');
    await one.syncing.manifestReceived(new Uint8Array(10));
    expect(one.syncing.status().lastRefusal?.reason).toBe('malformed');
  });

  it('makes the server be asked for roots once a minute, whoever else asks for them', async () => {
    const one = await inForce();
    let asked = 0;
    issuer.roots = async () => {
      asked += 1;
      return [];
    };
    issuer.signers = [makeKey()];
    await send(one, await issuer.issue(nowMs + 1));
    for (let time = 0; time < 20; time += 1) await one.syncing.renewRoots();
    expect(asked).toBe(1);
    clock.advance(minuteMs);
    await Promise.all([one.syncing.renewRoots(), one.syncing.renewRoots()]);
    expect(asked).toBe(2);
  });

  it('is tried again, later each time, where chunks do not come', async () => {
    fill(60);
    const one = await device();
    const tries: number[] = [];
    issuer.meddle = () => {
      tries.push(clock.monotonicUs() / 1_000);
      throw new Fault('deadline-exceeded', 'nobody answers');
    };
    await one.syncing.manifestReceived(issuer.bare(await issuer.issue(nowMs)));
    await clock.advanceAsync(20_000, settled);
    const gaps = tries.slice(1).map((at, index) => at - (tries[index] ?? 0));
    expect(gaps).toEqual([1_000, 2_000, 4_000, 8_000]);
    expect(one.syncing.status().fetching).toBe(1);
    const behind = { alarm: 'policy-behind', on: true, why: 'deadline-exceeded', version: 1 };
    expect(alarms(one)).toEqual([behind]);
    issuer.meddle = () => undefined;
    await clock.advanceAsync(20_000, settled);
    expect(one.statusOf(5)).toBe('active');
    expect(alarms(one)).toEqual([behind, { alarm: 'policy-behind', on: false }]);
  });

  it('that nobody can read is an alarm, and gives way to the next', async () => {
    fill(60);
    const one = await device();
    const { stage } = one.sync;
    const tries: number[] = [];
    one.sync.stage = async (_, [chunk]) => {
      if (!chunk) return { kind: 'staged' };
      tries.push(clock.monotonicUs());
      return { kind: 'refused', reason: 'malformed', wanted: chunk.wanted };
    };
    const first = await issuer.issue(nowMs);
    one.syncing.manifestReceived(issuer.bare(first));
    await clock.advanceAsync(3_600_000, settled);
    expect(tries.length).toBeLessThan(30);
    const behind = { alarm: 'policy-behind', on: true, why: 'malformed', version: 1 };
    expect(alarms(one)).toEqual([behind]);
    one.sync.stage = stage;
    issuer.put(holder(5, { status: 'ended' }));
    await send(one, await issuer.issue(nowMs + 3_600_000));
    expect([one.version(), one.statusOf(5)]).toEqual([2, 'ended']);
    expect(alarms(one)).toEqual([behind, { alarm: 'policy-behind', on: false }]);
  });

  it('is tried again no faster where it is never whole', async () => {
    fill(60);
    const one = await device();
    const tries: number[] = [];
    const install = one.sync.install;
    one.sync.install = async () => {
      tries.push(clock.monotonicUs() / 1_000);
      return { kind: 'incomplete' };
    };
    await one.syncing.manifestReceived(issuer.bare(await issuer.issue(nowMs)));
    await clock.advanceAsync(20_000, settled);
    expect(tries.slice(1).map((at, index) => at - (tries[index] ?? 0))).toEqual([1_000, 2_000, 4_000, 8_000]);
    one.sync.install = install;
    await clock.advanceAsync(20_000, settled);
    expect(one.statusOf(5)).toBe('active');
  });

  it('is given up where the server has it no more, and keeps nothing out that a server put back says', async () => {
    const one = await inForce();
    issuer.put(holder(5, { status: 'ended' }));
    const { answer } = issuer;
    issuer.answer = () => ({ kind: 'gone' });
    const lost = await issuer.issue(nowMs + 2, { version: 9 });
    one.syncing.manifestReceived(issuer.bare(lost));
    await settled();
    expect(one.syncing.status().fetching).toBe(9);
    await clock.advanceAsync(minuteMs, settled);
    expect([one.version(), one.syncing.status().fetching]).toEqual([1, undefined]);
    expect(issuer.asked).toHaveLength(3);
    issuer.answer = answer;
    issuer.put(holder(6, { status: 'ended' }));
    await send(one, await issuer.issue(clock.utcMs(), { version: 2 }));
    expect([one.version(), one.statusOf(6)]).toEqual([2, 'ended']);
  });

  it('waits as long as the server asks it to', async () => {
    fill(60);
    const one = await device();
    const answer = issuer.answer;
    issuer.answer = () => ({ kind: 'later', afterMs: 30_000 });
    await one.syncing.manifestReceived(issuer.bare(await issuer.issue(nowMs)));
    await clock.advanceAsync(29_000, settled);
    expect(issuer.asked).toHaveLength(2);
    issuer.answer = answer;
    await clock.advanceAsync(2_000, settled);
    expect(one.version()).toBe(1);
  });

  it('does not take a chunk that was changed on the way', async () => {
    fill(60);
    const one = await device();
    const answer = issuer.answer;
    issuer.answer = (wanted) => {
      const given = answer(wanted);
      return given.kind === 'chunk' ? { kind: 'chunk', bytes: given.bytes.map((byte) => byte ^ 1) } : given;
    };
    await one.syncing.manifestReceived(issuer.bare(await issuer.issue(nowMs)));
    await clock.advanceAsync(10_000, settled);
    expect(one.version()).toBeUndefined();
    expect(one.syncing.status().lastRefusal).toMatchObject({ of: 'chunk', reason: 'chunk-altered' });
    issuer.answer = answer;
    await clock.advanceAsync(20_000, settled);
    expect(one.version()).toBe(1);
  });

  it('gives way to a newer one that comes while it is fetched, and keeps what they share', async () => {
    fill(200);
    const one = await device();
    const first = await issuer.issue(nowMs);
    let newer: Issued | undefined;
    issuer.meddle = async (wanted) => {
      if (newer || wanted.every(({ kind }) => kind !== 'bucket')) return;
      issuer.put(holder(5, { status: 'suspended' }));
      newer = await issuer.issue(nowMs + 1);
      await one.syncing.manifestReceived(issuer.bare(newer));
    };
    await one.syncing.manifestReceived(issuer.bare(first));
    await settled();
    expect(one.version()).toBe(2);
    expect(one.statusOf(5)).toBe('suspended');
    expect(one.events('installed')).toHaveLength(1);
    const buckets = issuer.asked.filter(({ kind }) => kind === 'bucket').map(({ hash }) => hash);
    expect(buckets.length).toBe(new Set(buckets).size);
  });

  it('that has expired by the time it has come is not put in force', async () => {
    fill(60);
    const one = await device();
    issuer.meddle = () => {
      clock.stepUtc(40 * 86_400_000);
      issuer.meddle = () => undefined;
    };
    await one.syncing.manifestReceived(issuer.bare(await issuer.issue(nowMs)));
    await settled();
    expect(one.version()).toBeUndefined();
    expect(one.syncing.status().lastRefusal?.reason).toBe('expired');
  });

  it('stays as it is while the disk is full, and changes once it is not', async () => {
    const one = await inForce();
    issuer.put(holder(5, { status: 'suspended' }));
    const full = { on: true };
    one.sync.before = (step) => {
      if (full.on && step === 'install') throw new Fault('policy-unwritable', 'SQLITE_FULL');
    };
    await send(one, await issuer.issue(nowMs + 1));
    expect([one.version(), one.statusOf(5)]).toEqual([1, 'active']);
    full.on = false;
    await clock.advanceAsync(2_000, settled);
    expect([one.version(), one.statusOf(5)]).toEqual([2, 'suspended']);
  });
});

describe('what is revoked', () => {
  it('counts at once, over a restart, and until a manifest goes as far', async () => {
    const one = await inForce();
    await one.syncing.revocationReceived(await issuer.revoke(['h5']));
    expect([one.statusOf(5), one.statusOf(6)]).toEqual(['suspended', 'active']);
    const again = await restarted(one);
    expect(again.statusOf(5)).toBe('suspended');
    // a manifest from before, said again
    await send(again, await issuer.issue(nowMs + 1, { changeNumber: 60 }));
    expect(again.statusOf(5)).toBe('suspended');
    // and one that says that it was a mistake
    await send(again, await issuer.issue(nowMs + 2));
    expect(again.statusOf(5)).toBe('active');
    await again.syncing.revocationReceived(await issuer.revoke(['h5'], { changeNumber: 61 }));
    expect(again.statusOf(5)).toBe('active');
  });

  it('counts while the disk takes nothing, and is kept as soon as it does', async () => {
    const one = await inForce();
    one.sync.before = (step) => {
      if (step === 'revoke') throw new Fault('policy-unwritable', 'SQLITE_FULL');
    };
    one.syncing.revocationReceived(await issuer.revoke(['h5']));
    one.syncing.revocationReceived(await issuer.revoke(['h6']));
    expect([one.statusOf(5), one.statusOf(6)]).toEqual(['suspended', 'suspended']);
    await clock.advanceAsync(30_000, settled);
    expect([one.events('revoked'), kept.facts.has('policy/revoked')]).toEqual([[], false]);
    one.sync.before = () => undefined;
    await clock.advanceAsync(60_000, settled);
    expect(one.events('revoked')).toHaveLength(2);
    const again = await restarted(one);
    expect([again.statusOf(5), again.statusOf(6)]).toEqual(['suspended', 'suspended']);
  });

  it('counts, all of it, while a large change is being installed that does not end', async () => {
    const one = await inForce();
    one.sync.before = (step) => (step === 'install' ? new Promise(() => undefined) : undefined);
    issuer.put(holder(9, { status: 'suspended' }));
    await send(one, await issuer.issue(nowMs + 1));
    one.syncing.revocationReceived(await issuer.revoke(['h5']));
    one.syncing.revocationReceived(await issuer.revoke(['h6']));
    expect([one.statusOf(5), one.statusOf(6)]).toEqual(['suspended', 'suspended']);
    await one.die();
    devices = [];
  });

  it('counts while the server is asked for roots and does not answer', async () => {
    const one = await inForce();
    issuer.roots = () => new Promise(() => undefined);
    const { signers } = issuer;
    issuer.signers = [makeKey()];
    await send(one, await issuer.issue(nowMs + 1));
    issuer.signers = signers;
    one.syncing.revocationReceived(await issuer.revoke(['h5']));
    expect(one.statusOf(5)).toBe('suspended');
  });

  it('may be a card that a holder has no more', async () => {
    const one = await inForce();
    const cards = [{ profileId: 'type-a', userNumber: '00000005' }];
    one.syncing.revocationReceived(await issuer.revoke([], { cards }));
    expect([one.slice(5).card?.status, one.slice(6).card?.status]).toEqual(['suspended', 'active']);
    expect(one.statusOf(5)).toBe('active');
  });

  it('by somebody who counted as far as numbers go, keeps nothing out under the next root', async () => {
    const one = await inForce();
    one.syncing.revocationReceived(await issuer.revoke(['h5'], { changeNumber: Number.MAX_SAFE_INTEGER }));
    await settled();
    issuer.newRoots = [encodeSigned(await nextRoot())];
    issuer.signers = newPolicy;
    issuer.rootVersion = 2;
    issuer.changeNumber = 60;
    one.syncing.revocationReceived(await issuer.revoke(['h6']));
    await settled();
    expect([one.statusOf(5), one.statusOf(6)]).toEqual(['suspended', 'suspended']);
    await send(one, await issuer.issue(nowMs + 1, { changeNumber: 60 }));
    for (const device of [one, await restarted(one)]) {
      expect([device.statusOf(5), device.statusOf(6)]).toEqual(['active', 'suspended']);
      expect(device.syncing.status().altered).toBe(false);
    }
  });

  it('is not forgotten because somebody deletes it on the device', async () => {
    const one = await inForce();
    await one.syncing.revocationReceived(await issuer.revoke(['h5']));
    await one.die();
    devices = [];
    edit('DELETE FROM revoked');
    const again = await device();
    expect(again.syncing.status().altered).toBe(true);
    expect(() => again.trust.checkCurrent({ rootVersion: 1, version: 1, changeNumber: 60 })).toThrow(
      'missing',
    );
    await send(again, await issuer.issue(nowMs + 1));
    expect(again.syncing.status().altered).toBe(false);
  });

  it('by who may not, or in no form that is known, revokes nobody', async () => {
    const one = await inForce();
    issuer.signers = testKeys.command;
    one.syncing.revocationReceived(await issuer.revoke(['h5']));
    await settled();
    expect(one.syncing.status().lastRefusal).toMatchObject({
      of: 'revocation',
      reason: 'signatures-insufficient',
    });
    await one.syncing.revocationReceived(new Uint8Array([1, 2, 3]));
    expect(one.syncing.status().lastRefusal).toMatchObject({ of: 'revocation', reason: 'malformed' });
    expect(one.statusOf(5)).toBe('active');
  });
});

describe('a new root of trust', () => {
  it('is fetched when a manifest is signed by keys not heard of, and the old ones count no more', async () => {
    const one = await inForce();
    issuer.newRoots = [encodeSigned(await nextRoot())];
    const oldKeys = issuer.signers;
    issuer.signers = newPolicy;
    issuer.rootVersion = 2;
    await send(one, await issuer.issue(nowMs + 1));
    expect(one.syncing.status()).toMatchObject({ rootVersion: 2, installed: { issuedAtMs: nowMs + 1 } });
    expect(kept.roots).toHaveLength(1);
    issuer.signers = oldKeys;
    await send(one, await issuer.issue(nowMs + 2));
    // it may be of a root after that one, which the server is asked for once a minute
    await clock.advanceAsync(minuteMs, settled);
    expect(one.syncing.status().lastRefusal?.reason).toBe('signatures-insufficient');
    expect((await restarted(one)).syncing.status()).toMatchObject({ rootVersion: 2, altered: false });
  });

  it('leaves doors their policy until one of the new keys is there, over a restart as well', async () => {
    const one = await inForce();
    issuer.newRoots = [encodeSigned(await nextRoot())];
    issuer.signers = newPolicy;
    issuer.put(holder(5, { status: 'suspended' }));
    issuer.meddle = () => {
      throw new Fault('deadline-exceeded', 'nobody answers');
    };
    await one.syncing.manifestReceived(issuer.bare(await issuer.issue(nowMs + 1)));
    await settled();
    expect([one.syncing.status().rootVersion, one.version(), one.statusOf(5)]).toEqual([2, 1, 'active']);
    const again = await restarted(one);
    expect([again.syncing.status().altered, again.statusOf(5)]).toEqual([false, 'active']);
  });

  it('takes from a thief what he signed, with numbers as high as there are', async () => {
    const one = await inForce();
    const most = Number.MAX_SAFE_INTEGER;
    issuer.put(holder(666));
    const stolen = { version: most, changeNumber: most, expiresAtMs: most };
    await send(one, await issuer.issue(nowMs + 1, stolen));
    expect([one.version(), one.statusOf(666)]).toEqual([most, 'active']);
    issuer.newRoots = [encodeSigned(await nextRoot())];
    issuer.signers = newPolicy;
    issuer.rootVersion = 2;
    issuer.remove('h666');
    await send(one, await issuer.issue(nowMs + 2, { version: 58, changeNumber: 62 }));
    expect(kept.facts.get('policy/installed')).toEqual({ rootVersion: 2, number: 58 });
    for (const device of [one, await restarted(one)]) {
      expect([device.version(), device.statusOf(666), device.statusOf(5)]).toEqual([58, undefined, 'active']);
      expect(device.syncing.status()).toMatchObject({ altered: false, rootVersion: 2 });
    }
  });

  it('takes the place of the one whose manifest is still on its way', async () => {
    fill(60);
    const one = await device();
    issuer.meddle = () => {
      throw new Fault('deadline-exceeded', 'nobody answers');
    };
    await one.syncing.manifestReceived(issuer.bare(await issuer.issue(nowMs)));
    await settled();
    expect(one.syncing.status().fetching).toBe(1);
    issuer.newRoots = [encodeSigned(await nextRoot())];
    issuer.signers = newPolicy;
    issuer.rootVersion = 2;
    one.syncing.revocationReceived(await issuer.revoke(['h5']));
    await settled();
    expect(one.syncing.status()).toMatchObject({ rootVersion: 2 });
    expect(one.syncing.status().fetching).toBeUndefined();
    issuer.meddle = () => undefined;
    await clock.advanceAsync(minuteMs, settled);
    expect([one.version(), one.syncing.status().altered]).toEqual([undefined, false]);
  });

  it('is followed for a revocation that its keys have signed', async () => {
    const one = await inForce();
    issuer.newRoots = [encodeSigned(await nextRoot())];
    issuer.signers = newPolicy;
    issuer.rootVersion = 2;
    one.syncing.revocationReceived(await issuer.revoke(['h5']));
    await settled();
    expect([one.syncing.status().rootVersion, one.statusOf(5)]).toEqual([2, 'suspended']);
    expect(one.events('refused')).toEqual([]);
  });

  it('is followed by what its keys have signed while it was being fetched', async () => {
    const one = await inForce();
    const asked = Promise.withResolvers<readonly Uint8Array[]>();
    issuer.roots = () => asked.promise;
    issuer.signers = newPolicy;
    issuer.rootVersion = 2;
    one.syncing.revocationReceived(await issuer.revoke(['h5']));
    await send(one, await issuer.issue(nowMs + 1, { changeNumber: 60 }));
    one.syncing.revocationReceived(await issuer.revoke(['h6']));
    asked.resolve([encodeSigned(await nextRoot())]);
    await settled();
    expect([one.statusOf(5), one.statusOf(6)]).toEqual(['suspended', 'suspended']);
    expect(one.syncing.status()).toMatchObject({ rootVersion: 2, installed: { issuedAtMs: nowMs + 1 } });
  });

  it('is asked for again a minute after, for what came too early', async () => {
    const one = await inForce();
    issuer.signers = newPolicy;
    issuer.rootVersion = 2;
    await send(one, await issuer.issue(nowMs + 1));
    const later = await issuer.revoke(['h5']);
    one.syncing.revocationReceived(later);
    issuer.newRoots = [encodeSigned(await nextRoot())];
    await clock.advanceAsync(minuteMs, settled);
    expect(one.statusOf(5)).toBe('suspended');
  });

  it('that does not follow is refused', async () => {
    const one = await inForce();
    issuer.newRoots = [encodeSigned(await signRoot(rootContent({ version: 2 }), [makeKey(), makeKey()]))];
    issuer.signers = newPolicy;
    await send(one, await issuer.issue(nowMs + 1));
    expect(one.syncing.status()).toMatchObject({ rootVersion: 1, installed: { issuedAtMs: nowMs } });
    expect(one.events('refused').map(({ body }) => body.of)).toEqual(['root', 'manifest']);
  });
});

describe('a policy changed on the device', () => {
  it('is found by the walk, told, and put together anew', async () => {
    const one = await inForce();
    edit("UPDATE bucket_cards SET bucket = bucket + 1 WHERE user_number = '00000005'");
    await clock.advanceAsync(10_000, settled);
    expect(one.events('policy-altered')).toMatchObject([{ kind: 'alarm', body: { on: true } }]);
    await clock.advanceAsync(2_000, settled);
    expect(one.events('policy-altered')).toMatchObject([{ body: { on: true } }, { body: { on: false } }]);
    expect(one.statusOf(5)).toBe('active');
  });

  it('is found at a tap, told, and put together anew', async () => {
    const one = await inForce();
    edit("UPDATE chunks SET bytes = CAST(replace(CAST(bytes AS TEXT), 'h5', 'h_') AS BLOB)");
    expect(() => one.statusOf(5)).toThrow(Fault);
    one.trust.found(new Fault('policy-altered', 'found at a tap'));
    await clock.advanceAsync(2_000, settled);
    expect([one.statusOf(5), one.syncing.status().altered]).toEqual(['active', false]);
  });

  it('and put back to what it was before is not gone by, at the next start', async () => {
    const one = await inForce();
    await one.die();
    const file = join(kept.directory, 'policy.sqlite');
    copyFileSync(file, `${file}.old`);
    devices = [];
    const two = await device();
    issuer.put(holder(5, { status: 'ended' }));
    await send(two, await issuer.issue(nowMs + 1));
    await two.die();
    devices = [];
    for (const end of ['-wal', '-shm']) rmSync(file + end, { force: true });
    copyFileSync(`${file}.old`, file);
    const three = await device();
    expect(three.syncing.status().altered).toBe(true);
    // nor brought in force again by a server whose own copy is old
    issuer.put(holder(7));
    await send(three, await issuer.issue(nowMs + 2, { version: 1 }));
    expect(three.syncing.status().lastRefusal?.reason).toMatch(/older|contradicts-known/);
    await send(three, await issuer.issue(nowMs + 3, { version: 3 }));
    expect([three.statusOf(5), three.syncing.status().altered]).toEqual(['ended', false]);
  });
});

describe('a policy of which a page of the memory card is lost', () => {
  /** The policy is in force, one holder is revoked ahead of the next, and then the page is lost. */
  async function damaged(): Promise<SyncDevice> {
    const one = await inForce();
    one.syncing.revocationReceived(await issuer.revoke(['h6']));
    await settled();
    await one.die();
    devices = [];
    losePage('bucket_cards');
    return device();
  }
  const aside = () => join(kept.directory, 'policy.sqlite.damaged');

  it('is found by the walk and told, and begun anew as soon as the server says the next', async () => {
    const one = await damaged();
    await clock.advanceAsync(60_000, settled);
    expect(one.events('policy-altered')).toMatchObject([{ body: { on: true } }]);
    expect([one.version(), existsSync(aside())], 'what can be read still serves').toEqual([1, false]);
    await send(one, await issuer.issue(clock.utcMs(), { changeNumber: 60 }));
    expect(existsSync(aside())).toBe(true);
    expect(one.events('policy-altered')).toMatchObject([{ body: { on: true } }, { body: { on: false } }]);
    const again = await restarted(one);
    expect([again.statusOf(5), again.statusOf(6)], 'and forgets nobody revoked').toEqual([
      'active',
      'suspended',
    ]);
    await clock.advanceAsync(60_000, settled);
    expect(again.syncing.status().altered).toBe(false);
  });

  it('takes the next that comes before anything was found', async () => {
    const one = await damaged();
    issuer.put(holder(5, { status: 'ended' }));
    await send(one, await issuer.issue(clock.utcMs() + 1));
    await clock.advanceAsync(2_000, settled);
    expect([one.version(), one.statusOf(5), one.statusOf(7)]).toEqual([2, 'ended', 'active']);
    expect(one.syncing.status().altered).toBe(false);
  });

  it('is begun anew later where that is not possible at first', async () => {
    const one = await damaged();
    mkdirSync(join(aside(), 'in the way'), { recursive: true });
    issuer.put(holder(5, { status: 'ended' }));
    await send(one, await issuer.issue(clock.utcMs() + 1));
    await clock.advanceAsync(20_000, settled);
    expect(one.syncing.status()).toMatchObject({ altered: true, fetching: 2 });
    rmSync(aside(), { recursive: true });
    await clock.advanceAsync(60_000, settled);
    expect([one.version(), one.statusOf(5), one.syncing.status().altered]).toEqual([2, 'ended', false]);
  });
});

describe('a terminal without its roots of trust', () => {
  it('goes on, says so once, and is in order as soon as they are there', async () => {
    fill(20);
    const roots = kept.roots;
    kept.roots = [];
    const one = await device();
    await clock.advanceAsync(10 * minuteMs, settled);
    expect(one.events('policy-sync')).toMatchObject([{ body: { on: true, fault: 'policy-altered' } }]);
    expect(one.syncing.status()).toEqual({
      altered: false,
      reached: { version: { rootVersion: 0, number: 0 }, changes: { rootVersion: 0, number: 0 } },
    });
    await send(one, await issuer.issue(clock.utcMs()));
    one.syncing.revocationReceived(await issuer.revoke(['h6']));
    expect(one.version()).toBeUndefined();
    kept.roots = roots;
    await clock.advanceAsync(minuteMs, settled);
    expect(one.events('policy-sync')).toMatchObject([{ body: { on: true } }, { body: { on: false } }]);
    // what came meanwhile has waited
    expect([one.statusOf(5), one.statusOf(6)]).toEqual(['active', 'suspended']);
  });

  it('keeps the newest of many that come meanwhile, and what is revoked', async () => {
    fill(20);
    const roots = kept.roots;
    kept.roots = [];
    const one = await device();
    one.syncing.revocationReceived(await issuer.revoke(['h6']));
    for (let number = 20; number < 40; number += 1) {
      issuer.put(holder(number));
      await send(one, await issuer.issue(nowMs + number, { changeNumber: 20 }));
    }
    kept.roots = roots;
    await clock.advanceAsync(minuteMs, settled);
    expect([one.version(), one.statusOf(39), one.statusOf(6)]).toEqual([20, 'active', 'suspended']);
  });

  it('keeps the newest of more that is revoked than may wait', async () => {
    const one = await inForce();
    const { roots } = kept;
    kept.roots = [];
    const again = await restarted(one);
    for (let number = 0; number < 20; number += 1)
      again.syncing.revocationReceived(await issuer.revoke([`h${number}`]));
    kept.roots = roots;
    await clock.advanceAsync(minuteMs, settled);
    expect([again.statusOf(3), again.statusOf(4), again.statusOf(19)]).toEqual([
      'active',
      'suspended',
      'suspended',
    ]);
  });

  it('believes nothing where the file has been given other roots', async () => {
    const one = await inForce();
    const strange = [makeKey(), makeKey(), makeKey()];
    kept.roots = [
      encodeSigned(await signRoot(rootContent({}, { root: strange, policy: [makeKey()] }), strange)),
    ];
    const again = await restarted(one);
    expect(again.syncing.status().altered).toBe(true);
    expect(() => again.statusOf(5)).toThrow(Fault);
  });
});

describe('the power cut at each step', () => {
  it('leaves one version or the other, whole, and the sync goes on from there', async () => {
    for (let dies = 1; ; dies += 1) {
      rmSync(kept.directory, { recursive: true, force: true });
      await anew();
      devices = [];
      let one = await inForce(40);
      for (let number = 0; number < 40; number += 3) issuer.put(holder(number, { status: 'suspended' }));
      for (let number = 40; number < 300; number += 1) issuer.put(holder(number));
      const issued = await issuer.issue(nowMs + 1);
      let steps = 0;
      let died = false;
      one.sync.before = () => {
        steps += 1;
        if (steps < dies) return;
        died = true;
        return new Promise(() => undefined);
      };
      await one.syncing.manifestReceived(issuer.bare(issued));
      await settled();
      one = await restarted(one);
      expect(one.syncing.status().altered).toBe(false);
      expect([one.version(), one.statusOf(3), one.statusOf(299)]).toEqual(
        one.version() === 1 ? [1, 'active', undefined] : [2, 'suspended', 'active'],
      );
      await one.syncing.manifestReceived(issuer.bare(issued));
      await settled();
      expect([one.version(), one.statusOf(3), one.statusOf(299)]).toEqual([2, 'suspended', 'active']);
      await clock.advanceAsync(60_000, settled);
      expect(one.syncing.status().altered).toBe(false);
      if (!died) {
        expect(dies).toBeGreaterThan(4);
        return;
      }
    }
  });
});

describe('whatever comes in whatever order', () => {
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant('issue' as const), number: fc.nat(30), ended: fc.boolean() }),
    },
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant('deliver' as const), which: fc.nat(), bare: fc.boolean() }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('revoke' as const), number: fc.nat(30) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('fail' as const), network: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 1_000, 30_000) }),
    },
  );

  it('no version goes back, and in the end the newest is in force', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (course) => {
        rmSync(kept.directory, { recursive: true, force: true });
        await anew();
        fill(20);
        const versions = [await issuer.issue(clock.utcMs())];
        let one = await device();
        let highest = 0;
        for (const event of course) {
          if (event.do === 'issue') {
            issuer.put(holder(event.number, { status: event.ended ? 'ended' : 'active' }));
            versions.push(await issuer.issue(clock.utcMs()));
          } else if (event.do === 'deliver') {
            const issued = versions[event.which % versions.length];
            if (issued) await one.syncing.manifestReceived(event.bare ? issuer.bare(issued) : issued.message);
          } else if (event.do === 'revoke') {
            await one.syncing.revocationReceived(await issuer.revoke([`h${event.number}`]));
          } else if (event.do === 'fail') {
            issuer.meddle = () => {
              if (event.network) throw new Fault('deadline-exceeded', 'nobody answers');
            };
          } else if (event.do === 'restart') one = await restarted(one);
          else await clock.advanceAsync(event.ms, settled);
          await settled();
          const version = one.version() ?? 0;
          expect(version).toBeGreaterThanOrEqual(highest);
          highest = version;
          expect(one.syncing.status().altered).toBe(false);
        }
        issuer.meddle = () => undefined;
        clock.advance(1);
        const last = await issuer.issue(clock.utcMs());
        await send(one, last);
        await clock.advanceAsync(60_000, settled);
        expect(one.version()).toBe(last.manifest.version);
        for (let number = 0; number <= 30; number += 1) {
          expect(one.statusOf(number)).toBe(issuer.holders.get(`h${number}`)?.status);
        }
        await one.stop();
        devices = [];
      }),
      { numRuns: 8 },
    );
  });
});

function edit(sql: string): void {
  const file = join(kept.directory, 'policy.sqlite');
  expect(existsSync(file)).toBe(true);
  const db = new Database(file);
  db.prepare(sql).run();
  db.close();
}

/** Overwrites the first page of a table. */
function losePage(table: string): void {
  const file = join(kept.directory, 'policy.sqlite');
  const db = new Database(file);
  const size = Number(db.pragma('page_size', { simple: true }));
  const root = Number(db.prepare('SELECT rootpage FROM sqlite_schema WHERE name = ?').pluck().get(table));
  db.close();
  const opened = openSync(file, 'r+');
  writeSync(opened, Buffer.alloc(size, 0xff), 0, size, (root - 1) * size);
  closeSync(opened);
}
