import { describe, expect, it } from 'vitest';
import { forgetPosition, resetZone, rollCall } from '#core/access/rules/position.ts';
import { hourMs, minuteMs, mondayMs, RuleBench } from './rule-bench.ts';

const into = { from: 'yard', to: 'lab' };
const out = { from: 'lab', to: 'yard' };
const other = { holderId: 'h2' };

type Passback = { mode: 'hard' | 'soft'; [option: string]: unknown };
const site = (passback: Passback, more: object = {}) =>
  new RuleBench({ zones: [{ id: 'yard' }, { id: 'lab', passback: passback as never }], ...more });

describe('hard anti-passback by area', () => {
  it('refuses to enter while inside and to leave while outside', () => {
    const bench = site({ mode: 'hard' });
    expect(bench.outcome({}, into)).toBe('granted');
    expect(bench.outcome({}, into)).toBe('already-inside');
    expect(bench.outcome(other, into)).toBe('granted');
    expect(bench.outcome({}, out)).toBe('granted');
    expect(bench.outcome({}, out)).toBe('not-inside');
    expect(bench.outcome({}, into)).toBe('granted');
  });

  it('lets pass whoever nobody knows the place of, in either direction, and knows it then', () => {
    const bench = site({ mode: 'hard' });
    expect(bench.outcome({}, out)).toBe('granted');
    expect(bench.outcome({}, out)).toBe('not-inside');
    expect(bench.outcome(other, into)).toBe('granted');
  });

  it('takes a holder who left for outside of all zones as outside', () => {
    const bench = site({ mode: 'hard' });
    bench.tap({}, into);
    expect(bench.outcome({}, { from: 'lab' })).toBe('granted');
    expect(bench.outcome({}, { from: 'lab' })).toBe('not-inside');
    expect(bench.outcome({}, { to: 'lab' })).toBe('granted');
  });

  it('outlasts a reboot and every clock', () => {
    const bench = site({ mode: 'hard' });
    bench.tap({}, into);
    bench.reboot();
    expect(bench.outcome({}, into)).toBe('already-inside');
    bench.distrust(mondayMs + 10 * 365 * 24 * hourMs);
    expect(bench.outcome({}, into)).toBe('already-inside');
    bench.distrust(0);
    expect(bench.outcome({}, into)).toBe('already-inside');
  });

  it('does not move whoever was refused', () => {
    const bench = site({ mode: 'hard' }, { permissions: [{ group: 'staff', zone: 'yard' }] });
    expect(bench.outcome({}, into)).toBe('no-permission');
    expect(bench.facts.size).toBe(0);
  });

  it('exempts groups, and zones without it', () => {
    const bench = site(
      { mode: 'hard', exempt: ['guard'] },
      {
        groups: ['staff', 'guard'],
        permissions: [
          { group: 'guard', zone: 'lab' },
          { group: 'staff', zone: 'yard' },
        ],
      },
    );
    const guard = { groups: ['guard', 'staff'] };
    expect([bench.outcome(guard, into), bench.outcome(guard, into)]).toEqual(['granted', 'granted']);
    expect([bench.outcome({}, { to: 'yard' }), bench.outcome({}, { to: 'yard' })]).toEqual([
      'granted',
      'granted',
    ]);
  });

  it('holds for each zone of a passage, the one entered first', () => {
    const bench = new RuleBench({
      zones: [
        { id: 'yard', passback: { mode: 'hard' } },
        { id: 'lab', passback: { mode: 'hard' } },
      ],
    });
    bench.tap({}, { to: 'yard' });
    bench.tap({}, into);
    expect(bench.outcome({}, into)).toBe('already-inside');
    expect(bench.outcome({}, { from: 'yard' })).toBe('not-inside');
    expect(bench.outcome({}, out)).toBe('granted');
    expect(bench.outcome({}, { from: 'yard' })).toBe('granted');
  });
});

describe('soft anti-passback', () => {
  it('grants and tells staff', () => {
    const bench = site({ mode: 'soft' });
    expect(bench.tap({}, into)).toMatchObject({ kind: 'granted', alarms: [] });
    const again = bench.tap({}, into);
    expect(again).toMatchObject({ kind: 'granted', alarms: ['passback'] });
    if (again.kind !== 'granted') return;
    expect(again.basis.path.find(({ rule }) => rule === 'passback')?.used).toEqual({
      zone: 'lab',
      mode: 'soft',
      at: 'lab',
      violation: 'already-inside',
    });
  });
});

describe('forgiveness', () => {
  it('comes after its time, to the millisecond', () => {
    const bench = site({ mode: 'hard', forgiveAfter: '8 h' });
    bench.tap({}, into);
    bench.pass(8 * hourMs - 1);
    expect(bench.outcome({}, into)).toBe('already-inside');
    bench.pass(1);
    expect(bench.outcome({}, into)).toBe('granted');
    expect(bench.outcome({}, into)).toBe('already-inside');
  });

  it('counts over a reboot by trusted clocks, else only this boot', () => {
    const bench = site({ mode: 'hard', forgiveAfter: '8 h' });
    bench.tap({}, into);
    bench.reboot();
    bench.distrust(mondayMs + 9 * hourMs);
    expect(bench.outcome({}, into)).toBe('already-inside');
    bench.trust(mondayMs + 9 * hourMs);
    expect(bench.outcome({}, into)).toBe('granted');
    bench.reboot();
    bench.distrust(0);
    bench.pass(8 * hourMs - 1);
    expect(bench.outcome({}, into)).toBe('already-inside');
    bench.pass(1);
    expect(bench.outcome({}, into)).toBe('granted');
  });

  it('takes no time from a clock that stepped within one boot', () => {
    const bench = site({ mode: 'hard', forgiveAfter: '8 h' });
    bench.tap({}, into);
    bench.trust(mondayMs + 9 * hourMs);
    expect(bench.outcome({}, into)).toBe('already-inside');
  });

  it('comes at its time of day, by a trusted clock alone', () => {
    const bench = site({ mode: 'hard', forgiveAt: '04:00' });
    bench.tap({}, into);
    bench.pass(19 * hourMs - 1);
    expect(bench.outcome({}, into)).toBe('already-inside');
    bench.pass(1);
    bench.distrust(mondayMs + 30 * hourMs);
    expect(bench.outcome({}, into)).toBe('already-inside');
    bench.trust(mondayMs + 19 * hourMs);
    expect(bench.outcome({}, into)).toBe('granted');
    expect(bench.outcome({}, into)).toBe('already-inside');
  });

  it('does not come by a clock for a position from a time nobody vouches for', () => {
    const bench = site({ mode: 'hard', forgiveAfter: '8 h', forgiveAt: '04:00' });
    bench.distrust(mondayMs - 100 * hourMs);
    bench.tap({}, into);
    bench.reboot();
    bench.trust(mondayMs + 100 * hourMs);
    expect(bench.outcome({}, into)).toBe('already-inside');
    bench.pass(8 * hourMs);
    expect(bench.outcome({}, into)).toBe('granted');
  });

  it('of one holder is an operator’s, and of a zone everybody’s at once', () => {
    const bench = site({ mode: 'hard' });
    bench.tap({}, into);
    bench.tap(other, into);
    for (const change of forgetPosition('h1', bench.facts.get('h1|at'), bench.state())) bench.set(change);
    expect(bench.outcome({}, into)).toBe('granted');
    expect(bench.outcome(other, into)).toBe('already-inside');
    for (const change of resetZone('lab', bench.state())) bench.set(change);
    bench.reboot();
    expect(bench.outcome({}, out)).toBe('granted');
    expect(bench.outcome(other, into)).toBe('granted');
    expect(bench.outcome(other, into)).toBe('already-inside');
  });
});

describe('timed anti-passback', () => {
  it('refuses the same direction through a door within its time, and leaves the other free', () => {
    const bench = new RuleBench({ zones: [{ id: 'lab' }] }, { reentry: { after: '10 min' } });
    expect(bench.outcome({}, into)).toBe('granted');
    expect(bench.outcome({}, out)).toBe('granted');
    bench.pass(10 * minuteMs - 1);
    expect(bench.tap({}, into)).toMatchObject({ kind: 'denied', reason: 'too-soon' });
    expect(bench.outcome(other, into)).toBe('granted');
    bench.pass(1);
    expect(bench.outcome({}, into)).toBe('granted');
  });

  it('holds for a zone over all its doors, exempts groups, and is not prolonged by refusals', () => {
    const bench = new RuleBench({
      groups: ['staff', 'guard'],
      zones: [{ id: 'lab', reentry: { after: '10 min', exempt: ['guard'] } }],
      permissions: [{ group: 'staff', zone: 'lab' }],
    });
    bench.tap({}, into);
    bench.pass(9 * minuteMs);
    expect(bench.outcome({}, { ...into, doorId: 'back' })).toBe('too-soon');
    const guard = { holderId: 'g', groups: ['staff', 'guard'] };
    expect([bench.outcome(guard, into), bench.outcome(guard, into)]).toEqual(['granted', 'granted']);
    bench.pass(minuteMs);
    expect(bench.outcome({}, into)).toBe('granted');
  });

  it('counts for both of two who pass together, whoever of them is exempt', () => {
    const bench = new RuleBench(
      { groups: ['staff', 'guard'], zones: [{ id: 'lab', reentry: { after: '10 min', exempt: ['guard'] } }] },
      { twoPerson: {} },
    );
    const guard = { holderId: 'g', groups: ['staff', 'guard'] };
    expect([bench.outcome({}, into), bench.outcome(guard, into)]).toEqual(['second-person', 'granted']);
    expect(bench.outcome({}, into)).toBe('too-soon');
    expect(bench.outcome(guard, into)).toBe('second-person');
  });

  it('is about who enters a zone, and not about readers inside it', () => {
    const bench = new RuleBench({ zones: [{ id: 'lab', reentry: { after: '10 min' } }] });
    const inside = { from: 'lab', to: 'lab' };
    expect([bench.outcome({}, into), bench.outcome({}, inside)]).toEqual(['granted', 'granted']);
    bench.pass(10 * minuteMs);
    expect([bench.outcome({}, inside), bench.outcome({}, into)]).toEqual(['granted', 'granted']);
  });

  it('counts over a reboot what has surely passed', () => {
    const bench = new RuleBench({}, { reentry: { after: '10 min' } });
    bench.tap();
    bench.reboot();
    bench.distrust(mondayMs + hourMs);
    expect(bench.outcome()).toBe('too-soon');
    bench.pass(10 * minuteMs);
    expect(bench.outcome()).toBe('granted');
    bench.reboot();
    bench.trust(mondayMs + 2 * hourMs);
    // the last passage was at a time nobody vouches for
    expect(bench.outcome()).toBe('too-soon');
  });
});

describe('the limit of a zone', () => {
  const limited = () => new RuleBench({ zones: [{ id: 'yard' }, { id: 'lab', occupancy: { limit: 2 } }] });
  const holder = (n: number) => ({ holderId: `h${n}` });

  it('is about who enters: in a full zone its inner readers go on', () => {
    const bench = limited();
    bench.set({ key: 'count/lab', value: { epoch: 0, parts: [{ terminal: 'terminal-1', n: 2, v: 1 }] } });
    expect(bench.outcome({}, into)).toBe('zone-full');
    expect(bench.outcome({}, { from: 'lab', to: 'lab' })).toBe('granted');
  });

  it('lets in as many as fit, and one more for each who leaves', () => {
    const bench = limited();
    expect([1, 2, 3].map((n) => bench.outcome(holder(n), into))).toEqual(['granted', 'granted', 'zone-full']);
    expect(bench.outcome(holder(1), into)).toBe('granted');
    expect(bench.outcome(holder(2), out)).toBe('granted');
    expect(bench.outcome(holder(2), out)).toBe('granted');
    expect([3, 4].map((n) => bench.outcome(holder(n), into))).toEqual(['granted', 'zone-full']);
  });

  it('outlasts a reboot, whatever the clock says', () => {
    const bench = limited();
    bench.tap(holder(1), into);
    bench.tap(holder(2), into);
    bench.reboot();
    bench.distrust(0);
    expect(bench.outcome(holder(3), into)).toBe('zone-full');
  });

  it('starts anew when the zone is reset', () => {
    const bench = limited();
    bench.tap(holder(1), into);
    bench.tap(holder(2), into);
    for (const change of resetZone('lab', bench.state())) bench.set(change);
    expect([3, 4, 5].map((n) => bench.outcome(holder(n), into))).toEqual(['granted', 'granted', 'zone-full']);
    // out again after the reset: not counted in, so not counted out
    bench.tap(holder(1), out);
    expect(bench.outcome(holder(5), into)).toBe('zone-full');
  });

  it('has a roll call of who is where, the longest first', () => {
    const bench = limited();
    bench.tap(holder(2), into);
    bench.pass(minuteMs);
    bench.tap(holder(1), into);
    bench.tap(holder(3), { to: 'yard' });
    bench.tap(holder(4), { from: 'yard' });
    const facts = [...bench.facts].flatMap(([key, value]) => {
      const [holderId = '', fact] = key.split('|');
      return fact === 'at' ? [{ holderId, value }] : [];
    });
    expect([...rollCall(facts, bench.state())]).toEqual([
      [
        'lab',
        [
          { holderId: 'h2', sinceMs: mondayMs },
          { holderId: 'h1', sinceMs: mondayMs + minuteMs },
        ],
      ],
      ['yard', [{ holderId: 'h3', sinceMs: mondayMs + minuteMs }]],
    ]);
  });
});
