import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import type { Principal } from '#issuance/administrators/principals.ts';
import { ChangeSets } from '#issuance/permissions/change-sets.ts';
import { DistributionFeed } from '#issuance/permissions/distribution-feed.ts';
import { DueChanges } from '#issuance/permissions/due-changes.ts';
import type { CardState, HolderState } from '#issuance/permissions/holder-state.ts';
import { Holders } from '#issuance/permissions/holders.ts';
import { RulesVersions } from '#issuance/permissions/rules-versions.ts';
import { databaseRigs, type StartedRig } from './database-rigs.ts';
import { makeOrganization, rulesDocument } from './organization-bench.ts';

const admin: Principal = { actor: { id: 'taro', via: 'session' }, scopes: new Set(), tokenHash: '' };
const card = (userNumber: string, more: Partial<CardState> = {}): CardState => ({
  profileId: 'type-a',
  userNumber,
  diversifier: '',
  status: 'active',
  keyVersion: null,
  ...more,
});
const staff = (userNumber: string, more: Partial<HolderState> = {}): HolderState => ({
  status: 'active',
  validFromMs: null,
  validUntilMs: null,
  groups: ['staff'],
  cards: [card(userNumber)],
  ...more,
});

describe.each(databaseRigs)('permissions on $name', ({ start }) => {
  let rig: StartedRig;
  let city: Awaited<ReturnType<typeof makeOrganization>>;
  let holders: Holders;
  let sets: ChangeSets;
  let rules: RulesVersions;
  let due: DueChanges;
  let feed: DistributionFeed;
  let april1: number;

  beforeAll(async () => {
    rig = await start();
    city = await makeOrganization(rig, 'city');
    const { ledger } = city;
    holders = new Holders({ ledger });
    sets = new ChangeSets({ ledger, entropy: new SystemEntropy() });
    rules = new RulesVersions({ organization: 'city', ledger });
    due = new DueChanges({ ledger });
    feed = new DistributionFeed({ db: ledger.db });
    await rules.make({ document: rulesDocument }, admin.actor);
  });
  afterAll(async () => {
    await city.databases.stop();
    await rig.stop();
  });
  beforeEach(async () => {
    const { db } = city.ledger;
    for (const table of [
      'holders',
      'cards',
      'holder_suspensions',
      'card_suspensions',
      'removed_holders',
    ] as const) {
      await db.deleteFrom(table).execute();
    }
    await db.deleteFrom('planned_changes').execute();
    await db.deleteFrom('change_sets').execute();
    april1 = city.clock.utcMs() + 86_400_000;
  });

  const put = async (id: string, state: HolderState, by = admin) => {
    const before = await holders.find(id);
    return holders.put(id, state, before?.changeNumber, by);
  };
  const plan = async (id: string, holderId: string, state: HolderState | undefined, by = admin) => {
    const expected = (await holders.find(holderId))?.changeNumber;
    return sets.plan(id, { holderId, state, expected }, by);
  };
  const settle = async (atMs: number) => {
    while (await due.step(atMs)) {
      // until nothing is due
    }
  };
  const scheduled = async (id: string, fromMs: number) =>
    sets.schedule(id, (await sets.find(id))?.revision ?? 0, fromMs, admin);
  const effective = async (id: string) => (await feed.holders([id]))[0];

  it('keep a holder with its cards, and show it as it is', async () => {
    const state = staff('USER0001', { groups: ['staff', 'annex', 'staff'], validUntilMs: 2e12 });
    expect((await put('taro', state)).kind).toBe('done');
    expect((await holders.find('taro'))?.state).toEqual({ ...state, groups: ['annex', 'staff'] });
    expect(await effective('taro')).toEqual({
      holderId: 'taro',
      status: 'active',
      validUntilMs: 2e12,
      groups: ['annex', 'staff'],
      cards: [{ profileId: 'type-a', userNumber: 'USER0001', status: 'active' }],
    });
  });

  it.each([
    ['a group that the rules lack', 'x', staff('USER0001', { groups: ['nobody'] })],
    [
      'a profile that the rules lack',
      'x',
      staff('USER0001', { cards: [card('USER0001', { profileId: 'b' })] }),
    ],
    ['a user number of another format', 'x', staff('user')],
    ['an end before the beginning', 'x', staff('USER0001', { validFromMs: 2, validUntilMs: 2 })],
    ['the same card twice', 'x', staff('', { cards: [card('USER0001'), card('USER0001')] })],
    ['an id with a space', 'a b', staff('USER0001')],
    ['an id that passes for an Individual Number', '123456789018', staff('USER0001')],
  ])('refuse %s', async (_, id, state) => {
    expect((await put(id, state)).kind).toBe('invalid');
    expect(await holders.find(id)).toBeUndefined();
  });

  it('never give the user number of one person to another', async () => {
    await put('taro', staff('USER0001'));
    const outcome = await put('hanako', staff('', { cards: [card('USER0001', { diversifier: 'AA' })] }));
    expect(outcome.kind).toBe('invalid');
    expect(JSON.stringify(outcome)).not.toContain('USER0001');
  });

  it('refuse a change of what has changed since it was read', async () => {
    await put('taro', staff('USER0001'));
    const read = (await holders.find('taro'))?.changeNumber ?? 0;
    await put('taro', staff('USER0001', { groups: [] }));
    const late = await holders.put('taro', staff('USER0001', { groups: ['annex'] }), read, admin);
    expect(late.kind).toBe('changed-meanwhile');
    expect((await holders.put('taro', staff('USER0001'), undefined, admin)).kind).toBe('changed-meanwhile');
    expect((await holders.remove('taro', read, admin)).kind).toBe('changed-meanwhile');
    expect((await holders.find('taro'))?.state.groups).toEqual([]);
  });

  it('let a facilities administrator change the groups of its sites alone', async () => {
    const by = { ...admin, groups: new Set(['cleaning', 'annex']) };
    await put('taro', staff('USER0001'));
    expect((await put('taro', staff('USER0001', { groups: ['annex', 'staff'] }), by)).kind).toBe('done');
    expect((await put('taro', staff('USER0001', { groups: ['annex'] }), by)).kind).toBe('out-of-reach');
    const ended = staff('USER0001', { groups: ['annex', 'staff'], status: 'ended' });
    expect((await put('taro', ended, by)).kind).toBe('out-of-reach');
    expect((await put('jiro', staff('USER0002', { groups: ['cleaning'] }), by)).kind).toBe('done');
    expect((await put('saburo', staff('USER0003'), by)).kind).toBe('out-of-reach');
    const read = (await holders.find('taro'))?.changeNumber ?? 0;
    expect((await holders.remove('taro', read, by)).kind).toBe('out-of-reach');
    await holders.suspend('taro', '', by.actor);
    expect((await holders.liftSuspension('taro', by)).kind).toBe('out-of-reach');
    expect((await effective('taro'))?.status).toBe('suspended');
    const set = await sets.make('of all', undefined, { id: 'another', via: 'session' });
    expect((await sets.schedule(set.id, set.revision, april1, by)).kind).toBe('out-of-reach');
    expect((await sets.cancel(set.id, set.revision, by)).kind).toBe('out-of-reach');
    await plan(set.id, 'taro', undefined);
    const replaced = await plan(set.id, 'taro', staff('USER0001', { groups: ['annex', 'staff'] }), by);
    expect(replaced.kind).toBe('out-of-reach');
    expect((await sets.changes(set.id, '', 9))[0]?.change).toEqual({ kind: 'remove' });
  });

  it('suspend at once, and keep it so whatever is written of the holder', async () => {
    await put('taro', staff('USER0001'));
    await holders.suspend('taro', 'left without notice', admin.actor);
    expect((await effective('taro'))?.status).toBe('suspended');
    await put('taro', staff('USER0001', { groups: ['annex'], status: 'active' }));
    expect((await effective('taro'))?.status).toBe('suspended');
    const read = (await holders.find('taro'))?.changeNumber ?? 0;
    await holders.remove('taro', read, admin);
    await put('taro', staff('USER0001'));
    expect((await effective('taro'))?.status).toBe('suspended');
    await holders.liftSuspension('taro', admin);
    expect(await effective('taro')).toMatchObject({ status: 'active', cards: [{ status: 'active' }] });
    expect((await holders.suspend('nobody', '', admin.actor)).kind).toBe('not-there');
  });

  it('suspend one card, while the others work', async () => {
    const cards = [card('USER0001', { diversifier: 'AA' }), card('USER0001', { diversifier: 'BB' })];
    await put('taro', staff('', { cards }));
    await holders.suspendCard('taro', cards[0] as CardState, 'lost', admin.actor);
    expect((await effective('taro'))?.cards.map(({ status }) => status)).toEqual(['suspended', 'active']);
    await put('hanako', staff('USER0002'));
    const foreign = await holders.suspendCard('hanako', cards[1] as CardState, 'lost', admin.actor);
    expect(foreign.kind).toBe('not-there');
    await holders.liftCardSuspension('taro', cards[0] as CardState, admin);
    expect((await effective('taro'))?.cards.map(({ status }) => status)).toEqual(['active', 'active']);
  });

  it.each([
    ['AA', ''],
    ['', 'AA'],
  ])('keep a card suspended (%s) that is recorded anew by another diversifier (%s)', async (from, to) => {
    const [suspended, recorded] = [from, to].map((diversifier) => card('USER0001', { diversifier }));
    if (!suspended || !recorded) throw new Error('no cards');
    await put('taro', staff('', { cards: [suspended] }));
    await holders.suspendCard('taro', suspended, 'lost', admin.actor);
    await put('taro', staff('', { cards: [recorded] }));
    expect((await effective('taro'))?.cards[0]?.status).toBe('suspended');
    // by its own key alone, which is told
    const refused = await holders.liftCardSuspension('taro', recorded, admin);
    expect(refused).toMatchObject({ kind: 'invalid', problems: [{ path: 'diversifier' }] });
    await put('hanako', staff('USER0002'));
    expect((await holders.liftCardSuspension('hanako', suspended, admin)).kind).toBe('not-there');
    expect((await effective('taro'))?.cards[0]?.status).toBe('suspended');
    expect((await holders.liftCardSuspension('taro', suspended, admin)).kind).toBe('done');
    expect((await effective('taro'))?.cards[0]?.status).toBe('active');
  });

  it('keep cards of a suspended holder suspended, whoever has them next', async () => {
    await put('taro', staff('', { cards: [card('USER0001'), card('USER0002')] }));
    await holders.suspend('taro', 'inquiry', admin.actor);
    // one is taken out, the other goes with its holder
    await put('taro', staff('USER0001'));
    await holders.remove('taro', (await holders.find('taro'))?.changeNumber ?? 0, admin);
    await put('jiro', staff('USER0001'));
    await put('hanako', staff('', { cards: [card('USER0002', { diversifier: 'AA' }), card('USER0003')] }));
    const statuses = async (id: string) => (await effective(id))?.cards.map(({ status }) => status);
    expect([await statuses('jiro'), await statuses('hanako')]).toEqual([
      ['suspended'],
      ['suspended', 'active'],
    ]);
    // who is lifted has them lifted; whoever distributes is told
    await put('taro', staff('USER0004'));
    const before = await feed.changeNumber();
    await holders.liftSuspension('taro', admin);
    expect([await statuses('jiro'), await statuses('hanako')]).toEqual([['active'], ['active', 'active']]);
    expect((await feed.changesSince(before, 9)).changed.toSorted()).toEqual(['hanako', 'jiro', 'taro']);
  });

  it('find holders by group, status and user number, page by page', async () => {
    await put('a', staff('USER0001'));
    await put('b', staff('USER0002', { groups: ['cleaning'], status: 'ended' }));
    await put('c', staff('USER0003', { groups: ['cleaning', 'staff'] }));
    const ids = async (after: string, limit: number, filter = {}) =>
      (await holders.page(after, limit, filter)).map(({ holderId }) => holderId);
    expect(await ids('', 2)).toEqual(['a', 'b']);
    expect(await ids('b', 2)).toEqual(['c']);
    expect(await ids('', 9, { group: 'cleaning' })).toEqual(['b', 'c']);
    expect(await ids('', 9, { group: 'clean' })).toEqual([]);
    expect(await ids('', 9, { status: 'ended' })).toEqual(['b']);
    expect(await ids('', 9, { userNumber: 'USER0003' })).toEqual(['c']);
  });

  describe('planned for a day', () => {
    it('are rehearsed before, in force then and not earlier', async () => {
      await put('taro', staff('USER0001'));
      const { id } = await sets.make('reorganization', april1, admin.actor);
      await plan(id, 'taro', staff('USER0001', { groups: ['annex'] }));
      await plan(id, 'jiro', staff('USER0002'));
      expect((await sets.rehearse('taro', april1))?.groups).toEqual(['staff']);
      expect((await sets.rehearse('taro', april1, id))?.groups).toEqual(['annex']);
      await scheduled(id, april1);
      expect((await sets.rehearse('taro', april1 - 1))?.groups).toEqual(['staff']);
      expect((await sets.rehearse('taro', april1))?.groups).toEqual(['annex']);
      await settle(april1 - 1);
      expect((await holders.find('taro'))?.state.groups).toEqual(['staff']);
      await settle(april1);
      expect((await holders.find('taro'))?.state.groups).toEqual(['annex']);
      expect((await holders.find('jiro'))?.state).toEqual(staff('USER0002'));
      expect((await sets.find(id))?.state).toBe('applied');
    });

    it('undo nothing that was decided meanwhile, and report it', async () => {
      await put('taro', staff('USER0001'));
      await put('jiro', staff('USER0002', { status: 'suspended' }));
      await put('saburo', staff('USER0003', { groups: ['staff', 'cleaning'] }));
      const { id } = await sets.make('reorganization', april1, admin.actor);
      await plan(id, 'taro', staff('USER0001', { validUntilMs: 3e12 }));
      await plan(id, 'jiro', staff('USER0002', { status: 'active' }));
      await plan(id, 'saburo', staff('USER0003', { groups: ['annex', 'cleaning'] }));
      await scheduled(id, april1);
      // an end sooner than planned, a holder suspended by an administrator, a group taken away
      await put('taro', staff('USER0001', { validUntilMs: 2e12 }));
      await holders.suspend('jiro', 'inquiry', admin.actor);
      await put('saburo', staff('USER0003', { groups: ['staff'] }));
      await settle(april1);
      expect((await holders.find('taro'))?.state.validUntilMs).toBe(2e12);
      expect((await effective('jiro'))?.status).toBe('suspended');
      expect((await holders.find('saburo'))?.state.groups).toEqual(['annex']);
      const conflicts = (await sets.changes(id, '', 9)).map((one) => [one.holderId, one.conflicts]);
      expect(conflicts).toEqual([
        ['jiro', ['suspended']],
        ['saburo', []],
        ['taro', ['validUntilMs']],
      ]);
    });

    it('take access away though the holder was changed meanwhile', async () => {
      await put('taro', staff('USER0001'));
      await put('jiro', staff('USER0002'));
      const { id } = await sets.make('dismissals', april1, admin.actor);
      await plan(id, 'taro', staff('USER0001', { status: 'ended' }));
      await plan(id, 'jiro', undefined);
      await scheduled(id, april1);
      await put('taro', staff('USER0001', { status: 'suspended' }));
      await put('jiro', staff('USER0002', { groups: ['annex'] }));
      await settle(april1);
      expect((await holders.find('taro'))?.state.status).toBe('ended');
      expect(await holders.find('jiro')).toBeUndefined();
    });

    it('do nothing when they are cancelled, or were read before somebody else changed them', async () => {
      await put('taro', staff('USER0001'));
      const { id, revision } = await sets.make('mistake', april1, admin.actor);
      await plan(id, 'taro', undefined);
      expect((await sets.schedule(id, revision, april1, admin)).kind).toBe('changed-meanwhile');
      await scheduled(id, april1);
      expect((await plan(id, 'taro', staff('USER0001'))).kind).toBe('changed-meanwhile');
      await sets.cancel(id, (await sets.find(id))?.revision ?? 0, admin);
      await settle(april1);
      expect(await holders.find('taro')).toBeDefined();
      expect((await sets.cancel(id, (await sets.find(id))?.revision ?? 0, admin)).kind).toBe(
        'changed-meanwhile',
      );
    });

    it('let a card pass from one holder to another, both told of', async () => {
      await put('old', staff('USER0001'));
      await put('new', staff('USER0002'));
      const { id } = await sets.make('change of id', april1, admin.actor);
      await plan(id, 'new', staff('', { cards: [card('USER0001'), card('USER0002')] }));
      await plan(id, 'old', staff('', { cards: [] }));
      await scheduled(id, april1);
      const before = await feed.changeNumber();
      await settle(april1);
      expect((await holders.find('new'))?.state.cards).toHaveLength(2);
      expect((await holders.find('old'))?.state.cards).toEqual([]);
      expect((await feed.changesSince(before, 100)).changed.toSorted()).toEqual(['new', 'old']);
    });

    it('give a number that two holders would have to one of them alone', async () => {
      const { id } = await sets.make('contradiction', april1, admin.actor);
      await plan(id, 'first', staff('USER0001'));
      await plan(id, 'second', staff('USER0001'));
      await put('third', staff('USER0003'));
      await plan(id, 'fourth', staff('USER0003'));
      await scheduled(id, april1);
      await settle(april1);
      const held = (await feed.page('', 9)).map(({ holderId, cards }) => [holderId, cards.length]);
      expect(held).toEqual([
        ['first', 1],
        ['fourth', 0],
        ['second', 0],
        ['third', 1],
      ]);
      const conflicts = (await sets.changes(id, '', 9)).map((one) => one.conflicts);
      expect(conflicts).toEqual([[], ['card'], ['card']]);
    });

    it('refuse to plan for a holder who has changed since it was read', async () => {
      const { id } = await sets.make('late', april1, admin.actor);
      await put('taro', staff('USER0001'));
      const read = (await holders.find('taro'))?.changeNumber;
      await put('taro', staff('USER0001', { groups: ['annex'] }));
      const late = { holderId: 'taro', state: staff('USER0001'), expected: read };
      expect((await sets.plan(id, late, admin)).kind).toBe('changed-meanwhile');
      const unseen = { ...late, expected: undefined };
      expect((await sets.plan(id, unseen, admin)).kind).toBe('changed-meanwhile');
    });

    it('are not taken for settled while another is half applied', async () => {
      const many = await sets.make('many', april1, admin.actor);
      for (let index = 0; index < 110; index += 1) {
        await plan(many.id, `holder-${index}`, staff(`USER${1000 + index}`));
      }
      await scheduled(many.id, april1);
      await due.step(april1);
      const one = await sets.make('one', april1, admin.actor);
      await plan(one.id, 'taro', staff('USER0001'));
      await scheduled(one.id, april1 - 1);
      const before = await feed.changeNumber();
      await due.step(april1);
      expect((await sets.find(one.id))?.state).toBe('applied');
      expect((await feed.changesSince(before, 9)).settled).toBe(false);
      await settle(april1);
      expect((await feed.changesSince(before, 9)).settled).toBe(true);
    });

    it('come into force in parts that no one takes for the whole, and go on after a crash', async () => {
      const { id } = await sets.make('many', april1, admin.actor);
      for (let index = 0; index < 110; index += 1) {
        await plan(id, `holder-${index}`, staff(`USER${1000 + index}`));
      }
      await scheduled(id, april1);
      const before = await feed.changeNumber();
      expect(await due.step(april1)).toBe(true);
      const half = await feed.changesSince(before, 1_000);
      expect([half.changed.length, half.settled]).toEqual([100, false]);
      // an urgent change passes between two parts
      await holders.suspend('holder-0', 'urgent', admin.actor);
      await new DueChanges({ ledger: city.ledger }).step(april1);
      const whole = await feed.changesSince(half.changeNumber, 1_000);
      expect([whole.changed.length, whole.settled]).toEqual([11, true]);
      expect((await effective('holder-0'))?.status).toBe('suspended');
    });
  });

  describe('as told to whoever distributes', () => {
    it('name each holder once, in portions, and those removed', async () => {
      const before = await feed.changeNumber();
      for (const [index, id] of ['a', 'b', 'c'].entries()) await put(id, staff(`USER000${index}`));
      await put('a', staff('USER0000', { groups: [] }));
      await holders.remove('b', (await holders.find('b'))?.changeNumber ?? 0, admin);
      const first = await feed.changesSince(before, 1);
      const rest = await feed.changesSince(first.changeNumber, 100);
      expect([...first.changed, ...rest.changed].sort()).toEqual(['a', 'c']);
      expect([...first.removed, ...rest.removed]).toEqual(['b']);
      const nothing = await feed.changesSince(rest.changeNumber, 100);
      expect(nothing).toEqual({ ...nothing, changed: [], removed: [], rules: false, settled: true });
      await put('b', staff('USER0001'));
      const again = await feed.changesSince(rest.changeNumber, 100);
      expect([again.changed, again.removed]).toEqual([['b'], []]);
    });

    it('read everybody page by page', async () => {
      for (const [index, id] of ['a', 'b', 'c'].entries()) await put(id, staff(`USER000${index}`));
      const first = await feed.page('', 2);
      const second = await feed.page('b', 2);
      expect([...first, ...second].map(({ holderId }) => holderId)).toEqual(['a', 'b', 'c']);
    });
  });

  describe('rules', () => {
    it('are refused with everything wrong, or for another organization', async () => {
      const wrong = {
        ...rulesDocument,
        organization: 'university',
        permissions: [{ group: 'x', door: 'y' }],
      };
      const outcome = await rules.make({ document: wrong }, admin.actor);
      expect(outcome).toMatchObject({ kind: 'invalid' });
      const other = await rules.make({ document: { ...rulesDocument, organization: 'other' } }, admin.actor);
      expect(other).toMatchObject({ problems: [{ path: 'organization' }] });
    });

    it('come into force at their moment; the version before is kept', async () => {
      const [last] = await rules.list();
      const document = { ...rulesDocument, groups: [...rulesDocument.groups, 'new'] };
      const editedVersion = last?.version ?? 0;
      const made = await rules.make({ document, inForceFromMs: april1, editedVersion }, admin.actor);
      if (made.kind !== 'made') throw new Error(made.kind);
      expect(made.version.state).toBe('planned');
      expect((await rules.make({ document, editedVersion }, admin.actor)).kind).toBe('changed-meanwhile');
      expect((await put('taro', staff('USER0001', { groups: ['new'] }))).kind).toBe('invalid');
      const { id } = await sets.make('with the new rules', april1, admin.actor);
      expect((await plan(id, 'taro', staff('USER0001', { groups: ['new'] }))).kind).toBe('done');
      await scheduled(id, april1);
      const before = await feed.changeNumber();
      await settle(april1);
      expect((await feed.changesSince(before, 9)).rules).toBe(true);
      expect((await rules.list()).slice(0, 2).map(({ state }) => state)).toEqual(['in-force', 'replaced']);
      expect((await holders.find('taro'))?.state.groups).toEqual(['new']);
    });

    it('that are planned can be cancelled, those in force cannot', async () => {
      const [last] = await rules.list();
      const editedVersion = last?.version ?? 0;
      const made = await rules.make(
        { document: rulesDocument, inForceFromMs: april1, editedVersion },
        admin.actor,
      );
      if (made.kind !== 'made') throw new Error(made.kind);
      // it would undo, whole, what came before it
      const hole = { document: rulesDocument, editedVersion: made.version.version };
      const refused = await rules.make(hole, admin.actor);
      expect(refused).toMatchObject({ kind: 'invalid', problems: [{ path: 'inForceFrom' }] });
      const later = await rules.make({ ...hole, inForceFromMs: april1 }, admin.actor);
      if (later.kind !== 'made') throw new Error(later.kind);
      expect(await rules.cancel(later.version.version, admin.actor)).toBe(true);
      expect(await rules.cancel(made.version.version, admin.actor)).toBe(true);
      const after = { ...hole, editedVersion: later.version.version };
      expect((await rules.make(after, admin.actor)).kind).toBe('made');
      expect(await rules.cancel(later.version.version + 1, admin.actor)).toBe(false);
      await settle(april1);
      expect((await rules.find(later.version.version + 1))?.state).toBe('in-force');
    });
  });
});
