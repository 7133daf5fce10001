import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { blankState } from '#core/access/access-state.ts';
import { decide, precedence } from '#core/access/decide.ts';
import { denialReasons } from '#core/access/decision.ts';
import { declareCondition, setThreatLevel } from '#core/access/site-state.ts';
import { doorRules, staffSlice, tapRequest } from '../../policy-slices.ts';
import { mondayMs, RuleBench, reading } from './rules/rule-bench.ts';

const docs = readFileSync(join(import.meta.dirname, '../../../docs/rules.md'), 'utf8');

describe('the table of precedence', () => {
  it('is the one in the documentation, row by row', () => {
    const rows = [...docs.matchAll(/^\d+\. `([a-z-]+)`/gm)].map((match) => match[1]);
    expect(rows).toEqual(precedence.map(({ name }) => name));
  });

  it('has each rule once, and the documentation each reason that a rule gives', () => {
    expect(new Set(precedence.map(({ name }) => name)).size).toBe(precedence.length);
    const ofRules = denialReasons.slice(
      denialReasons.indexOf('evacuation'),
      denialReasons.indexOf('item-not-lent') + 1,
    );
    for (const reason of ofRules) expect(docs, reason).toContain(`\`${reason}\``);
  });

  /**
   * A tap to which every rule objects; each line mends what the first of them objects to, and the next has its say.
   */
  it('decides which reason is given, row by row', () => {
    const into = { from: 'yard', to: 'lab' };
    const who = { holderId: 'h1', groups: ['visitor'] };
    const lockOut = { after: 2, first: '1 h' };
    const site = {
      groups: ['staff', 'visitor', 'chief'],
      zones: [
        { id: 'yard' },
        {
          id: 'lab',
          passback: { mode: 'hard' as const },
          occupancy: { limit: 1 },
          clearance: [{ fromLevel: 1, needs: 1 }],
        },
      ],
      clearances: [{ group: 'visitor', clearance: 1 }],
      lockOut: { holder: lockOut, reader: lockOut },
      permissions: [{ group: 'visitor', zone: 'lab' }],
    };
    const door = {
      ageing: { announce: '1 h', reduced: '2 h', closed: '3 h', inReduced: { groups: ['visitor'] } },
      reentry: { after: '1 h' },
      twoPerson: {},
    };
    const escorted = { escort: { of: ['visitor'], by: ['chief'] } };
    const bench = new RuleBench(site, door);
    const rules = doorRules({ id: 'front', ...door }, { ...site, clearances: [] });
    const locked = { count: 0, since: sinceNow(bench), rounds: 1, untilMs: 1e12 };
    for (const change of [
      { key: 'failures/front-outside', value: locked },
      { key: 'failures', holderId: 'h1', value: locked },
      declareCondition('evacuation', blankState, ['lab']),
      declareCondition('lockdown', blankState),
      setThreatLevel(1),
      { key: 'at', holderId: 'h1', value: { zone: 'lab', epoch: 0, since: sinceNow(bench) } },
      { key: 'passed/door/front/lab', holderId: 'h1', value: sinceNow(bench) },
      { key: 'count/lab', value: { epoch: 0, parts: [{ terminal: 'terminal-1', n: 1, v: 1 }] } },
    ]) {
      bench.set(change);
    }
    const asked = {
      reading: { ...reading, assurance: [] as typeof reading.assurance },
      request: tapRequest({ ...into, service: { id: 'none' } }),
      slice: staffSlice({
        rules: { ...rules, permissions: [] },
        card: { profileId: 'type-a', userNumber: '1', status: 'ended' },
        holder: { ...who, status: 'active' },
        version: {
          number: 1,
          organization: 'example',
          timeZone: 'Asia/Tokyo',
          installedAtMs: 0,
          freshAtMs: 0,
        },
      }),
    };
    type Asked = typeof asked;
    let tap: Asked = asked;
    const change = (slice: Partial<Asked['slice']>) => {
      tap = { ...tap, slice: { ...tap.slice, ...slice } };
    };
    const steps: readonly (readonly [string, string, () => void])[] = [
      ['reader-lock-out', 'locked-out', () => bench.set({ key: 'failures/front-outside' })],
      [
        'registration',
        'card-ended',
        () => change({ card: { profileId: 'type-a', userNumber: '1', status: 'active' } }),
      ],
      [
        'assurance',
        'assurance-insufficient',
        () => {
          tap = { ...tap, reading };
        },
      ],
      ['holder-lock-out', 'locked-out', () => bench.set({ key: 'failures', holderId: 'h1' })],
      ['evacuation', 'evacuation', () => bench.set({ key: 'site/evacuation' })],
      ['lockdown', 'lockdown', () => bench.set({ key: 'site/lockdown' })],
      ['threat-level', 'clearance-insufficient', () => bench.set({ key: 'site/threat' })],
      [
        'policy-age',
        'policy-too-old',
        () => change({ version: { ...tap.slice.version, freshAtMs: mondayMs } }),
      ],
      ['permission', 'no-permission', () => change({ rules })],
      ['passback', 'already-inside', () => bench.set({ key: 'at', holderId: 'h1' })],
      ['reentry', 'too-soon', () => bench.set({ key: 'passed/door/front/lab', holderId: 'h1' })],
      ['occupancy', 'zone-full', () => bench.set({ key: 'count/lab' })],
      [
        'service',
        'service-unknown',
        () => {
          tap = { ...tap, request: tapRequest(into) };
        },
      ],
      [
        'two-person',
        'second-person',
        () => change({ rules: doorRules({ id: 'front', ...door, twoPerson: undefined, ...escorted }, site) }),
      ],
      ['escort', 'escort', () => undefined],
    ];
    for (const [rule, reason, mend] of steps) {
      const decision = decide({ ...tap, state: bench.state('h1'), time: bench.time });
      expect(decision, rule).toMatchObject({ reason });
      const verdict = decision.kind === 'waits' ? 'waits' : 'denied';
      expect(decision.basis.path.find((step) => step.verdict === verdict)?.rule).toBe(rule);
      mend();
    }
  });
});

function sinceNow({ terminal, time }: RuleBench) {
  const { utcMs, trusted, monotonicMs, bootId } = time;
  return { terminal, utcMs, trusted, monotonicMs, bootId };
}
