import fc from 'fast-check';
import Fastify from 'fastify';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { toHex } from '#core/bytes/bytes.ts';
import { chunkHash } from '#core/sync/bucket.ts';
import { checkManifest } from '#core/sync/manifest.ts';
import { decodeManifestMessage } from '#core/sync/manifest-message.ts';
import { terminalPlacesSchema } from '#core/sync/presence.ts';
import { checkRevocation } from '#core/sync/revocation.ts';
import { readRules } from '#core/sync/rules-chunk.ts';
import { decodeSigned, encodeSigned } from '#core/sync/signed.ts';
import { inView, viewOf } from '#core/sync/view.ts';
import type { Principal } from '#issuance/administrators/principals.ts';
import { addDistributionRoutes } from '#issuance/distribution/distribution-routes.ts';
import { Places } from '#issuance/distribution/places.ts';
import { ChangeSets } from '#issuance/permissions/change-sets.ts';
import { DistributionFeed } from '#issuance/permissions/distribution-feed.ts';
import { DueChanges } from '#issuance/permissions/due-changes.ts';
import type { HolderState } from '#issuance/permissions/holder-state.ts';
import { Holders } from '#issuance/permissions/holders.ts';
import { RulesVersions } from '#issuance/permissions/rules-versions.ts';
import { pinnedRoot, rootContent, signRoot } from '../core/sync/keys.ts';
import { databaseRigs, type StartedRig } from './database-rigs.ts';
import { type Distribution, makeDevice, makeDistribution } from './distribution-bench.ts';
import { makeOrganization } from './organization-bench.ts';

const admin: Principal = { actor: { id: 'taro', via: 'session' }, scopes: new Set(), tokenHash: '' };
const document = {
  formatVersion: 1,
  organization: 'city',
  profiles: [{ id: 'type-a', userNumberFormat: { alphabet: 'digits', minimumLength: 8, maximumLength: 8 } }],
  calendars: [{ id: 'national', holidays: 'japan', days: [] }],
  schedules: [{ id: 'work', calendar: 'national', periods: [{ days: ['mon'], from: '09:00', to: '17:00' }] }],
  groups: ['staff', 'guard', 'annex'],
  doors: [{ id: 'main' }, { id: 'back' }],
  permissions: [
    { group: 'staff', door: 'main', schedule: 'work' },
    { group: 'guard', door: 'main' },
    { group: 'annex', door: 'back' },
  ],
};
const lobby = { doors: ['main'], zones: [], services: [] };
const userNumber = (number: number) => String(number).padStart(8, '0');
const state = (number: number, changes: Partial<HolderState> = {}): HolderState => ({
  status: 'active',
  validFromMs: null,
  validUntilMs: null,
  groups: ['staff'],
  cards: [
    {
      profileId: 'type-a',
      userNumber: userNumber(number),
      diversifier: '',
      status: 'active',
      keyVersion: null,
    },
  ],
  ...changes,
});

describe.each(databaseRigs)('distribution on $name', ({ start }) => {
  let rig: StartedRig;
  let city: Awaited<ReturnType<typeof makeOrganization>>;
  let holders: Holders;
  let rules: RulesVersions;
  let places: Places;
  let feed: DistributionFeed;
  let distribution: Distribution;
  let terminal: Awaited<ReturnType<typeof makeDevice>>;

  beforeAll(async () => {
    rig = await start();
  });
  afterAll(() => rig.stop());

  const open = async () => {
    city = await makeOrganization(rig, 'city');
    const { ledger } = city;
    holders = new Holders({ ledger });
    rules = new RulesVersions({ organization: 'city', ledger });
    places = new Places({ ledger, clock: city.clock });
    feed = new DistributionFeed({ db: ledger.db });
    const { db } = ledger;
    for (const table of [
      'holders',
      'cards',
      'holder_suspensions',
      'card_suspensions',
      'removed_holders',
      'removed_cards',
      'planned_changes',
      'change_sets',
      'rules',
      'views',
      'view_holders',
      'view_pages',
      'marked_buckets',
      'bucket_changes',
      'chunks',
      'terminal_policies',
      'terminal_places',
    ] as const) {
      await db.deleteFrom(table).execute();
    }
    await db.updateTable('server_state').set({ settled: 1 }).execute();
    await db.updateTable('distribution').set({ taken: 0, plan_key: '' }).execute();
    await rules.make({ document }, admin.actor);
    await places.put('lobby', lobby, admin.actor);
    distribution = makeDistribution(city);
    terminal = await makeDevice(distribution, city.clock);
  };
  const close = async () => {
    await terminal.stop();
    await city.databases.stop();
  };
  const put = async (number: number, changes: Partial<HolderState> = {}) => {
    const before = await holders.find(`h${number}`);
    return holders.put(`h${number}`, state(number, changes), before?.changeNumber, admin);
  };
  const bring = async () => {
    await distribution.build();
    await distribution.publisher.round();
    await terminal.receive();
  };
  const chunkOf = async (hash: string) => (await distribution.shelf.chunk(hash)) ?? new Uint8Array();
  const rulesNow = async () =>
    await city.ledger.db.selectFrom('terminal_policies').selectAll().executeTakeFirstOrThrow();
  const manifests = () => distribution.sent.filter(({ kind }) => kind === 'manifest');

  /** What the device finds is what the whole policy says, for everybody it may meet. */
  const compare = async (most: number) => {
    const found = await rules.list();
    const inForce = await rules.find(found.find((one) => one.state === 'in-force')?.version ?? 0);
    if (!inForce) throw new Error('no rules');
    const view = viewOf(inForce.rules, lobby);
    for (let number = 0; number < most; number += 1) {
      const [holder] = await feed.holders([`h${number}`]);
      const seen = holder && inView(view, holder);
      const slice = terminal.device.slice(number);
      expect(slice.holder?.holderId).toBe(seen?.holderId);
      expect(slice.holder?.status).toBe(seen?.status);
      expect([...(slice.holder?.groups ?? [])].sort()).toEqual([...(seen?.groups ?? [])].sort());
      expect(slice.card?.status).toBe(seen?.cards[0]?.status);
    }
  };

  describe('of some holders', () => {
    beforeEach(async () => {
      await open();
      return close;
    });

    it('brings a terminal what it is to have, and nobody whom nothing opens for there', async () => {
      for (let number = 0; number < 60; number += 1)
        await put(number, number % 3 === 0 ? { groups: ['annex'] } : {});
      await bring();
      await compare(60);
      expect(terminal.device.statusOf(3)).toBeUndefined();
      const row = await rulesNow();
      expect(row).toMatchObject({ version: 1, holders: 40 });
      const read = readRules(await chunkOf(row.rules_hash), 'city');
      if (read.kind === 'refused') throw new Error(read.reason);
      expect(read.value.doors.map(({ id }) => id)).toEqual(['main']);
      expect(read.value.japaneseHolidays?.firstYear).toBe(2025);
    });

    it('tells a change of one holder in one message, and nothing is fetched', async () => {
      for (let number = 0; number < 100; number += 1) await put(number);
      await bring();
      distribution.asked.length = 0;
      for (const groups of [['guard'], ['annex'], ['staff']]) {
        const before = manifests().length;
        await put(7, { groups });
        await bring();
        expect(manifests().length).toBe(before + 1);
        await compare(10);
      }
      expect(distribution.asked).toEqual([]);
      expect((await rulesNow()).version).toBe(4);
    });

    it('tells who is revoked at once, also while a change set is half applied, and no half of it', async () => {
      const set = await new ChangeSets({ ledger: city.ledger, entropy: new SystemEntropy() }).make(
        'many',
        undefined,
        admin.actor,
      );
      const sets = new ChangeSets({ ledger: city.ledger, entropy: new SystemEntropy() });
      for (let number = 0; number < 5; number += 1) await put(number);
      await bring();
      for (let number = 100; number < 210; number += 1)
        await sets.plan(set.id, { holderId: `h${number}`, state: state(number), expected: undefined }, admin);
      const due = new DueChanges({ ledger: city.ledger });
      const revision = (await sets.find(set.id))?.revision ?? 0;
      await sets.schedule(set.id, revision, city.clock.utcMs() + 1, admin);
      await due.step(city.clock.utcMs() + 1);
      await holders.suspend('h3', 'urgent', admin.actor);
      const before = manifests().length;
      await bring();
      expect(manifests().length).toBe(before);
      expect(terminal.device.statusOf(3)).toBe('suspended');
      const root = await pinnedRoot();
      const document = decodeSigned(distribution.sent.at(-1)?.payload ?? new Uint8Array());
      if (document.kind === 'refused') throw new Error(document.reason);
      expect(checkRevocation(document.value, { root })).toMatchObject({
        value: { holders: ['h3'], cards: [{ userNumber: '00000003' }] },
      });
      expect(terminal.device.statusOf(100)).toBeUndefined();
      while (await due.step(city.clock.utcMs() + 1)) {
        // until all of it is applied
      }
      await bring();
      expect(terminal.device.statusOf(209)).toBe('active');
      expect(terminal.device.statusOf(3)).toBe('suspended');
      await holders.liftSuspension('h3', admin);
      await bring();
      expect(terminal.device.statusOf(3)).toBe('active');
    });

    it('brings other rules, places and numbers of buckets', async () => {
      for (let number = 0; number < 20; number += 1) await put(number);
      await bring();
      const more = { ...document, permissions: [...document.permissions, { group: 'annex', door: 'main' }] };
      await rules.make({ document: more, editedVersion: (await rules.list())[0]?.version ?? 0 }, admin.actor);
      for (let number = 20; number < 140; number += 1) await put(number, { groups: ['annex'] });
      await bring();
      await compare(140);
      const wide = await rulesNow();
      expect(wide.bits).toBeGreaterThan(0);
      expect(await places.put('lobby', lobby, admin.actor)).toBe('unchanged');
      await places.put('lobby', { ...lobby, doors: ['back'] }, admin.actor);
      await bring();
      expect(await rulesNow()).toMatchObject({ version: wide.version + 1, holders: 120 });
      expect(terminal.device.statusOf(1)).toBeUndefined();
      expect(terminal.device.version()).toBe(wide.version + 1);
    });

    it('says the same again for freshness, and everything once the broker is back', async () => {
      await put(1);
      await bring();
      expect(await distribution.publisher.round()).toBe(0);
      city.clock.advance(300_000);
      expect(await distribution.publisher.round()).toBe(1);
      const root = await pinnedRoot();
      const read = decodeManifestMessage(distribution.sent.at(-1)?.payload ?? new Uint8Array());
      if (read.kind === 'refused') throw new Error(read.reason);
      const nowMs = city.clock.utcMs();
      const checked = checkManifest(read.value.manifest, {
        root,
        terminal: 'lobby',
        nowMs,
        clock: 'trusted',
      });
      expect(checked).toMatchObject({ value: { version: 1, issuedAtMs: nowMs } });
      distribution.broker.outcome = 'away';
      await put(2);
      await distribution.build();
      expect(await distribution.publisher.round()).toBe(0);
      distribution.broker.outcome = 'taken';
      distribution.publisher.connected();
      expect(await distribution.publisher.round()).toBe(1);
      await terminal.receive();
      await compare(3);
    });

    it('counts who uses a chunk, and forgets it an hour after nobody does', async () => {
      for (let number = 0; number < 40; number += 1) await put(number);
      await bring();
      const { db } = city.ledger;
      const before = await db.selectFrom('chunks').select(['hash', 'uses']).execute();
      await put(1, { groups: ['guard'] });
      await bring();
      const unused = await db.selectFrom('chunks').select('hash').where('uses', '=', 0).execute();
      expect(unused).toHaveLength(2);
      await distribution.build();
      expect(await db.selectFrom('chunks').select('hash').execute()).toHaveLength(before.length + 1);
      city.clock.advance(3_700_000);
      await distribution.build();
      const after = await db.selectFrom('chunks').selectAll().execute();
      expect(after).toHaveLength(before.length);
      for (const { hash, bytes } of after) expect(toHex(chunkHash(new Uint8Array(bytes)))).toBe(hash);
      expect((await chunkOf((await rulesNow()).rules_hash)).length).toBeGreaterThan(0);
    });

    it('serves chunks and indexes to admitted terminals alone', async () => {
      for (let number = 0; number < 40; number += 1) await put(number);
      await bring();
      const identity = { organization: 'city', terminal: 'lobby' };
      let admitted = true;
      const app = Fastify();
      addDistributionRoutes(app, {
        shelf: async () => distribution.shelf,
        roots: async () => new Map([[1, encodeSigned(await signRoot(rootContent()))]]),
        peer: () => ({ identity, serialNumber: '', fingerprint: '' }),
        admission: { admits: () => admitted },
      });
      const { root, rules_hash } = await rulesNow();
      const index = await app.inject(`/terminal/v1/index/${root}`);
      expect([index.statusCode, toHex(chunkHash(new Uint8Array(index.rawPayload)))]).toEqual([200, root]);
      const chunk = await app.inject(`/terminal/v1/chunks/${rules_hash}`);
      expect(toHex(chunkHash(new Uint8Array(chunk.rawPayload)))).toBe(rules_hash);
      expect((await app.inject(`/terminal/v1/chunks/${'0'.repeat(64)}`)).statusCode).toBe(404);
      expect((await app.inject('/terminal/v1/chunks/x')).statusCode).toBe(400);
      const root1 = await app.inject('/terminal/v1/roots/1');
      expect(decodeSigned(new Uint8Array(root1.rawPayload)).kind).toBe('accepted');
      expect((await app.inject('/terminal/v1/roots/2')).statusCode).toBe(404);
      expect((await app.inject('/terminal/v1/roots/0')).statusCode).toBe(400);
      admitted = false;
      expect((await app.inject(`/terminal/v1/chunks/${rules_hash}`)).statusCode).toBe(401);
      expect((await app.inject('/terminal/v1/roots/1')).statusCode).toBe(401);
      await app.close();
    });

    it('takes places by names of the rules alone', () => {
      expect(terminalPlacesSchema.safeParse(lobby).success).toBe(true);
      expect(terminalPlacesSchema.safeParse({ ...lobby, doors: ['a b'] }).success).toBe(false);
    });
  });

  it('gives a terminal what the whole policy says, whatever changes in whatever order', async () => {
    const number = fc.nat(39);
    const groups = fc.subarray(['staff', 'guard', 'annex']);
    const step = fc.oneof(
      fc.record({ do: fc.constant('put' as const), number, groups }),
      fc.record({
        do: fc.constantFrom('remove' as const, 'suspend' as const, 'lift' as const, 'card' as const),
        number,
      }),
      fc.record({ do: fc.constantFrom('build' as const, 'bring' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (course) => {
        await open();
        for (let one = 0; one < 20; one += 1) await put(one);
        for (const step of course) {
          if (step.do === 'build') await distribution.builder.step(city.clock.utcMs());
          else if (step.do === 'bring') await bring();
          else if (step.do === 'put') await put(step.number, { groups: step.groups });
          else if ('number' in step) await act(step.do, step.number);
        }
        await bring();
        await compare(40);
        await close();
      }),
      { numRuns: 6 },
    );
  });

  async function act(what: 'remove' | 'suspend' | 'lift' | 'card', number: number): Promise<void> {
    const id = `h${number}`;
    const known = await holders.find(id);
    if (!known) return;
    if (what === 'remove') await holders.remove(id, known.changeNumber, admin);
    else if (what === 'suspend') await holders.suspend(id, '', admin.actor);
    else if (what === 'lift') await holders.liftSuspension(id, admin);
    else for (const card of known.state.cards) await holders.suspendCard(id, card, 'lost', admin.actor);
  }
});
