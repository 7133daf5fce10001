import { describe, expect, it } from 'vitest';
import {
  conditionHolds,
  declareCondition,
  endCondition,
  setThreatLevel,
  threatLevel,
} from '#core/access/site-state.ts';
import { Fault } from '#core/fault.ts';
import { hourMs, mondayMs, RuleBench } from './rule-bench.ts';

const zones = [{ id: 'lobby' }, { id: 'lab', clearance: [{ fromLevel: 2, needs: 3 }] }];
const groups = ['staff', 'guard', 'fire'];
const permissions = [
  { group: 'staff', zone: 'lobby' },
  { group: 'staff', door: 'front' },
  { group: 'guard', door: 'front' },
  { group: 'fire', zone: 'lab' },
];
const site = (more: object = {}) => new RuleBench({ groups, zones, permissions, ...more });
const guard = { holderId: 'g1', groups: ['guard'] };

describe('a permission for a zone', () => {
  const bench = () => new RuleBench({ groups, zones, permissions: [{ group: 'staff', zone: 'lab' }] });

  it('lets its group through every reader that leads there, and through no other', () => {
    const decision = bench().tap({}, { to: 'lab' });
    expect(decision.kind).toBe('granted');
    if (decision.kind === 'granted')
      expect(decision.basis.path.find(({ rule }) => rule === 'permission')?.used).toEqual({
        group: 'staff',
        zone: 'lab',
      });
    expect(bench().outcome({}, { to: 'lobby', from: 'lab' })).toBe('no-permission');
    expect(bench().outcome()).toBe('no-permission');
    expect(bench().outcome(guard, { to: 'lab' })).toBe('no-permission');
  });
});

describe('the longer access time', () => {
  it('goes with every grant of its groups, and with no other', () => {
    const bench = site({ longerAccess: ['guard'] });
    expect(bench.tap(guard)).toMatchObject({ kind: 'granted', obligations: { longer: true } });
    expect(bench.tap()).toMatchObject({ kind: 'granted', obligations: {} });
    expect(bench.tap({ holderId: 'x', groups: [] })).toMatchObject({ kind: 'denied' });
  });
});

describe('a lockdown', () => {
  it('stops everyone but exempt groups, until it is ended', () => {
    const bench = site({ lockdown: { exempt: ['guard'] } });
    bench.set(declareCondition('lockdown', bench.state()));
    expect(bench.outcome()).toBe('lockdown');
    expect(bench.outcome(guard)).toBe('granted');
    bench.set(endCondition('lockdown', bench.state()));
    expect(bench.outcome()).toBe('granted');
  });

  it('outlasts a reboot, and no clock ends it', () => {
    const bench = site();
    bench.set(declareCondition('lockdown', bench.state()));
    bench.reboot();
    bench.distrust(mondayMs + 10 * 365 * 24 * hourMs);
    expect(bench.outcome()).toBe('lockdown');
    expect(bench.outcome(guard)).toBe('lockdown');
  });

  it('of some zones stops who enters them or leaves them, and nobody else', () => {
    const bench = site();
    bench.set(declareCondition('lockdown', bench.state(), ['lobby']));
    expect(bench.outcome({}, { to: 'lobby' })).toBe('lockdown');
    expect(bench.outcome({}, { from: 'lobby' })).toBe('lockdown');
    expect(bench.outcome({}, { from: 'lab' })).toBe('granted');
    expect(bench.outcome()).toBe('granted');
  });

  it('of a second zone leaves the first locked down, and each ends for itself', () => {
    const bench = site();
    const locked = () => ['lobby', 'lab'].filter((zone) => conditionHolds('lockdown', [zone], bench.state()));
    bench.set(declareCondition('lockdown', bench.state(), ['lobby']));
    bench.set(declareCondition('lockdown', bench.state(), ['lab', 'lobby']));
    expect(locked()).toEqual(['lobby', 'lab']);
    bench.set(endCondition('lockdown', bench.state(), ['lobby', 'cellar']));
    expect(locked()).toEqual(['lab']);
    bench.set(endCondition('lockdown', bench.state(), ['lab']));
    expect(locked()).toEqual([]);
    expect(bench.facts.size).toBe(0);
  });

  it('of the whole site holds on, whatever is declared or ended for one zone', () => {
    const bench = site();
    bench.set(declareCondition('lockdown', bench.state(), ['lobby']));
    bench.set(declareCondition('lockdown', bench.state()));
    bench.set(declareCondition('lockdown', bench.state(), ['lab']));
    expect(bench.outcome()).toBe('lockdown');
    bench.set(endCondition('lockdown', bench.state(), ['lobby', 'lab']));
    expect(bench.outcome()).toBe('lockdown');
    bench.set(endCondition('lockdown', bench.state()));
    expect(bench.outcome()).toBe('granted');
    bench.set(endCondition('lockdown', bench.state(), ['lab']));
    expect(bench.outcome()).toBe('granted');
  });

  it('whose fact cannot be read is a fault, not the absence of a lockdown', () => {
    const bench = site();
    bench.set({ key: 'site/lockdown', value: { zones: [] } });
    expect(() => bench.tap()).toThrow(Fault);
    expect(() => conditionHolds('lockdown', [], bench.state())).toThrow(/site\/lockdown/);
  });
});

describe('an evacuation', () => {
  it('refuses who enters, but for exempt groups, and never who leaves or crosses on the way out', () => {
    const bench = site({ evacuation: { exempt: ['fire'] } });
    bench.set(declareCondition('evacuation', bench.state()));
    expect(bench.outcome({}, { to: 'lobby' })).toBe('evacuation');
    expect(bench.outcome()).toBe('evacuation');
    expect(bench.outcome({ groups: ['fire'] }, { to: 'lab' })).toBe('granted');
    expect(bench.outcome({}, { from: 'lobby' })).toBe('granted');
    expect(bench.outcome({}, { from: 'lab', to: 'lobby' })).toBe('granted');
    bench.reboot();
    bench.distrust(0);
    expect(bench.outcome({}, { to: 'lobby' })).toBe('evacuation');
  });

  it('lets nobody in through a reader whose outside has a name', () => {
    const bench = site();
    bench.set(declareCondition('evacuation', bench.state()));
    expect(bench.outcome({}, { from: 'street', to: 'lobby' })).toBe('evacuation');
    expect(bench.outcome({}, { from: 'street', to: 'annex' })).toBe('evacuation');
    expect(bench.outcome({}, { from: 'lobby', to: 'street' })).toBe('granted');
    expect(bench.outcome({}, { from: 'cellar' })).toBe('granted');
    const zoneless = new RuleBench({});
    zoneless.set(declareCondition('fire', zoneless.state()));
    expect(zoneless.outcome({}, { from: 'street', to: 'lobby' })).toBe('evacuation');
  });

  it.each(['fire', 'evacuation'] as const)('holds for %s until it is ended', (condition) => {
    const bench = site();
    bench.set(declareCondition(condition, bench.state()));
    expect(bench.outcome({}, { to: 'lobby' })).toBe('evacuation');
    bench.set(endCondition(condition, bench.state()));
    expect(bench.outcome({}, { to: 'lobby' })).toBe('granted');
  });

  it('of one zone leaves the others open', () => {
    const bench = site();
    bench.set(declareCondition('evacuation', bench.state(), ['lab']));
    expect(bench.outcome({ groups: ['fire'] }, { to: 'lab', from: 'lobby' })).toBe('evacuation');
    expect(bench.outcome({}, { from: 'lab', to: 'lobby' })).toBe('granted');
    expect(bench.outcome({}, { to: 'lobby' })).toBe('granted');
  });
});

describe('a threat level', () => {
  const clearances = [
    { group: 'staff', clearance: 1 },
    { group: 'guard', clearance: 3 },
  ];
  const door = {
    clearance: [
      { fromLevel: 1, needs: 1 },
      { fromLevel: 3, needs: 2 },
    ],
  };
  const bench = () => new RuleBench({ groups, zones, permissions, clearances }, door);

  it.each([
    [0, 'granted', 'granted'],
    [1, 'granted', 'granted'],
    [2, 'granted', 'granted'],
    [3, 'clearance-insufficient', 'granted'],
    [9, 'clearance-insufficient', 'granted'],
  ])('%i asks of a door for the clearance configured from it on', (level, staff, guards) => {
    const one = bench();
    one.set(setThreatLevel(level));
    one.reboot();
    one.distrust(0);
    expect(threatLevel(one.state())).toBe(level);
    expect(one.outcome()).toBe(staff);
    expect(one.outcome(guard)).toBe(guards);
  });

  it('counts for the zone a reader leads to as well; who has no clearance has 0', () => {
    const one = bench();
    one.set(setThreatLevel(2));
    expect(one.outcome({ groups: ['staff', 'fire'] }, { to: 'lab' })).toBe('clearance-insufficient');
    expect(one.outcome({ groups: ['guard', 'fire'] }, { to: 'lab' })).toBe('granted');
    expect(one.outcome({ groups: ['fire'] }, { to: 'lobby' })).toBe('clearance-insufficient');
  });
});

describe('a master card', () => {
  const bench = () => {
    const one = site({ master: { groups: ['fire'], freshFor: '24 h' }, permissions: [] });
    one.installedAtMs = mondayMs - hourMs;
    return one;
  };
  const fire = { holderId: 'f1', groups: ['fire'] };

  it('passes without a permission while the policy is fresh, and says which rule it outranked', () => {
    const decision = bench().tap(fire);
    expect(decision).toMatchObject({ kind: 'granted' });
    if (decision.kind !== 'granted') return;
    expect(decision.basis.path.find(({ rule }) => rule === 'master-card')?.used).toEqual({
      group: 'fire',
      fresh: true,
    });
    expect(decision.basis.path.at(-1)).toMatchObject({ rule: 'permission', verdict: 'outranked' });
    expect(bench().outcome()).toBe('no-permission');
  });

  it('is like any other once the policy is older than its limit, to the millisecond', () => {
    const one = bench();
    one.pass(23 * hourMs);
    expect(one.outcome(fire)).toBe('granted');
    one.pass(1);
    expect(one.outcome(fire)).toBe('no-permission');
  });

  it('is like any other while the clock is not trusted or lies before the policy', () => {
    const one = bench();
    one.distrust(mondayMs);
    expect(one.outcome(fire)).toBe('no-permission');
    one.trust(mondayMs - 2 * hourMs);
    expect(one.outcome(fire)).toBe('no-permission');
    one.trust(mondayMs);
    one.reboot();
    expect(one.outcome(fire)).toBe('granted');
  });

  it('is counted like any other where a service is asked for', () => {
    const one = site({
      master: { groups: ['fire'], freshFor: '24 h' },
      permissions: [],
      services: [{ id: 'vote', kind: 'once' }],
    });
    one.installedAtMs = mondayMs;
    const vote = { service: { id: 'vote' } };
    expect([one.outcome(fire, vote), one.outcome(fire, vote)]).toEqual(['granted', 'already-admitted']);
    expect(one.outcome(fire)).toBe('granted');
  });

  it('outranks a threat level, and neither a lockdown nor an evacuation', () => {
    const one = bench();
    one.set(setThreatLevel(9));
    expect(one.outcome(fire, { to: 'lab' })).toBe('granted');
    one.set(declareCondition('lockdown', one.state()));
    expect(one.outcome(fire, { to: 'lab' })).toBe('lockdown');
    one.set(endCondition('lockdown', one.state()));
    one.set(declareCondition('evacuation', one.state()));
    expect(one.outcome(fire, { to: 'lab' })).toBe('evacuation');
  });
});
