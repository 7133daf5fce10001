import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { japaneseHolidays } from '#adapters/holidays/japan.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { readSignedManifest } from '#core/sync/manifest.ts';
import { decodeManifestMessage } from '#core/sync/manifest-message.ts';
import { checkRevocation, revocationBytes } from '#core/sync/revocation.ts';
import { decodeSigned, encodeSigned, signDocument } from '#core/sync/signed.ts';
import { maxPayloadBytes } from '#core/sync/topics.ts';
import type { Principal } from '#issuance/administrators/principals.ts';
import { DistributionBuilder } from '#issuance/distribution/builder.ts';
import { Counters } from '#issuance/distribution/counters.ts';
import { Places } from '#issuance/distribution/places.ts';
import { ChangeSets } from '#issuance/permissions/change-sets.ts';
import { DistributionFeed } from '#issuance/permissions/distribution-feed.ts';
import { DueChanges } from '#issuance/permissions/due-changes.ts';
import { makeHolders } from '#issuance/permissions/holder-rows.ts';
import {
  type CardState,
  changeBetween,
  type HolderState,
  inOrder,
} from '#issuance/permissions/holder-state.ts';
import { Holders } from '#issuance/permissions/holders.ts';
import { RulesVersions } from '#issuance/permissions/rules-versions.ts';
import { SharedLease } from '#issuance/storage/lease.ts';
import type { OutgoingMessage } from '#ports/intake.ts';
import { pinnedRoot, testKeys } from '../core/sync/keys.ts';
import { databaseRigs, type StartedRig } from './database-rigs.ts';
import { type Distribution, makeDistribution } from './distribution-bench.ts';
import { makeOrganization } from './organization-bench.ts';

const admin: Principal = { actor: { id: 'taro', via: 'session' }, scopes: new Set(), tokenHash: '' };
const document = {
  formatVersion: 1,
  organization: 'city',
  profiles: [
    {
      id: 'type-a',
      userNumberFormat: { alphabet: 'uppercase-alphanumeric', minimumLength: 1, maximumLength: 64 },
    },
  ],
  groups: ['staff'],
  doors: [{ id: 'main' }],
  permissions: [{ group: 'staff', door: 'main' }],
};
const lobby = { doors: ['main'], zones: [], services: [] };
const card = (userNumber: string, diversifier = ''): CardState => ({
  profileId: 'type-a',
  userNumber,
  diversifier,
  status: 'active',
  keyVersion: null,
});
const holder = (...cards: readonly CardState[]): HolderState => ({
  status: 'active',
  validFromMs: null,
  validUntilMs: null,
  groups: ['staff'],
  cards,
});
const hour = 3_600_000;

describe.each(databaseRigs)('what the server says to its terminals, on $name', ({ start }) => {
  let rig: StartedRig;
  let city: Awaited<ReturnType<typeof makeOrganization>>;
  let holders: Holders;
  let places: Places;
  let distribution: Distribution;

  beforeAll(async () => {
    rig = await start();
  });
  afterAll(() => rig.stop());
  beforeEach(async () => {
    city = await makeOrganization(rig, 'city');
    const { ledger, clock } = city;
    const { db } = ledger;
    for (const table of [
      'holders',
      'cards',
      'card_suspensions',
      'holder_suspensions',
      'removed_holders',
      'removed_cards',
      'rules',
      'views',
      'view_holders',
      'view_pages',
      'marked_buckets',
      'bucket_changes',
      'chunks',
      'terminal_policies',
      'terminal_places',
      'leases',
    ] as const) {
      await db.deleteFrom(table).execute();
    }
    await db.updateTable('server_state').set({ settled: 1 }).execute();
    await db.updateTable('distribution').set({ taken: 0, plan_key: '' }).execute();
    holders = new Holders({ ledger });
    places = new Places({ ledger, clock });
    await new RulesVersions({ organization: 'city', ledger }).make({ document }, admin.actor);
    await places.put('lobby', lobby, admin.actor);
    distribution = makeDistribution(city);
  });
  afterEach(() => city.databases.stop());

  const put = async (id: string, ...cards: readonly CardState[]) => {
    const before = await holders.find(id);
    const outcome = await holders.put(id, holder(...cards), before?.changeNumber, admin);
    expect(outcome.kind).toBe('done');
  };
  const bring = async () => {
    await distribution.build();
    await distribution.publisher.round();
  };
  /** As while a long list is applied: nothing new is built. */
  const unsettle = () => city.ledger.db.updateTable('server_state').set({ settled: 0 }).execute();
  const taken = () => distribution.sent.splice(0);
  const revocationsOf = async (messages: readonly OutgoingMessage[]) => {
    const root = await pinnedRoot();
    return messages
      .filter(({ kind }) => kind === 'revocation')
      .map(({ payload }) => {
        expect(payload.length).toBeLessThanOrEqual(maxPayloadBytes);
        const read = decodeSigned(payload);
        const checked = read.kind === 'accepted' ? checkRevocation(read.value, { root }) : read;
        if (checked.kind === 'refused') throw new Error(checked.reason);
        return checked.value;
      });
  };
  const manifestsOf = async (messages: readonly OutgoingMessage[]) => {
    const root = await pinnedRoot();
    return messages
      .filter(({ kind }) => kind === 'manifest')
      .map(({ payload, to: { terminal } }) => {
        const read = decodeManifestMessage(payload);
        const checked =
          read.kind === 'accepted' ? readSignedManifest(read.value.manifest, { root, terminal }) : read;
        if (checked.kind === 'refused') throw new Error(checked.reason);
        return checked.value;
      });
  };
  const changeNumber = () => new DistributionFeed({ db: city.ledger.db }).changeNumber();

  it('sends a terminal what it missed while it was away, again, and nothing that it has', async () => {
    await put('a', card('A'));
    await bring();
    const had = await changeNumber();
    await unsettle();
    await holders.suspend('a', 'lost', admin.actor);
    await distribution.publisher.round();
    expect(await revocationsOf(taken())).toMatchObject([{ holders: ['a'] }]);
    await distribution.publisher.round();
    await distribution.publisher.sendMissed('lobby', await changeNumber());
    expect(taken().filter(({ kind }) => kind === 'revocation')).toEqual([]);

    await distribution.publisher.sendMissed('lobby', had);
    expect(await revocationsOf(taken())).toMatchObject([{ holders: ['a'], changeNumber: had + 1 }]);
    await distribution.publisher.sendMissed('lobby', undefined);
    expect(await revocationsOf(taken())).toMatchObject([{ holders: ['a'] }]);
  });

  it('sends a terminal its manifest where it has an older one, since not every broker keeps the last', async () => {
    await put('a', card('A'));
    await bring();
    const [{ version } = { version: 0 }] = await manifestsOf(taken());
    expect(version).toBeGreaterThan(0);
    await distribution.publisher.sendLater('lobby', version);
    await distribution.publisher.sendLater('elsewhere', 0);
    expect(taken()).toEqual([]);
    for (const older of [version - 1, 0]) {
      await distribution.publisher.sendLater('lobby', older);
      expect(await manifestsOf(taken())).toMatchObject([{ terminal: 'lobby', version }]);
    }
  });

  it('revokes a card that is taken off its holder, and none that somebody has still or again', async () => {
    await put('a', card('A'), card('A2', 'AA'), card('A3', '03'));
    await put('b', card('B'));
    await bring();
    taken();
    await unsettle();
    // A goes, A2 stays as any card of its number, A3 goes to b
    await put('a', card('A2'));
    await put('b', card('B'), card('A3', '03'));
    await distribution.publisher.round();
    expect((await revocationsOf(taken())).map(({ cards }) => cards)).toEqual([
      [{ profileId: 'type-a', userNumber: 'A' }],
    ]);
    const before = await changeNumber();
    await put('a', card('A'), card('A2'));
    await distribution.publisher.sendMissed('lobby', before);
    expect(taken()).toEqual([]);
  });

  it('revokes nothing that passes from holder to holder while a reorganization is half applied', async () => {
    const { ledger, clock } = city;
    const many = Array.from({ length: 130 }, (_, at) => at);
    const before = new Map([
      ...many.map((at) => [`m${at}`, holder(card(`A${at}`))] as const),
      ['m-gone', holder(card('GONE'))],
      ['m-left', inOrder(holder(card('LEFT'), card('KEPT')))],
      ['m-here', holder(card('HERE'))],
      ['m-any', holder(card('ANY'))],
    ]);
    await ledger.change(admin.actor, async (change) => {
      await makeHolders(change, before);
      await change.audit({ action: 'holders-made' });
    });
    await bring();
    taken();
    // some come before those whose cards they get, some after; one keeps its card as a certain one
    const after = new Map<string, HolderState | undefined>([
      ...many.map(
        (at) => [`m${at}`, at % 3 === 0 ? { ...holder(), status: 'ended' as const } : undefined] as const,
      ),
      ...many.map((at) => [at % 2 === 0 ? `z${at}` : `a${at}`, holder(card(`A${at}`))] as const),
      ['m-gone', undefined],
      ['m-left', undefined],
      ['m-here', holder(card('KEPT'))],
      ['z-here', holder(card('HERE'))],
      ['m-any', holder(card('ANY', 'AB'))],
    ]);
    const sets = new ChangeSets({ ledger, entropy: new SystemEntropy() });
    const { id } = await sets.make('other numbers', undefined, admin.actor);
    const planned = [...after].map(([holder_id, state]) => ({
      ...{ change_set_id: id, holder_id, applied: 0, conflict: null },
      change: JSON.stringify(changeBetween(before.get(holder_id), state)),
    }));
    await ledger.db.insertInto('planned_changes').values(planned).execute();
    await sets.schedule(id, (await sets.find(id))?.revision ?? 0, clock.utcMs(), admin);
    const due = new DueChanges({ ledger });
    for (let steps = 0; await due.step(clock.utcMs()); steps += 1) {
      await distribution.publisher.round();
      expect(steps).toBeLessThan(9);
    }
    expect((await sets.find(id))?.state).toBe('applied');
    expect((await sets.changes(id, '', 999)).filter((one) => one.conflicts.length > 0)).toEqual([]);
    const told = await revocationsOf(taken());
    expect(told.flatMap((one) => one.holders)).toEqual([]);
    expect(told.flatMap((one) => one.cards.map(({ userNumber }) => userNumber)).sort()).toEqual([
      'GONE',
      'LEFT',
    ]);
    expect((await holders.find('z0'))?.state.cards).toEqual([card('A0')]);
    expect((await holders.find('m0'))?.state).toMatchObject({ status: 'ended', cards: [] });
    expect(await holders.find('m1')).toBeUndefined();
  });

  it('revokes a card that passes to somebody who is suspended, by whatever record a policy has of it', async () => {
    await put('a', card('A'));
    await bring();
    taken();
    await unsettle();
    await put('a');
    await put('b', card('A', 'AB'));
    await holders.suspend('b', 'inquiry', admin.actor);
    await distribution.publisher.round();
    const told = await revocationsOf(taken());
    expect(told.flatMap((one) => one.holders)).toEqual(['b']);
    const number = { profileId: 'type-a', userNumber: 'A' };
    expect(told.flatMap((one) => one.cards)).toEqual([{ ...number, diversifier: 'AB' }, number]);
  });

  it('says in one message no more than it takes', async () => {
    const number = (at: number) => String(at).padStart(64, 'X');
    for (let one = 0; one < 4; one += 1) {
      const cards = Array.from({ length: 50 }, (_, at) => card(number(50 * one + at), 'AB'.repeat(32)));
      await put(`holder-${one}`, ...cards);
    }
    await bring();
    taken();
    await unsettle();
    for (let one = 0; one < 4; one += 1) await put(`holder-${one}`, card(`NEW${one}`));
    await distribution.publisher.round();
    const told = await revocationsOf(taken());
    expect(told.length).toBeGreaterThan(1);
    expect(told.flatMap(({ cards }) => cards)).toHaveLength(200);
    const long = { holders: Array.from({ length: 150 }, (_, at) => `${at}`.padStart(256, '漢')) };
    const cards = Array.from({ length: 150 }, (_, at) => ({
      ...{ profileId: 'P'.repeat(64), userNumber: number(at), diversifier: 'AB'.repeat(32) },
    }));
    const head = { organization: 'city', changeNumber: 1, rootVersion: 1, issuedAtMs: 0 };
    const whole = revocationBytes({ ...head, ...long, cards });
    const bytes = encodeSigned(await signDocument(whole, testKeys.policy));
    expect(bytes.length).toBeLessThan(maxPayloadBytes);
  });

  it('tells who is suspended before it has said the rest to hundreds of terminals, and says that at different times', async () => {
    for (let at = 0; at < 100; at += 1) await places.put(`t${at}`, lobby, admin.actor);
    await put('a', card('A'));
    await distribution.build();
    let suspended = false;
    const sent: string[] = [];
    distribution.told.heard = async ({ kind }) => {
      sent.push(kind);
      if (!suspended) {
        suspended = true;
        await holders.suspend('a', 'urgent', admin.actor);
      }
    };
    await distribution.publisher.round();
    expect(sent.filter((kind) => kind === 'manifest')).toHaveLength(101);
    expect(sent.indexOf('revocation')).toBeLessThan(20);

    await distribution.build();
    await distribution.publisher.round();
    city.clock.advance(239_000);
    sent.length = 0;
    const rounds: number[] = [];
    for (let second = 239; second <= 300; second += 1) {
      await distribution.publisher.round();
      rounds.push(sent.splice(0).length);
      city.clock.advance(1_000);
    }
    expect(rounds.reduce((sum, count) => sum + count)).toBe(101);
    expect(Math.max(...rounds)).toBeLessThan(12);
  });

  it('dates nothing by a clock that is doubted, and revokes all the same', async () => {
    await put('a', card('A'));
    await put('b', card('B'));
    await bring();
    taken();
    distribution.broker.mayDate = false;
    await holders.suspend('a', 'inquiry', admin.actor);
    await bring();
    await distribution.publisher.sendLater('lobby', 0);
    const sent = taken();
    expect(sent.map(({ kind }) => kind)).toEqual(['revocation']);
    expect((await revocationsOf(sent)).flatMap((one) => one.holders)).toEqual(['a']);
    distribution.broker.mayDate = true;
    await bring();
    expect(taken().map(({ kind }) => kind)).toEqual(['manifest']);
  });

  it('takes back a time of issue that a wrong clock told', async () => {
    await put('a', card('A'));
    const rightMs = city.clock.utcMs();
    city.clock.stepUtc(100 * 24 * hour);
    await bring();
    city.clock.stepUtc(-100 * 24 * hour);
    await distribution.publisher.round();
    const [wrong, right] = await manifestsOf(taken());
    expect(wrong?.issuedAtMs).toBeGreaterThan(rightMs + 99 * 24 * hour);
    expect(right).toMatchObject({ version: 2, issuedAtMs: rightMs, holdersRoot: wrong?.holdersRoot });
    // a clock that runs back a little is not taken for one that was wrong
    city.clock.stepUtc(-60_000);
    distribution.publisher.connected();
    await distribution.publisher.round();
    expect(await manifestsOf(taken())).toMatchObject([{ version: 2, issuedAtMs: rightMs }]);
  });

  it('counts on from what terminals have seen signed, after its database was put back', async () => {
    await put('a', card('A'));
    await bring();
    const counters = new Counters({ ledger: city.ledger, clock: city.clock });
    const own = await changeNumber();
    const reached = (version: number, change: number, rootVersion = 1) => ({
      version: { rootVersion, number: version },
      changes: { rootVersion, number: change },
    });
    expect(await counters.follow('lobby', reached(1, own), 1)).toBe('known');
    expect(await counters.follow('lobby', reached(57, own + 120, 2), 1)).toBe('known');
    expect(await counters.follow('lobby', reached(1, own + 2_000_000), 1)).toBe('implausible');
    expect(await counters.follow('lobby', reached(2_000_000, own), 1)).toBe('implausible');
    expect(await changeNumber()).toBe(own);

    expect(await counters.follow('lobby', reached(57, own + 120), 1)).toBe('raised');
    await holders.suspend('a', 'lost', admin.actor);
    taken();
    await distribution.publisher.round();
    for (const { changeNumber: number } of await revocationsOf(taken()))
      expect(number).toBeGreaterThan(own + 120);
    await distribution.build();
    expect(await counters.follow('lobby', reached(57, own + 120), 1)).toBe('raised');
    await distribution.publisher.round();
    const [manifest] = await manifestsOf(taken());
    expect(manifest?.version).toBeGreaterThan(57);
    expect(manifest?.changeNumber).toBeGreaterThan(own + 120);
    expect(await counters.follow('lobby', reached(57, own + 120), 1)).toBe('known');

    // whoever makes up numbers again and again fills no record with them
    const often = await changeNumber();
    expect(await counters.follow('lobby', reached(57, often + 120), 1)).toBe('raised');
    expect(await changeNumber()).toBe(often);
    city.clock.advance(60_000);
    expect(await counters.follow('lobby', reached(57, often + 120), 1)).toBe('raised');
    expect(await changeNumber()).toBe(often + 121);

    const before = await changeNumber();
    await counters.leap(admin.actor);
    expect(await changeNumber()).toBeGreaterThan(before + 999_999);
    await bring();
    expect((await manifestsOf(taken())).at(-1)?.version).toBeGreaterThan(1_000_000);
  });

  it('one process of several builds, and another goes on where that one falls silent', async () => {
    const { ledger, clock } = city;
    const made = (owner: string) => {
      const lease = new SharedLease({ db: ledger.db, name: 'builder', owner, clock });
      let sealed = 0;
      const builder = new DistributionBuilder({
        ...{ organization: 'city', ledger, lease },
        holidays: japaneseHolidays,
        sealed: () => {
          sealed += 1;
        },
      });
      const build = async () => {
        while (await builder.step(clock.utcMs())) await undefined;
      };
      return { lease, build, sealed: () => sealed };
    };
    const [one, other] = [made('one'), made('other')];
    await put('a', card('A'));
    await Promise.all([one.build(), other.build()]);
    const [first, second] = one.sealed() > 0 ? [one, other] : [other, one];
    expect([first.sealed() > 0, second.sealed()]).toEqual([true, 0]);
    expect(await second.lease.hold()).toBe(false);
    await put('b', card('B'));
    await second.build();
    expect(second.sealed()).toBe(0);

    clock.advance(6_000);
    await second.build();
    expect(second.sealed()).toBe(1);
    // whoever was thought dead writes nothing of what it had begun
    const kept = await ledger.db.transaction().execute((transaction) => first.lease.keep(transaction));
    expect(kept).toBe(false);
    await second.lease.release();
    expect(await first.lease.hold()).toBe(true);
  });

  it('hears a terminal that says other places again and again once in ten minutes', async () => {
    const numbers: number[] = [];
    for (const doors of [['main'], ['main', 'back'], ['back'], ['main', 'back']]) {
      await places.report('gate', { ...lobby, doors });
      numbers.push(await changeNumber());
    }
    expect(new Set(numbers).size).toBe(1);
    expect(await places.find('gate')).toMatchObject({ doors: ['main'] });
    city.clock.advance(600_000);
    await places.report('gate', { ...lobby, doors: ['back'] });
    expect(await places.find('gate')).toMatchObject({ doors: ['back'] });
    expect(await places.find('nowhere')).toBeUndefined();
  });
});
