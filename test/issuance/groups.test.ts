import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { siteRulesSchema } from '#core/access/site-rules.ts';
import { groupReportBytes } from '#core/sync/group-message.ts';
import type { TrustRoot } from '#core/sync/trust.ts';
import { pinnedRoot } from '../core/sync/keys.ts';
import { databaseRigs, type StartedRig } from './database-rigs.ts';
import { GroupBench, groupRules, writtenRules } from './group-bench.ts';
import { makeOrganization } from './organization-bench.ts';

describe.each(databaseRigs)('terminals that count together on $name', ({ name, start }) => {
  let rig: StartedRig;
  let city: Awaited<ReturnType<typeof makeOrganization>>;
  let root: TrustRoot;
  let bench: GroupBench;

  beforeAll(async () => {
    rig = await start();
    root = await pinnedRoot();
    city = await makeOrganization(rig, 'city');
  });
  afterAll(async () => {
    await city.databases.stop();
    await rig.stop();
  });
  beforeEach(async () => {
    bench = new GroupBench(city, root);
    await bench.clear();
    await bench.start();
  });
  afterEach(() => bench.stop());

  const inside = (terminal: string, zone: string): number => {
    const shared = bench.terminal(terminal).facts.get('');
    const count = shared?.get(`count/${zone}`) as { epoch: number; parts: { n: number }[] } | undefined;
    if (count?.epoch !== (shared?.get(`epoch/${zone}`) ?? 0)) return 0;
    return (count?.parts ?? []).reduce((sum, { n }) => sum + n, 0);
  };
  const zoneOf = (terminal: string, holder: string) =>
    (bench.terminal(terminal).facts.get(holder)?.get('at') as { zone: string | null } | undefined)?.zone;
  const conflicts = async () =>
    (await bench.store.conflicts(Number.MAX_SAFE_INTEGER, 100)).map(({ kind, terminal, other }) => [
      kind,
      terminal,
      other,
    ]);

  it('know within one exchange who entered at another, and how many are there', async () => {
    bench.connectAll();
    await bench.calm(3);
    await bench.terminal('east').enter('sato', 'hall');
    await bench.calm(1);
    for (const terminal of ['east', 'west', 'north']) {
      expect([zoneOf(terminal, 'sato'), inside(terminal, 'hall')]).toEqual(['hall', 1]);
      expect(bench.terminal(terminal).state.apart('all')).toBe(false);
    }
    await bench.terminal('west').enter('sato', null);
    await bench.calm(1);
    for (const terminal of ['east', 'west', 'north'])
      expect([zoneOf(terminal, 'sato'), inside(terminal, 'hall')]).toEqual([null, 0]);
    expect(await conflicts()).toEqual([]);
  });

  it('are apart while the server does not answer, and say so by themselves', async () => {
    const { state } = bench.terminal('east');
    expect(state.apart('all')).toBe(true);
    bench.connectAll();
    expect(state.apart('all')).toBe(true);
    await bench.calm(3);
    expect(state.apart('all')).toBe(false);
    // the broker is there, and nobody behind it
    for (let round = 0; round < 3; round += 1) {
      bench.wire.length = 0;
      await bench.pass(10_000);
    }
    expect(state.apart('all')).toBe(true);
    await bench.calm(2);
    expect(state.apart('all')).toBe(false);
    bench.terminal('east').connect(false);
    expect(state.apart('all')).toBe(true);
  });

  it('a grant that was not used is taken back everywhere', async () => {
    bench.connectAll();
    await bench.calm(3);
    await bench.terminal('west').enter('sato', 'lab');
    await bench.calm(1);
    const tap = await bench.terminal('east').enter('sato', 'hall');
    await bench.calm(1);
    expect(zoneOf('north', 'sato')).toBe('hall');
    await bench.terminal('east').takeBack(tap);
    await bench.calm(1);
    for (const terminal of ['east', 'west', 'north'])
      expect([zoneOf(terminal, 'sato'), inside(terminal, 'hall'), inside(terminal, 'lab')]).toEqual([
        'lab',
        0,
        1,
      ]);
  });

  it('whoever knew of another’s grant takes its place, whatever their clocks show', async () => {
    bench.connectAll();
    await bench.calm(3);
    await bench.terminal('east').enter('sato', 'hall');
    await bench.calm(1);
    await bench.terminal('west').enter('sato', null, -3_600_000);
    await bench.calm(1);
    for (const terminal of ['east', 'west', 'north'])
      expect([zoneOf(terminal, 'sato'), inside(terminal, 'hall')]).toEqual([null, 0]);
  });

  it('what one forgets all forget', async () => {
    bench.connectAll();
    await bench.calm(3);
    await bench.terminal('west').enter('sato', 'hall');
    await bench.terminal('west').enter('ito', 'hall');
    await bench.calm(1);
    await bench.terminal('east').forget('sato');
    await bench.calm(1);
    for (const terminal of ['east', 'west', 'north'])
      expect([zoneOf(terminal, 'sato'), zoneOf(terminal, 'ito'), inside(terminal, 'hall')]).toEqual([
        undefined,
        'hall',
        1,
      ]);
    await bench.terminal('north').reset('hall');
    await bench.calm(1);
    for (const terminal of ['east', 'west', 'north']) expect(inside(terminal, 'hall')).toBe(0);
  });

  it('what two granted without knowing of each other is told as a conflict, once', async () => {
    bench.connectAll();
    await bench.calm(3);
    for (const terminal of ['east', 'west']) bench.terminal(terminal).connect(false);
    await bench.terminal('east').enter('sato', 'hall');
    await bench.pass(1_000);
    await bench.terminal('west').enter('sato', 'hall');
    bench.connectAll();
    await bench.calm(3);
    expect(await conflicts()).toEqual([['entered-twice', 'west', 'east']]);
    await bench.terminal('north').enter('sato', null);
    await bench.terminal('east').crash();
    bench.restartServer();
    await bench.calm(3);
    expect(await conflicts()).toHaveLength(1);
  });

  it('what a rule counts for one terminal alone, and what is another organization’s, goes nowhere', async () => {
    bench.connectAll();
    await bench.calm(3);
    await bench.terminal('east').change('sato', () => [{ key: 'once/own', holderId: 'sato', value: true }]);
    await bench.calm(1);
    expect(bench.terminal('west').facts.get('sato')).toBeUndefined();
    expect((await bench.store.after('west', 0, groupRules)).facts).toEqual([]);
  });

  it('a device in whose place another stands is not heard any more', async () => {
    bench.connectAll();
    await bench.calm(3);
    await bench.terminal('east').enter('sato', 'hall');
    await bench.calm(1);
    const old = bench.terminal('east');
    old.incarnation = 'second';
    await old.enter('sato', null);
    await bench.calm(1);
    expect(zoneOf('north', 'sato')).toBe(null);
    old.incarnation = 'first';
    await old.enter('sato', 'lab');
    await bench.calm(2);
    expect(zoneOf('north', 'sato')).toBe(null);
  });

  it('a terminal that makes up devices fills no table', async () => {
    bench.connectAll();
    await bench.calm(3);
    for (let n = 0; n < 40; n += 1)
      await bench.groups.take('east', groupReportBytes({ incarnation: `made-up-${n}`, ask: 1, changes: [] }));
    const known = await city.ledger.db.selectFrom('group_writers').selectAll().orderBy('came').execute();
    const own = known.filter(({ terminal_id }) => terminal_id === 'east');
    expect([own.length, own.at(-1)?.incarnation]).toEqual([16, 'made-up-39']);
    expect(known.filter(({ terminal_id }) => terminal_id !== 'east')).toHaveLength(2);
  });

  it('messages that were changed, are of others or come again change nothing', async () => {
    bench.connectAll();
    await bench.calm(3);
    await bench.terminal('east').enter('sato', 'hall');
    await bench.pass(30);
    const report = bench.wire.findLast(({ from }) => from === 'east');
    if (!report) throw new Error('no report');
    await bench.deliver(report);
    const told = bench.wire.findLast(({ to }) => to === 'west');
    if (!told) throw new Error('nothing told');
    const turned = new Uint8Array(told.payload);
    turned[40] = (turned[40] ?? 0) ^ 1;
    await bench.deliver({ ...told, payload: turned });
    await bench.deliver({ ...told, to: 'north' });
    expect([zoneOf('west', 'sato'), zoneOf('north', 'sato')]).toEqual([undefined, undefined]);
    await bench.deliver(told);
    expect(zoneOf('west', 'sato')).toBe('hall');
    await bench.calm(2);
    await bench.terminal('west').enter('sato', null);
    await bench.calm(2);
    const before = bench.terminal('west').entries;
    for (let time = 0; time < 5; time += 1) await bench.deliver(told);
    await bench.deliver(report);
    await bench.calm(2);
    expect(zoneOf('west', 'sato')).toBe(null);
    expect(bench.terminal('west').entries - before).toBeLessThanOrEqual(1);
  });

  it('what fits no message is told to nobody, and keeps nothing else from being told', async () => {
    bench.connectAll();
    await bench.calm(3);
    const since = { terminal: 'east', utcMs: 1, trusted: true, monotonicMs: 0, bootId: 'b' };
    const at = { zone: null, epoch: 0, since };
    const change = { atMs: 1, heard: 0, key: 'at' };
    const changes = [
      { ...change, holder: 'sato', n: 1, value: { ...at, zone: 'a'.repeat(200_000) } },
      // three bytes each as they are sent
      ...Array.from({ length: 80 }, (_, index) => ({
        ...{ ...change, n: index + 2, value: { ...at, since: { ...since, bootId: '字'.repeat(500) } } },
        holder: `${index}${'字'.repeat(250)}`,
      })),
      { ...change, holder: 'abe', n: 90, value: 'nowhere' },
      { ...change, key: 'at/x', holder: 'abe', n: 91, value: 'nowhere' },
    ];
    for (const part of [changes.slice(0, 1), changes.slice(1)])
      await bench.groups.take('east', groupReportBytes({ incarnation: 'first', ask: 99, changes: part }));
    await bench.terminal('east').enter('ito', 'hall');
    await bench.calm(6);
    expect(zoneOf('west', 'ito')).toBe('hall');
    for (const holder of ['sato', 'abe']) expect(bench.terminal('west').facts.has(holder)).toBe(false);
    expect(bench.terminal('west').facts.size).toBeGreaterThan(80);
  });

  it('tell as much at once as a message holds, and all in the end', async () => {
    const parts = Array.from({ length: 20 }, (_, at) => ({
      terminal: `terminal-${10 + at}`,
      n: 1_000,
      v: 1_000,
    }));
    const { facts } = bench.terminal('east');
    for (let at = 0; at < 400; at += 1)
      facts.set(`佐藤-${at}`, new Map([['uses/taxi/day', { period: '2026-04-01', parts }]]));
    const east = bench.terminal('east');
    east.connect(true);
    await bench.calm(2);
    expect(east.state.apart('all'), 'it has heard all there is').toBe(false);
    // what happens while it still tells goes first
    await east.enter('suzuki', 'hall');
    await bench.calm(1);
    const { facts: heard } = await bench.store.after('west', 0, groupRules);
    expect(heard.some(({ holder }) => holder === '佐藤-399')).toBe(false);
    const { number } = await bench.store.state();
    expect(
      (await bench.store.after('west', number - 60, groupRules)).facts.map(({ holder }) => holder),
    ).toContain('suzuki');
    bench.connectAll();
    await bench.calm(15);
    expect(bench.terminal('west').facts.get('佐藤-399')).toEqual(facts.get('佐藤-399'));
    expect(bench.terminal('west').shared()).toEqual(bench.terminal('east').shared());
    for (const { state } of bench.terminals.values()) expect(state.apart('all')).toBe(false);
  });

  it('what all of them tell anew and holds already is news to none', async () => {
    bench.connectAll();
    await bench.calm(3);
    for (const holder of ['sato', 'abe', 'ito']) await bench.terminal('east').enter(holder, 'hall');
    await bench.calm(2);
    await bench.terminal('west').enter('sato', null);
    await bench.calm(2);
    const { number } = await bench.store.state();
    bench.rules = { ...groupRules, services: groupRules.services.filter(({ id }) => id !== 'gift') };
    for (const one of bench.terminals.values()) {
      one.rules = bench.rules;
      await one.state.follow();
    }
    await bench.calm(4);
    expect((await bench.store.state()).number).toBe(number);
    for (const { state } of bench.terminals.values()) expect(state.apart('all')).toBe(false);
    expect(bench.terminal('west').shared()).toEqual(bench.terminal('east').shared());
    expect([zoneOf('north', 'sato'), inside('north', 'hall')]).toEqual([null, 2]);
  });

  it('rules that share nothing more or less have nothing told anew', async () => {
    bench.connectAll();
    await bench.calm(3);
    const entries = () => [...bench.terminals.values()].map((one) => one.entries);
    const before = entries();
    const elsewhere = { group: 'others', apart: 'deny' } as const;
    const { zones, doors, services, terminalGroups } = writtenRules;
    const more = { id: 'kiosk', kind: 'once', scope: elsewhere };
    bench.rules = siteRulesSchema.parse({
      ...writtenRules,
      zones: [{ id: 'annex', occupancy: { limit: 9, scope: elsewhere } }, ...zones],
      doors: [{ id: 'back' }, ...doors],
      services: [more, ...services],
      terminalGroups: [...terminalGroups, { id: 'others', terminals: ['far', 'away'] }],
    });
    await bench.calm(2);
    expect(entries()).toEqual(before);
    bench.rules = { ...groupRules, services: groupRules.services.filter(({ id }) => id !== 'gift') };
    await bench.pass(10_000);
    await bench.calm(2);
    expect(entries()).toEqual(before.map((count) => count + 2));
  });

  it.each(['at once', 'with a crash before'])('what rules share that come late is told, %s', async (when) => {
    const { services } = groupRules;
    const fewer = { ...groupRules, services: services.filter(({ id }) => id !== 'gift') };
    bench.rules = fewer;
    const east = bench.terminal('east');
    for (const one of bench.terminals.values()) {
      one.rules = fewer;
      await one.state.follow();
    }
    bench.connectAll();
    await bench.calm(3);
    const moment = { terminal: 'east', utcMs: 1, trusted: true, monotonicMs: 0, bootId: 'b' };
    await east.change('sato', () => [{ key: 'once/gift', holderId: 'sato', value: moment }]);
    await bench.calm(1);
    bench.rules = groupRules;
    await bench.calm(4);
    expect(bench.terminal('west').facts.get('sato')).toBe(undefined);
    for (const one of bench.terminals.values()) {
      one.rules = groupRules;
      if (when === 'at once') await one.state.follow();
      else await one.crash();
      expect(one.state.apart('all')).toBe(true);
    }
    await bench.calm(4);
    expect(bench.terminal('west').facts.get('sato')?.get('once/gift')).toEqual(moment);
    expect(east.state.apart('all')).toBe(false);
    const { entries } = east;
    await bench.calm(2);
    expect(east.entries).toBe(entries);
  });

  it('what was said by the count of a server before a restoration moves nobody when it comes again', async () => {
    bench.terminal('east').connect(true);
    await bench.calm(3);
    const restore = await bench.backup();
    await bench.terminal('east').enter('sato', 'hall');
    await bench.calm(1);
    bench.terminal('west').connect(true);
    await bench.pass(30);
    await bench.carry('server');
    const old = bench.wire.find(({ to }) => to === 'west');
    if (!old) throw new Error('nothing told');
    await bench.calm(3);
    expect(zoneOf('west', 'sato')).toBe('hall');
    await restore();
    await bench.calm(6);
    await bench.terminal('west').forget('sato');
    await bench.calm(2);
    const { entries } = bench.terminal('west');
    await bench.deliver(old);
    expect(zoneOf('west', 'sato')).toBe(undefined);
    expect(bench.terminal('west').entries).toBe(entries);
    expect(bench.terminal('west').state.apart('all')).toBe(false);
  });

  it('an answer to a report of an earlier run is none to one of this', async () => {
    bench.connectAll();
    await bench.pass(30);
    await bench.carry('server');
    const old = bench.wire.find(({ to }) => to === 'west');
    if (!old) throw new Error('nothing told');
    await bench.calm(3);
    bench.terminal('west').connect(false);
    await bench.terminal('west').enter('sato', 'hall');
    await bench.terminal('west').crash();
    bench.terminal('west').connect(true);
    await bench.pass(30);
    bench.wire.length = 0;
    await bench.deliver(old);
    expect(bench.terminal('west').state.apart('all')).toBe(true);
    await bench.calm(3);
    expect(zoneOf('east', 'sato')).toBe('hall');
  });

  it('who is a holder no more is forgotten at the server', async () => {
    bench.connectAll();
    await bench.calm(3);
    await bench.terminal('east').enter('sato', 'hall');
    await bench.calm(1);
    const known = async () => (await bench.store.after('west', 0, groupRules)).facts.map(({ key }) => key);
    expect((await known()).toSorted()).toEqual(['at', 'count/hall']);
    await bench.store.clean(bench.clock.utcMs());
    expect(await known()).toEqual(['count/hall']);
  });

  const names = fc.constantFrom('east', 'west', 'north');
  const holders = fc.constantFrom('sato', 'ito', 'abe');
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.tuple(
        fc.constant('enter' as const),
        names,
        holders,
        fc.constantFrom('hall', 'lab', null),
      ),
    },
    {
      weight: 2,
      arbitrary: fc.tuple(
        fc.constant('enter-and-not' as const),
        names,
        holders,
        fc.constantFrom('hall', 'lab'),
      ),
    },
    { weight: 1, arbitrary: fc.tuple(fc.constant('forget' as const), names, holders) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('reset' as const), names) },
    {
      weight: 8,
      arbitrary: fc.tuple(
        fc.constantFrom('deliver' as const, 'deliver' as const, 'lose' as const, 'repeat' as const),
        fc.nat(30),
      ),
    },
    { weight: 3, arbitrary: fc.tuple(fc.constantFrom('connect' as const, 'disconnect' as const), names) },
    { weight: 2, arbitrary: fc.tuple(fc.constantFrom('crash' as const), names) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        ['server' as const] as const,
        ['backup' as const] as const,
        ['restore' as const] as const,
      ),
    },
    { weight: 4, arbitrary: fc.tuple(fc.constant('pass' as const), fc.integer({ min: 1, max: 15_000 })) },
  );

  it('come to know the same, whatever is lost, doubled, out of order, crashed or restored', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
        const each = new GroupBench(city, root);
        await each.clear();
        await each.start();
        each.connectAll();
        let restore = await each.backup();
        for (const one of steps) {
          await each.pass(1);
          switch (one[0]) {
            case 'enter':
              await each.terminal(one[1]).enter(one[2], one[3]);
              break;
            case 'enter-and-not': {
              const tap = await each.terminal(one[1]).enter(one[2], one[3]);
              await each.pass(5);
              await each.terminal(one[1]).takeBack(tap);
              break;
            }
            case 'forget':
              await each.terminal(one[1]).forget(one[2]);
              break;
            case 'reset':
              await each.terminal(one[1]).reset('hall');
              break;
            case 'connect':
            case 'disconnect':
              each.terminal(one[1]).connect(one[0] === 'connect');
              break;
            case 'crash':
              await each.terminal(one[1]).crash();
              break;
            case 'server':
              each.restartServer();
              break;
            case 'backup':
              restore = await each.backup();
              break;
            case 'restore':
              await restore();
              break;
            case 'pass':
              await each.pass(one[1]);
              break;
            default: {
              const at = one[1] % Math.max(each.wire.length, 1);
              const message = each.wire[at];
              if (!message) break;
              if (one[0] !== 'repeat') each.wire.splice(at, 1);
              if (one[0] !== 'lose') await each.deliver(message);
            }
          }
        }
        each.connectAll();
        await each.calm(12);
        const [east, west, north] = [...each.terminals.values()].map((one) => one.shared());
        const apart = [...each.terminals.values()].map(({ state }) => state.apart('all'));
        await each.stop();
        expect(apart).toEqual([false, false, false]);
        expect(west).toEqual(east);
        expect(north).toEqual(east);
      }),
      { numRuns: name === 'SQLite' ? 40 : 4 },
    );
  }, 60_000);
});
