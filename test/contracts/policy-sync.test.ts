import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DistributedPolicy } from '#adapters/sqlite/distributed-policy.ts';
import { openPolicyForWriting } from '#adapters/sqlite/policy-format.ts';
import { PolicyInstaller } from '#adapters/sqlite/policy-installer.ts';
import { PolicyReader } from '#adapters/sqlite/policy-reader.ts';
import { PolicyStore } from '#adapters/sqlite/policy-store.ts';
import { PolicySyncFile } from '#adapters/sqlite/policy-sync-file.ts';
import { PolicySyncStore } from '#adapters/sqlite/policy-sync-store.ts';
import { siteRulesSchema } from '#core/access/site-rules.ts';
import type { JsonValue } from '#core/journal/record.ts';
import type { BucketHolder } from '#core/sync/bucket.ts';
import { decodeManifestMessage } from '#core/sync/manifest-message.ts';
import { encodeSigned } from '#core/sync/signed.ts';
import type { MissingChunks, WantedChunk } from '#ports/policy-sync.ts';
import { DistributionTrust } from '#terminal/distribution-trust.ts';
import { rootContent, signRoot } from '../core/sync/keys.ts';
import { type Issued, PolicyIssuer } from '../policy-issuer.ts';

const nowMs = Date.parse('2026-04-01T00:00:00Z');
const rules = siteRulesSchema.parse({
  formatVersion: 1,
  organization: 'city',
  profiles: [{ id: 'type-a', userNumberFormat: { alphabet: 'digits', minimumLength: 8, maximumLength: 8 } }],
  groups: ['staff', 'guard'],
  doors: [{ id: 'main' }],
  permissions: [{ group: 'staff', door: 'main' }],
});

let directory: string;
let file: string;
let journal: string;
let issuer: PolicyIssuer;
let trust: DistributionTrust;
let facts: Map<string, JsonValue>;
let opened: { stop(): Promise<void> }[];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'kazasu-sync-'));
  file = join(directory, 'policy.sqlite');
  journal = join(directory, 'journal.sqlite');
  opened = [];
  facts = new Map();
  issuer = new PolicyIssuer({ terminal: 'lobby', rules });
  trust = new DistributionTrust({ terminal: 'lobby' });
  trust.rememberBy((key) => facts.get(key));
  trust.load([encodeSigned(await signRoot(rootContent()))]);
});

afterEach(async () => {
  for (const one of opened) await one.stop();
  rmSync(directory, { recursive: true, force: true });
});

async function started<T extends { start(): Promise<unknown>; stop(): Promise<void> }>(one: T): Promise<T> {
  await one.start();
  opened.push(one);
  return one;
}

const syncStore = () => started(new PolicySyncStore({ file }));
const store = () => started(new PolicyStore({ file, journal, trust }));

function holder(number: number, changes: Partial<BucketHolder> = {}): BucketHolder {
  const userNumber = String(number).padStart(8, '0');
  const cards = [{ profileId: 'type-a', userNumber, status: 'active' as const }];
  return { holderId: `h${number}`, status: 'active', groups: ['staff'], cards, ...changes };
}

/** As a disk does that is unplugged for a moment: what is open of a database can neither be read nor written any more. */
function takeAway(database: string, spared: RegExp): void {
  for (const name of readdirSync('/proc/self/fd')) {
    const path = `/proc/self/fd/${name}`;
    if (!existsSync(path)) continue;
    const of = readlinkSync(path);
    if (!of.startsWith(database) || spared.test(of)) continue;
    closeSync(Number(name));
    // something in its place that can be neither read nor written, so that nothing else gets that number
    const opened = [openSync(directory, 'r')];
    while (opened.at(-1) !== Number(name)) opened.push(openSync(directory, 'r'));
    for (const one of opened.slice(0, -1)) closeSync(one);
  }
}

function fill(count: number): void {
  for (let number = 0; number < count; number += 1) issuer.put(holder(number));
}

const queryOf = (number: number) => ({
  doorId: 'main',
  organization: 'city',
  profileId: 'type-a',
  userNumber: String(number).padStart(8, '0'),
});

/** more than any policy here has */
const all = { from: 0, most: 10_000 };

async function bring(sync: PolicySyncStore, issued: Issued) {
  for (;;) {
    const { wanted } = await sync.missing(issued, [], all);
    if (wanted.length === 0) return sync.install(issued, nowMs);
    const answers = await issuer.fetch(wanted);
    const came = wanted.flatMap((one, at) => {
      const answer = answers[at];
      return answer?.kind === 'chunk' ? [{ wanted: one, bytes: answer.bytes }] : [];
    });
    expect(await sync.stage(issued, came)).toEqual({ kind: 'staged' });
  }
}

/** A policy of `count` holders in force, and what looks it up. */
async function inForce(count = 200) {
  fill(count);
  const sync = await syncStore();
  const issued = await issuer.issue(nowMs);
  expect(await bring(sync, issued)).toMatchObject({ kind: 'installed' });
  return { sync, issued, policy: await store() };
}

function edit(sql: string, ...values: unknown[]): void {
  const db = new Database(file);
  db.prepare(sql).run(...values);
  db.close();
}

describe('a distributed policy', () => {
  it('is in force as it was signed', async () => {
    const { policy } = await inForce();
    const { slice } = await policy.lookUp(queryOf(7));
    expect(slice).toMatchObject({
      version: { number: 1, organization: 'city', freshAtMs: nowMs, installedAtMs: nowMs },
      profileAdmitted: true,
      holder: { holderId: 'h7', groups: ['staff'], status: 'active' },
      card: { userNumber: '00000007' },
      otherCards: false,
    });
    expect((await policy.lookUp(queryOf(999))).slice).not.toHaveProperty('holder');
    expect((await policy.doorPolicy('main'))?.rules.permissions).toEqual(rules.permissions);
  });

  it('is looked up as one imported here would be', async () => {
    const card = (diversifier: string | undefined, status: 'active' | 'suspended' = 'active') => ({
      profileId: 'type-a',
      userNumber: '00000001',
      status,
      ...(diversifier === undefined ? {} : { diversifier }),
    });
    issuer.put(holder(1, { cards: [card(undefined), card('0A', 'suspended'), card('0B')] }));
    issuer.put(holder(2, { cards: [{ ...card('0C'), userNumber: '00000002' }] }));
    issuer.put(holder(3, { cards: [{ ...card('0C'), userNumber: '00000003' }] }));
    const sync = await syncStore();
    await bring(sync, await issuer.issue(nowMs));
    const policy = await store();
    const found = async (diversifier?: string) => {
      const { slice } = await policy.lookUp({ ...queryOf(1), ...(diversifier && { diversifier }) });
      return [slice.card?.diversifier, slice.card?.status, slice.otherCards];
    };
    expect(await found('0A')).toEqual(['0A', 'suspended', true]);
    expect(await found('0F')).toEqual([undefined, 'active', true]);
    expect(await found()).toEqual([undefined, 'active', true]);
    const claim = { doorId: 'main', organization: 'city', profileId: 'type-a' };
    expect((await policy.lookUpClaim({ ...claim, diversifier: '0B' }))?.slice.holder?.holderId).toBe('h1');
    // two user numbers have it
    expect(await policy.lookUpClaim({ ...claim, diversifier: '0C' })).toBeUndefined();
    const reader = new PolicyReader(file);
    expect(reader.cardsOf('h1')).toHaveLength(3);
    expect([reader.hasHolder('h2'), reader.hasHolder('h9')]).toEqual([true, false]);
    reader.close();
  });

  it('takes one bucket for one holder, and is seen by the next look-up', async () => {
    const { sync, policy } = await inForce();
    await policy.lookUp(queryOf(7));
    issuer.put(holder(7, { status: 'suspended' }));
    const next = await issuer.issue(nowMs + 1);
    const changes = decodeManifestMessage(next.message);
    if (changes.kind === 'refused') throw new Error(changes.reason);
    const { wanted } = await sync.missing(next, changes.value.changes, all);
    expect(wanted).toHaveLength(1);
    expect(await bring(sync, next)).toEqual({ kind: 'installed', bucketsChanged: 1 });
    expect((await policy.lookUp(queryOf(7))).slice.holder?.status).toBe('suspended');
    expect((await policy.lookUp(queryOf(8))).slice.version.number).toBe(2);
  });

  it('is no older one put back where the next came in force while a look-up was under way', async () => {
    const { sync, policy } = await inForce();
    issuer.put(holder(7, { status: 'suspended' }));
    const found: string[] = [];
    trust.onFound(({ message }) => found.push(message));
    await policy.lookUp(queryOf(7));
    const asked = policy.lookUp(queryOf(7));
    facts.set('policy/installed', { rootVersion: 1, number: 2 });
    expect((await asked).slice.version.number).toBe(1);
    // who asks from now on is not content with it
    await expect(policy.lookUp(queryOf(7))).rejects.toMatchObject({ code: 'policy-altered' });
    expect(found).toHaveLength(1);
    await bring(sync, await issuer.issue(nowMs + 1));
    expect((await policy.lookUp(queryOf(7))).slice.holder?.status).toBe('suspended');
  });

  it('keeps what was fetched over a break, and asks for no more than is missing', async () => {
    fill(500);
    const issued = await issuer.issue(nowMs);
    const first = await syncStore();
    const [rulesChunk, index] = (await first.missing(issued, [], all)).wanted;
    if (!rulesChunk || !index) throw new Error('rules and index');
    const bytesOf = (hash: string) => issuer.chunks.get(hash) ?? new Uint8Array();
    await first.stage(
      issued,
      [rulesChunk, index].map((wanted) => ({ wanted, bytes: bytesOf(wanted.hash) })),
    );
    const { wanted: buckets } = await first.missing(issued, [], all);
    expect(buckets.length).toBeGreaterThan(20);
    const half = buckets.slice(0, 10);
    await first.stage(
      issued,
      half.map((wanted) => ({ wanted, bytes: bytesOf(wanted.hash) })),
    );
    await first.stop();
    const again = await syncStore();
    expect(await again.missing(issued, [], all)).toEqual({ wanted: buckets.slice(10) });
    expect(await again.install(issued, nowMs)).toEqual({ kind: 'incomplete' });
    expect(await again.installed()).toBeUndefined();
    expect(await bring(again, issued)).toMatchObject({ kind: 'installed' });
  });

  it('tells what is missing in portions, which together are all of it', async () => {
    fill(500);
    const issued = await issuer.issue(nowMs);
    const sync = await syncStore();
    const first = await sync.missing(issued, [], all);
    await sync.stage(
      issued,
      first.wanted.map((wanted) => ({ wanted, bytes: issuer.chunks.get(wanted.hash) ?? new Uint8Array() })),
    );
    const { wanted } = await sync.missing(issued, [], all);
    const portions: WantedChunk[][] = [];
    for (let from: number | undefined = 0; from !== undefined; ) {
      const portion: MissingChunks = await sync.missing(issued, [], { from, most: 7 });
      portions.push([...portion.wanted]);
      from = portion.next;
    }
    expect(portions.slice(0, -1).every(({ length }) => length === 7)).toBe(true);
    expect(portions.flat()).toEqual(wanted);
  });

  it('comes whole, whatever changes from one version to the next', async () => {
    const sync = await syncStore();
    const policy = await store();
    const steps = fc.array(
      fc.record({ number: fc.nat(40), what: fc.constantFrom('put', 'suspend', 'remove', 'recard') }),
      { minLength: 1, maxLength: 30 },
    );
    let atMs = nowMs;
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 1, maxLength: 3 }), async (versions) => {
        for (const version of versions) {
          for (const { number, what } of version) {
            if (what === 'remove') issuer.remove(`h${number}`);
            else if (what === 'recard') {
              const cards = [
                {
                  profileId: 'type-a',
                  userNumber: String(number + 50).padStart(8, '0'),
                  status: 'active' as const,
                },
              ];
              issuer.put(holder(number, { cards }));
            } else issuer.put(holder(number, { status: what === 'put' ? 'active' : 'suspended' }));
          }
          atMs += 1;
          expect(await bring(sync, await issuer.issue(atMs))).toMatchObject({ kind: 'installed' });
          for (let number = 0; number <= 100; number += 9) {
            const userNumber = String(number).padStart(8, '0');
            const owner = [...issuer.holders.values()].find(({ cards }) =>
              cards.some((card) => card.userNumber === userNumber),
            );
            const { slice } = await policy.lookUp(queryOf(number));
            expect([slice.holder?.holderId, slice.holder?.status]).toEqual([owner?.holderId, owner?.status]);
          }
        }
      }),
      { numRuns: 8 },
    );
    const db = new Database(file, { readonly: true });
    const unused = db.prepare('SELECT count(*) FROM chunks WHERE used = 0').pluck().get();
    const kept = db.prepare('SELECT count(*) FROM chunks').pluck().get();
    const cards = db.prepare('SELECT count(*) FROM bucket_cards').pluck().get();
    db.close();
    expect(unused).toBe(0);
    expect(Number(kept)).toBeLessThanOrEqual(2 ** bitsInForce() + 1);
    expect(cards).toBe(issuer.holders.size);
  });

  it('with a user number of two holders is refused, and the one before stays', async () => {
    const { sync, policy } = await inForce(50);
    const shared = holder(3).cards;
    issuer.put(holder(60, { cards: shared.map((card) => ({ ...card, diversifier: '0A' })) }));
    const issued = await issuer.issue(nowMs + 1);
    expect(await bring(sync, issued)).toEqual({ kind: 'refused', reason: 'malformed' });
    expect((await policy.lookUp(queryOf(3))).slice).toMatchObject({
      version: { number: 1 },
      holder: { holderId: 'h3' },
    });
  });

  it('refuses chunks that are not what they are asked for as, or nothing it can read', async () => {
    fill(50);
    const sync = await syncStore();
    const issued = await issuer.issue(nowMs);
    const [rulesChunk, index] = (await sync.missing(issued, [], all)).wanted;
    if (!rulesChunk || !index) throw new Error('rules and index');
    const bytes = issuer.chunks.get(rulesChunk.hash) ?? new Uint8Array();
    for (const wrong of [new Uint8Array(), bytes.slice(1), new Uint8Array(bytes.length)]) {
      const outcome = await sync.stage(issued, [{ wanted: rulesChunk, bytes: wrong }]);
      expect(outcome).toMatchObject({ kind: 'refused', reason: 'chunk-altered' });
    }
    const asIndex = { wanted: { kind: 'index' as const, hash: rulesChunk.hash }, bytes };
    expect(await sync.stage(issued, [asIndex])).toMatchObject({ kind: 'refused', reason: 'malformed' });
    const asBucket = { wanted: { kind: 'bucket' as const, hash: rulesChunk.hash, bucket: 0 }, bytes };
    expect(await sync.stage(issued, [asBucket])).toMatchObject({ kind: 'refused', reason: 'malformed' });
    expect((await sync.missing(issued, [], all)).wanted).toHaveLength(2);
  });

  it('ends imports on the device, and what was imported before opens nothing', async () => {
    const installer = await started(new PolicyInstaller({ file }));
    await installer.installRules(rules, nowMs);
    await installer.stop();
    const sync = await syncStore();
    const policy = await store();
    expect(await policy.version()).toBeUndefined();
    await expect(policy.lookUp(queryOf(1))).rejects.toMatchObject({ code: 'policy-absent' });
    await expect(new PolicyInstaller({ file }).start()).rejects.toMatchObject({
      code: 'policy-import-refused',
    });
    fill(10);
    await bring(sync, await issuer.issue(nowMs));
    expect((await policy.version())?.number).toBe(1);
  });

  it('survives its file being put aside because it is none', async () => {
    const db = new Database(file);
    db.exec('CREATE TABLE other (x)');
    db.close();
    fill(10);
    const sync = await syncStore();
    await bring(sync, await issuer.issue(nowMs));
    expect((await (await store()).lookUp(queryOf(1))).slice.holder?.holderId).toBe('h1');
  });
});

describe('a disk', () => {
  /** A policy in force, a later one staged, and the database opened by hand. */
  async function staged() {
    const { sync, policy } = await inForce(100);
    await policy.stop();
    for (let number = 0; number < 2_000; number += 1)
      issuer.put(holder(number, { status: number === 7 ? 'suspended' : 'active' }));
    const issued = await issuer.issue(nowMs + 1);
    for (const first of [true, false]) {
      const { wanted } = await sync.missing(issued, [], all);
      expect(wanted.some(({ kind }) => kind === 'index')).toBe(first);
      const answers = await issuer.fetch(wanted);
      const came = wanted.flatMap((one, at) => {
        const answer = answers[at];
        return answer?.kind === 'chunk' ? [{ wanted: one, bytes: answer.bytes }] : [];
      });
      await sync.stage(issued, came);
    }
    await sync.stop();
    return { issued, db: openPolicyForWriting(file) };
  }

  function stateOf(path: string) {
    const reader = new PolicyReader(path, { vouch: (document) => trust.vouch(document) });
    try {
      const slice = reader.slice(queryOf(7));
      return [slice.version.number, slice.holder?.status, reader.hasHolder('h1999')];
    } finally {
      reader.close();
    }
  }

  it.each([
    ['all that is open', 'policy-unwritable', 'database-invalid', /-shm$/],
    ['also what is shared', 'database-in-use', 'database-invalid', /^$/],
  ])('that was away is written and read again once it is back: %s', (_, written, read, spared) => {
    const policy = new PolicySyncFile(file);
    const revoke = (changeNumber: number) =>
      policy.revoke({ rootVersion: 1, changeNumber, holders: ['h1'], cards: [] });
    revoke(1);
    takeAway(file, spared);
    expect(() => revoke(2)).toThrow(expect.objectContaining({ code: written }));
    revoke(3);
    expect(policy.revoked().map(({ changeNumber }) => changeNumber)).toEqual([1, 3]);
    policy.close();
    const reader = new PolicyReader(file);
    expect(reader.version()).toBeUndefined();
    takeAway(file, spared);
    expect(() => reader.version()).toThrow(expect.objectContaining({ code: read }));
    expect(reader.version()).toBeUndefined();
    reader.close();
  });

  it('that is full during a switch leaves the version before, whole, and later takes the new one', async () => {
    const { issued, db } = await staged();
    const pages = Number(db.pragma('page_count', { simple: true }));
    let full = 0;
    for (let room = 0; ; room += 2) {
      db.pragma(`max_page_count = ${pages + room}`);
      try {
        new DistributedPolicy(db).install(issued, nowMs);
        break;
      } catch (error) {
        expect(error).toMatchObject({ code: 'SQLITE_FULL' });
        full += 1;
        expect(stateOf(file)).toEqual([1, 'active', false]);
      }
    }
    expect(full).toBeGreaterThan(2);
    expect(stateOf(file)).toEqual([2, 'suspended', true]);
    db.close();
  });

  it('as the power leaves it in the middle of a switch has the version before, and then the new one', async () => {
    const { issued, db } = await staged();
    const image = join(directory, 'image.sqlite');
    const cut = () => {
      copyFileSync(file, image);
      copyFileSync(`${file}-wal`, `${image}-wal`);
      return stateOf(image);
    };
    // so that what is not committed is in the log already
    db.pragma('cache_size = 10');
    let middle: unknown;
    const target = {
      manifest: issued.manifest,
      get document() {
        middle = cut();
        return issued.document;
      },
    };
    expect(new DistributedPolicy(db).install(target, nowMs)).toMatchObject({ kind: 'installed' });
    expect(middle).toEqual([1, 'active', false]);
    expect(cut()).toEqual([2, 'suspended', true]);
    db.close();
  });
});

describe('a distributed policy that somebody edits on the device', () => {
  const other = (number: number) => issuer.holders.get(`h${number}`);
  const altered = { code: 'policy-altered' };

  it.each([
    [
      'a holder',
      () => edit("UPDATE chunks SET bytes = CAST(replace(CAST(bytes AS TEXT), 'active', 'ACTIVE') AS BLOB)"),
    ],
    [
      'rules',
      () => edit("UPDATE chunks SET bytes = CAST(replace(CAST(bytes AS TEXT), 'staff', 'guard') AS BLOB)"),
    ],
    ['a chunk taken away', () => edit('DELETE FROM chunks')],
    ['the index', () => edit('UPDATE bucket_index SET hashes = zeroblob(length(hashes))')],
    ['the index cut', () => edit('DELETE FROM bucket_index')],
    ['a card moved', () => edit('UPDATE bucket_cards SET bucket = (bucket + 1) % 16')],
    ['the manifest', () => edit("UPDATE manifest SET document = CAST('{}' AS BLOB)")],
  ])('opens nothing: %s', async (_, spoil) => {
    const { policy, sync } = await inForce();
    await policy.stop();
    spoil();
    const again = await store();
    const found: string[] = [];
    trust.onFound(({ code }) => found.push(code));
    await expect(again.lookUp(queryOf(7))).rejects.toMatchObject(altered);
    expect(found).toEqual(['policy-altered']);
    expect(other(7)?.status).toBe('active');
    // and is as it was once it is put together anew
    await sync.repair();
    await bring(sync, await issuer.issue(nowMs + 1));
    expect((await again.lookUp(queryOf(7))).slice.holder?.holderId).toBe('h7');
  });

  it('opens nothing for who is added by hand', async () => {
    const { policy } = await inForce();
    edit("INSERT INTO bucket_cards VALUES ('type-a', '00009999', '', 3)");
    await expect(policy.lookUp(queryOf(9_999))).rejects.toMatchObject(altered);
    edit('DELETE FROM manifest');
    await expect(policy.lookUp(queryOf(7))).rejects.toMatchObject({ code: 'policy-absent' });
    edit("INSERT INTO holders VALUES ('h7', 'active', NULL, NULL, ';staff;')");
    edit("INSERT INTO cards VALUES ('type-a', '00000007', '', 'h7', 'active', NULL)");
    await expect(policy.lookUp(queryOf(7))).rejects.toMatchObject({ code: 'policy-absent' });
  });

  it('opens nothing while it is open, for whom it was edited', async () => {
    const { policy } = await inForce();
    await policy.lookUp(queryOf(7));
    const db = new Database(file);
    const rows = db.prepare('SELECT rowid AS id, bytes FROM chunks').all() as { id: number; bytes: Buffer }[];
    const mine = rows.find(({ bytes }) => bytes.includes('"h7"'));
    const text = mine?.bytes.toString().replace('"holderId":"h7"', '"holderId":"h_"');
    db.prepare('UPDATE chunks SET bytes = ? WHERE rowid = ?').run(Buffer.from(text ?? ''), mine?.id);
    db.close();
    await expect(policy.lookUp(queryOf(7))).rejects.toMatchObject(altered);
    const elsewhere = [...Array(200).keys()].find((number) => !mine?.bytes.includes(`"h${number}"`)) ?? 0;
    expect((await policy.lookUp(queryOf(elsewhere))).slice.holder?.status).toBe('active');
  });

  it('is found by the walk, wherever it was edited', async () => {
    const { sync, issued } = await inForce(5_000);
    const walk = async () => {
      let from: number | undefined = 0;
      let steps = 0;
      while (from !== undefined) {
        const step = await sync.walk(issued.manifest, from);
        steps += 1;
        if (step.altered) return { altered: true, steps };
        from = step.next;
      }
      return { altered: false, steps };
    };
    expect(await walk()).toEqual({ altered: false, steps: 8 });
    for (const [spoil, mend] of [
      [
        "UPDATE bucket_cards SET bucket = bucket + 1 WHERE user_number = '00004321'",
        "UPDATE bucket_cards SET bucket = bucket - 1 WHERE user_number = '00004321'",
      ],
      ["DELETE FROM bucket_cards WHERE user_number = '00001234'", undefined],
    ] as const) {
      edit(spoil);
      expect(await walk()).toMatchObject({ altered: true });
      if (mend) edit(mend);
    }
    await sync.repair();
    expect(await walk()).toMatchObject({ altered: true });
    await bring(sync, issued);
    expect(await walk()).toEqual({ altered: false, steps: 8 });
  });

  it('is not gone back to by putting an older file in its place', async () => {
    const { sync, policy } = await inForce();
    await sync.stop();
    await policy.stop();
    copyFileSync(file, `${file}.old`);
    issuer.put(holder(7, { status: 'ended' }));
    const later = await syncStore();
    await bring(later, await issuer.issue(nowMs + 1));
    facts.set('policy/installed', { rootVersion: 1, number: 2 });
    const again = await store();
    expect((await again.lookUp(queryOf(7))).slice.holder?.status).toBe('ended');
    await again.stop();
    await later.stop();
    for (const end of ['-wal', '-shm']) rmSync(file + end, { force: true });
    copyFileSync(`${file}.old`, file);
    const put = await store();
    await expect(put.lookUp(queryOf(7))).rejects.toMatchObject(altered);
    await expect(put.doorPolicy('main')).rejects.toMatchObject(altered);
    await bring(await syncStore(), await issuer.issue(nowMs + 2));
    expect((await put.lookUp(queryOf(7))).slice.holder?.status).toBe('ended');
  });

  it('is not that of another terminal, or of another organization’s root', async () => {
    const { policy } = await inForce();
    await policy.stop();
    trust = new DistributionTrust({ terminal: 'cellar' });
    trust.load([encodeSigned(await signRoot(rootContent()))]);
    await expect((await store()).lookUp(queryOf(7))).rejects.toMatchObject(altered);
    trust = new DistributionTrust({ terminal: 'lobby' });
    trust.load([encodeSigned(await signRoot(rootContent({ organization: 'village' })))]);
    await expect((await store()).lookUp(queryOf(7))).rejects.toMatchObject(altered);
  });
});

function bitsInForce(): number {
  const db = new Database(file, { readonly: true });
  const length = db.prepare('SELECT sum(length(hashes)) FROM bucket_index').pluck().get();
  db.close();
  return Math.log2(Number(length) / 32);
}
