import { describe, expect, it } from 'vitest';
import { grantTimes } from '#core/access/door-settings.ts';
import type { DoorMachineInput, DoorMode } from '#core/access/door-state.ts';
import { DoorBench } from './door-bench.ts';

const tapId = 'a'.repeat(32);
const fault = { code: 'door-hardware-failed', message: 'test' } as const;
const open = { kind: 'contact', open: true } as const;
const closed = { kind: 'contact', open: false } as const;
const grant = { kind: 'grant', openMs: 5_000, tapId } as const;
const passage = { kind: 'passage', active: true } as const;

function closedDoor(settings: ConstructorParameters<typeof DoorBench>[0] = {}): DoorBench {
  const bench = new DoorBench(settings);
  bench.feed(closed);
  return bench;
}
function become(bench: DoorBench, mode: DoorMode): void {
  bench.feed({ kind: 'mode', mode });
}
const normal: DoorMode = { kind: 'normal' };
const lockdown: DoorMode = { kind: 'lockdown' };
const byHours: DoorMode = { kind: 'held', by: 'schedule' };

describe('a door held unlocked', () => {
  it('stays unlocked past every strike time, renewed before the hardware would lock', () => {
    const bench = closedDoor();
    become(bench, byHours);
    bench.advance(3_600_000);
    expect(bench.locked()).toBe(false);
    expect(bench.events()).toEqual(['held-unlocked']);
    const unlocks = bench.log.filter(({ effect }) => effect.kind === 'unlock');
    for (const [index, { atMs, effect }] of unlocks.entries()) {
      const renewedAt = unlocks[index + 1]?.atMs ?? bench.nowMs;
      if (effect.kind === 'unlock') expect(renewedAt).toBeLessThan(atMs + effect.limitMs);
    }
  });

  it('locks at the end of the hold', () => {
    const bench = closedDoor();
    become(bench, byHours);
    become(bench, normal);
    expect(bench.locked()).toBe(true);
    bench.advance(1_000);
    expect(bench.events()).toEqual(['held-unlocked', 'relocked', 'hold-ended']);
    expect(bench.timers.size).toBe(0);
  });

  it('may stand open as long as it likes, and from the end of the hold for its usual time', () => {
    const bench = closedDoor();
    become(bench, byHours);
    bench.feed(open);
    bench.advance(3_600_000);
    expect(bench.alarms()).toEqual([]);
    become(bench, normal);
    expect(bench.locked()).toBe(true);
    bench.advance(29_999);
    expect(bench.alarms()).toEqual(['held-open-pre-alarm']);
    bench.advance(1);
    expect(bench.alarms()).toEqual(['held-open']);
  });

  it('ends a held-open alarm of before, and forces nothing', () => {
    const bench = closedDoor();
    bench.feed(grant);
    bench.feed(open);
    bench.advance(30_000);
    expect(bench.alarms()).toEqual(['held-open']);
    become(bench, byHours);
    expect(bench.alarms()).toEqual([]);
    bench.feed(closed);
    bench.advance(1_000);
    bench.feed(open);
    bench.advance(86_400_000);
    expect(bench.alarms()).toEqual([]);
    expect(bench.events()).not.toContain('forced-open');
  });

  it('keeps the alarm of a leaf that was forced before, until it is closed', () => {
    const bench = closedDoor();
    bench.feed(open);
    become(bench, byHours);
    expect(bench.alarms()).toEqual(['forced-open']);
    bench.feed(closed);
    bench.advance(200);
    expect(bench.alarms()).toEqual([]);
    expect(bench.locked()).toBe(false);
  });

  it.each(['on-close', 'on-open'] as const)('returns to the hold after a grant, relocking %s', (relock) => {
    const bench = closedDoor({ relock });
    become(bench, byHours);
    bench.feed(grant);
    bench.feed(open);
    bench.feed(closed);
    bench.advance(60_000);
    expect(bench.locked()).toBe(false);
    expect(bench.events()).toEqual(['held-unlocked', 'opened', 'closed']);
  });

  it('tells of a grant under it that nobody opened', () => {
    const bench = closedDoor();
    become(bench, byHours);
    bench.feed(grant);
    bench.advance(5_000);
    expect(bench.events()).toEqual(['held-unlocked', 'granted-not-opened']);
    expect(bench.locked()).toBe(false);
  });

  it('leaves a grant its time when the hold ends before', () => {
    const bench = closedDoor();
    become(bench, byHours);
    bench.advance(1_000);
    bench.feed(grant);
    bench.advance(1_000);
    become(bench, normal);
    bench.advance(3_999);
    expect(bench.locked()).toBe(false);
    bench.advance(1);
    expect(bench.locked()).toBe(true);
  });

  it('is tried again when its hardware fails, at once and then twice as late each time, up to half a minute', () => {
    const bench = closedDoor();
    bench.answering = false;
    const fails = (): void => {
      bench.unanswered.length = 0;
      bench.feed({ kind: 'actuation-failed', command: 'unlock', fault });
      bench.unanswered.length = 0;
      bench.feed({ kind: 'actuated', command: 'lock' });
      expect(bench.locked()).toBe(true);
    };
    become(bench, byHours);
    for (const delayMs of [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      fails();
      bench.advance(delayMs - 1);
      expect(bench.locked()).toBe(true);
      bench.advance(1);
      expect(bench.locked()).toBe(false);
    }
    bench.unanswered.length = 0;
    bench.feed({ kind: 'actuated', command: 'unlock' });
    // it has held until it was renewed: the next failure is the first again
    bench.advance(10_000);
    fails();
    bench.advance(250);
    expect(bench.locked()).toBe(false);
  });

  it('is restored after hardware locked by itself, and an opening meanwhile is no forcing', () => {
    const bench = closedDoor();
    become(bench, byHours);
    bench.feed({ kind: 'strike', locked: true });
    expect(bench.events()).toEqual(['held-unlocked', 'relocked-by-hardware']);
    bench.advance(100);
    bench.feed(open);
    expect(bench.alarms()).toEqual([]);
    bench.feed(closed);
    bench.advance(200);
    expect(bench.locked()).toBe(false);
  });

  it('is told to stay unlocked three times before the hardware would lock', () => {
    const bench = closedDoor();
    become(bench, byHours);
    bench.advance(60_000);
    const unlocks = bench.log.filter(({ effect }) => effect.kind === 'unlock');
    expect(unlocks.map(({ atMs }) => atMs)).toEqual([0, 1, 2, 3, 4, 5, 6].map((count) => count * 10_000));
    for (const { effect } of unlocks) expect(effect).toMatchObject({ limitMs: 30_000 });
  });

  it.each<[string, DoorMachineInput]>([
    ['grant', grant],
    ['exit request', { kind: 'exit-request', pressed: true }],
  ])('alarms a leaf left open when the hold ends under a running %s', (_, input) => {
    const bench = closedDoor();
    become(bench, byHours);
    bench.feed(open);
    bench.feed(input);
    bench.feed({ kind: 'exit-request', pressed: false });
    become(bench, normal);
    bench.advance(30_000);
    expect(bench.locked()).toBe(true);
    expect(bench.alarms()).toEqual(['held-open']);
  });

  it('shows that it is open to everybody', () => {
    const bench = closedDoor();
    const shown = (): string | undefined =>
      bench.log.flatMap(({ effect }) => (effect.kind === 'indicate' ? [effect.indication] : [])).at(-1);
    become(bench, byHours);
    expect(shown()).toBe('unlocked');
    bench.feed(grant);
    expect(shown()).toBe('granted');
    bench.advance(5_000);
    expect(shown()).toBe('unlocked');
    become(bench, lockdown);
    expect(shown()).toBe('locked-down');
    become(bench, normal);
    expect(shown()).toBe('idle');
  });

  it('records another cause without moving the strike', () => {
    const bench = closedDoor();
    become(bench, byHours);
    become(bench, { kind: 'held', by: 'fire' });
    become(bench, { kind: 'held', by: 'fire' });
    expect(bench.commands()).toEqual(['unlock']);
    expect(bench.events()).toEqual(['held-unlocked', 'held-unlocked']);
  });
});

describe('lockdown', () => {
  it('ends a grant at once, and an opening just then is no forcing', () => {
    const bench = closedDoor();
    bench.feed(grant);
    become(bench, lockdown);
    expect(bench.locked()).toBe(true);
    bench.feed(open);
    expect(bench.events()).toEqual(['relocked', 'lockdown', 'opened']);
    expect(bench.alarms()).toEqual([]);
  });

  it('ends a hold', () => {
    const bench = closedDoor();
    become(bench, byHours);
    become(bench, lockdown);
    expect(bench.locked()).toBe(true);
    bench.advance(3_600_000);
    expect(bench.locked()).toBe(true);
  });

  it('never keeps anybody in: an exit request unlocks, and one that runs keeps its time', () => {
    const bench = closedDoor();
    bench.feed({ kind: 'exit-request', pressed: true });
    become(bench, lockdown);
    expect(bench.locked()).toBe(false);
    bench.feed({ kind: 'exit-request', pressed: false });
    bench.advance(5_000);
    expect(bench.locked()).toBe(true);
    bench.feed({ kind: 'exit-request', pressed: true });
    expect(bench.locked()).toBe(false);
  });
});

describe('lockdown over an exit request', () => {
  it('leaves it its own time, not that of a grant it ran into', () => {
    const bench = closedDoor();
    bench.feed({ ...grant, openMs: 300_000 });
    bench.feed({ kind: 'exit-request', pressed: true });
    bench.feed({ kind: 'exit-request', pressed: false });
    become(bench, lockdown);
    bench.advance(4_999);
    expect(bench.locked()).toBe(false);
    bench.advance(1);
    expect(bench.locked()).toBe(true);
    expect(bench.events()).toEqual(['exit-request', 'granted-not-opened', 'lockdown', 'relocked']);
  });
});

describe('a holder who needs longer', () => {
  it('has longer to open and to pass', () => {
    const bench = closedDoor({ longerStrikeMs: 20_000, longerHeldOpenAfterMs: 60_000 });
    bench.feed({ kind: 'grant', tapId, ...grantTimes(bench.settings, true) });
    bench.advance(19_000);
    expect(bench.locked()).toBe(false);
    bench.feed(open);
    bench.advance(59_000);
    expect(bench.alarms()).toEqual(['held-open-pre-alarm']);
    bench.advance(1_000);
    expect(bench.alarms()).toEqual(['held-open']);
  });
});

describe('an exit request that only shunts', () => {
  it('unlocks nothing and keeps the opening from alarming', () => {
    const bench = closedDoor({ exitRequest: 'shunt' });
    bench.feed({ kind: 'exit-request', pressed: true });
    bench.feed(open);
    bench.feed({ kind: 'exit-request', pressed: false });
    expect(bench.commands()).toEqual([]);
    expect(bench.events()).toEqual(['exit-request', 'opened']);
    expect(bench.alarms()).toEqual([]);
  });

  it('asked for while a grant runs holds after it', () => {
    const bench = closedDoor({ exitRequest: 'shunt' });
    bench.feed(grant);
    bench.advance(4_900);
    bench.feed({ kind: 'exit-request', pressed: true });
    bench.feed({ kind: 'exit-request', pressed: false });
    bench.advance(1_000);
    expect(bench.locked()).toBe(true);
    bench.feed(open);
    expect(bench.alarms()).toEqual([]);
  });

  it('lasts while pressed and is over its time later, then an opening is forced', () => {
    const bench = closedDoor({ exitRequest: 'shunt', exitMs: 5_000 });
    bench.feed({ kind: 'exit-request', pressed: true });
    bench.advance(14_000);
    bench.feed({ kind: 'exit-request', pressed: false });
    bench.advance(1_000);
    bench.feed(open);
    expect(bench.alarms()).toEqual(['forced-open']);
  });
});

describe('a gate', () => {
  const gate = { passage: 'fitted', contact: 'none' } as const;

  it('closes behind the one person granted', () => {
    const bench = new DoorBench(gate);
    bench.feed(grant);
    bench.advance(1_000);
    bench.feed(passage);
    expect(bench.locked()).toBe(true);
    expect(bench.events()).toEqual(['passed', 'relocked']);
  });

  it('counts one person a grant: two granted, two pass, a third is tailgating', () => {
    const bench = new DoorBench(gate);
    bench.feed(grant);
    bench.feed({ ...grant, tapId: 'b' });
    bench.feed(passage);
    expect(bench.locked()).toBe(false);
    bench.feed(passage);
    expect(bench.locked()).toBe(true);
    bench.feed(passage);
    expect(bench.events()).toEqual(['passed', 'passed', 'relocked', 'tailgated']);
    expect(bench.alarms()).toEqual(['tailgated']);
    bench.advance(10_000);
    expect(bench.alarms()).toEqual([]);
  });

  it('tells of everybody granted who did not pass', () => {
    const bench = new DoorBench(gate);
    bench.feed(grant);
    bench.feed({ ...grant, tapId: 'b' });
    bench.feed(passage);
    bench.advance(5_500);
    const told = bench.log.flatMap(({ effect }) => (effect.kind === 'record' ? [effect] : []));
    expect(told.map(({ event, tapId }) => [event, tapId])).toEqual([
      ['passed', tapId],
      ['relocked', 'b'],
      ['granted-not-opened', 'b'],
    ]);
  });

  it('lets pass who was in it when its time was over', () => {
    const bench = new DoorBench(gate);
    bench.feed(grant);
    bench.advance(5_200);
    bench.feed(passage);
    bench.advance(1_000);
    expect(bench.events()).toEqual(['relocked', 'passed']);
  });

  it('never closes on somebody, and alarms when it is kept open', () => {
    const bench = new DoorBench({ ...gate, obstructedAfterMs: 15_000 });
    bench.feed(grant);
    bench.feed({ kind: 'obstruction', active: true });
    bench.advance(19_999);
    expect(bench.alarms()).toEqual([]);
    bench.advance(60_000);
    expect(bench.locked()).toBe(false);
    expect(bench.alarms()).toEqual(['obstructed']);
    bench.feed({ kind: 'obstruction', active: false });
    expect(bench.locked()).toBe(true);
    expect(bench.alarms()).toEqual([]);
  });

  it('closes at once behind somebody who leaves the obstruction after passing', () => {
    const bench = new DoorBench(gate);
    bench.feed(grant);
    bench.feed({ kind: 'obstruction', active: true });
    bench.feed(passage);
    expect(bench.locked()).toBe(false);
    bench.feed({ kind: 'obstruction', active: false });
    expect(bench.locked()).toBe(true);
  });

  it('forces no opening after everybody has passed', () => {
    const bench = closedDoor({ passage: 'fitted' });
    bench.feed(grant);
    bench.advance(5_100);
    bench.feed(passage);
    expect(bench.state.leaf).toEqual({ kind: 'closed' });
    bench.feed(open);
    expect(bench.alarms()).toEqual(['forced-open']);
  });

  it('awaits nobody any more once the leaf opened late has closed without a passage', () => {
    const bench = closedDoor({ passage: 'fitted' });
    bench.feed(grant);
    bench.advance(5_100);
    bench.feed(open);
    bench.advance(1_000);
    bench.feed(closed);
    bench.advance(700);
    expect(bench.events().at(-1)).toBe('granted-not-opened');
    bench.feed({ ...grant, tapId: 'b' });
    bench.feed(passage);
    bench.feed(passage);
    expect(bench.alarms()).toEqual(['tailgated']);
  });

  it('tells who opened late and passes through the leaf still open', () => {
    const bench = closedDoor({ passage: 'fitted' });
    bench.feed(grant);
    bench.advance(5_100);
    bench.feed(open);
    bench.advance(2_000);
    bench.feed(passage);
    bench.feed(closed);
    bench.advance(1_000);
    expect(bench.events()).toEqual(['relocked', 'opened', 'passed', 'closed']);
  });

  it.each<[string, Parameters<typeof closedDoor>[0], number, boolean]>([
    ['just after the strike has locked', {}, 5_100, false],
    ['through the leaf still open', {}, 4_000, true],
    ['by the handle', { exitRequest: 'shunt' }, 1_000, true],
  ])('lets out whoever asked, %s', (_, settings, afterMs, opens) => {
    const bench = closedDoor({ passage: 'fitted', ...settings });
    bench.feed({ kind: 'exit-request', pressed: true });
    bench.feed({ kind: 'exit-request', pressed: false });
    bench.advance(afterMs);
    if (opens) bench.feed(open);
    bench.advance(opens ? 2_000 : 0);
    bench.feed(passage);
    expect(bench.alarms()).toEqual([]);
    expect(bench.events().at(-1)).toBe('passed');
  });

  it('lets out whoever asks without calling it tailgating', () => {
    const bench = new DoorBench(gate);
    bench.feed({ kind: 'exit-request', pressed: true });
    bench.feed(passage);
    expect(bench.events()).toEqual(['exit-request', 'passed']);
    expect(bench.alarms()).toEqual([]);
  });
});
