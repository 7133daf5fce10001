import { describe, expect, it } from 'vitest';
import { doorStateName } from '#core/access/door-state.ts';
import { limitMarginMs } from '#core/access/door-turn.ts';
import { DoorBench } from './door-bench.ts';

const tapId = 'a'.repeat(32);
const fault = { code: 'door-hardware-failed', message: 'test' } as const;

function closedDoor(settings: ConstructorParameters<typeof DoorBench>[0] = {}): DoorBench {
  const bench = new DoorBench(settings);
  bench.feed({ kind: 'contact', open: false });
  return bench;
}
const open = { kind: 'contact', open: true } as const;
const closed = { kind: 'contact', open: false } as const;
const grant = { kind: 'grant', openMs: 5_000, tapId } as const;

describe('a grant', () => {
  it('unlocks with the tap as cause and a limit beyond its own time', () => {
    const bench = closedDoor();
    const [first] = bench.feed(grant);
    expect(first).toEqual({ kind: 'unlock', limitMs: 5_000 + limitMarginMs, cause: tapId });
  });

  it('relocks as soon as the door has opened and closed', () => {
    const bench = closedDoor();
    bench.feed(grant);
    bench.advance(800);
    bench.feed(open);
    bench.advance(1_000);
    expect(bench.locked()).toBe(false);
    bench.feed(closed);
    bench.advance(200);
    expect(bench.locked()).toBe(true);
    expect(bench.events()).toEqual(['opened', 'closed', 'relocked']);
    expect(bench.timers.size).toBe(0);
  });

  it('relocks at strike time while the door stands open, and closing it then is silent', () => {
    const bench = closedDoor();
    bench.feed(grant);
    bench.feed(open);
    bench.advance(5_000);
    expect(bench.locked()).toBe(true);
    expect(doorStateName(bench.state)).toBe('open');
    bench.feed(closed);
    bench.advance(200);
    expect(bench.events()).toEqual(['opened', 'relocked', 'closed']);
    expect(bench.alarms()).toEqual([]);
  });

  it('relocks on opening where the door is set so', () => {
    const bench = closedDoor({ relock: 'on-open' });
    bench.feed(grant);
    bench.feed(open);
    expect(bench.locked()).toBe(true);
    expect(bench.events()).toEqual(['opened', 'relocked']);
  });

  it('is recorded as not opened when nobody opens', () => {
    const bench = closedDoor();
    bench.feed(grant);
    bench.advance(5_500);
    expect(bench.events()).toEqual(['relocked', 'granted-not-opened']);
    expect(bench.timers.size).toBe(0);
  });

  it('still counts when the leaf was already in the hand at the relock', () => {
    const bench = closedDoor();
    bench.feed(grant);
    bench.advance(5_200);
    bench.feed(open);
    expect(bench.events()).toEqual(['relocked', 'opened']);
    expect(bench.alarms()).toEqual([]);
  });

  it('is not shortened by a shorter one after it', () => {
    const bench = closedDoor();
    bench.feed({ ...grant, openMs: 30_000 });
    bench.advance(1_000);
    bench.feed(grant);
    bench.advance(28_000);
    expect(bench.locked()).toBe(false);
  });

  it('extends an open door: the held-open time begins again, and closing does not cut it short', () => {
    const bench = closedDoor();
    bench.feed(grant);
    bench.feed(open);
    bench.advance(28_000);
    bench.feed(grant);
    expect(bench.alarms()).toEqual([]);
    bench.advance(3_000);
    expect(bench.events()).not.toContain('held-open');
    bench.feed(closed);
    bench.advance(500);
    expect(bench.locked()).toBe(false);
    bench.advance(1_500);
    expect(bench.locked()).toBe(true);
  });

  it('ends a held-open alarm with its own record', () => {
    const bench = closedDoor();
    bench.feed(grant);
    bench.feed(open);
    bench.advance(30_000);
    expect(bench.alarms()).toEqual(['held-open']);
    bench.feed(grant);
    expect(bench.alarms()).toEqual([]);
    expect(bench.events().at(-1)).toBe('held-open-ended');
  });
});

describe('forced open and held open', () => {
  it('forced: opened while locked; its alarm ends with the closing, each with its record', () => {
    const bench = closedDoor();
    bench.feed(open);
    expect(bench.events()).toEqual(['forced-open']);
    expect(bench.alarms()).toEqual(['forced-open']);
    bench.advance(120_000);
    expect(bench.events()).toEqual(['forced-open']);
    bench.feed(closed);
    bench.advance(200);
    expect(bench.events()).toEqual(['forced-open', 'closed', 'forced-open-ended']);
    expect(bench.alarms()).toEqual([]);
  });

  it('held: opened with a grant, open too long; warned first', () => {
    const bench = closedDoor();
    bench.feed(grant);
    bench.feed(open);
    bench.advance(20_000);
    expect(bench.alarms()).toEqual(['held-open-pre-alarm']);
    bench.advance(10_000);
    expect(bench.alarms()).toEqual(['held-open']);
    bench.feed(closed);
    bench.advance(200);
    expect(bench.events()).toEqual([
      'opened',
      'relocked',
      'held-open-pre-alarm',
      'held-open',
      'closed',
      'held-open-ended',
    ]);
    expect(bench.alarms()).toEqual([]);
  });

  it('alarms without a warning where none is wanted', () => {
    const bench = closedDoor({ preAlarmMs: 0 });
    bench.feed(grant);
    bench.feed(open);
    bench.advance(30_000);
    expect(bench.events()).not.toContain('held-open-pre-alarm');
    expect(bench.alarms()).toEqual(['held-open']);
  });

  it('a contact that bounces makes one opening, one closing and no alarm', () => {
    const bench = closedDoor();
    bench.feed(grant);
    for (const input of [open, closed, open, closed, open]) {
      bench.feed(input);
      bench.advance(20);
    }
    bench.advance(1_000);
    for (const input of [closed, open, closed, open, closed]) {
      bench.feed(input);
      bench.advance(20);
    }
    bench.advance(10_000);
    expect(bench.events()).toEqual(['opened', 'closed', 'relocked']);
  });

  it('a door open at start is neither forced nor opened by anybody, but may be held too long', () => {
    const bench = new DoorBench();
    bench.feed(open);
    expect(bench.events()).toEqual(['open-at-start']);
    bench.advance(30_000);
    expect(bench.alarms()).toEqual(['held-open']);
  });

  it('a door without a contact has no alarm of its leaf and relocks at strike time', () => {
    const bench = new DoorBench({ contact: 'none' });
    bench.feed(open);
    bench.feed(grant);
    bench.advance(60_000);
    expect(bench.events()).toEqual(['relocked']);
    expect(bench.timers.size).toBe(0);
  });

  it('a grant on a forced door unlocks and leaves the alarm', () => {
    const bench = closedDoor();
    bench.feed(open);
    bench.feed(grant);
    expect(bench.locked()).toBe(false);
    expect(bench.alarms()).toEqual(['forced-open']);
  });
});

describe('an exit request', () => {
  it('unlocks before it is recorded and keeps an opening from alarming', () => {
    const bench = closedDoor();
    const effects = bench.feed({ kind: 'exit-request', pressed: true });
    expect(effects[0]?.kind).toBe('unlock');
    bench.feed({ kind: 'exit-request', pressed: false });
    bench.feed(open);
    expect(bench.events()).toEqual(['exit-request', 'opened']);
    expect(bench.alarms()).toEqual([]);
  });

  it('unlocks during a fault, and again when the hardware comes back while it is pressed', () => {
    const bench = closedDoor();
    bench.feed({ kind: 'fault', fault });
    bench.answering = false;
    bench.feed({ kind: 'exit-request', pressed: true });
    bench.unanswered.length = 0;
    bench.feed({ kind: 'actuation-failed', command: 'unlock', fault });
    bench.unanswered.length = 0;
    bench.feed({ kind: 'actuation-failed', command: 'lock', fault });
    expect(bench.locked()).toBe(true);
    bench.feed({ kind: 'recovered' });
    bench.advance(500);
    expect(bench.commands()).toEqual(['unlock', 'lock', 'unlock']);
  });

  it('keeps the strike unlocked while pressed, until it counts as stuck', () => {
    const bench = closedDoor({ exitMs: 5_000, exitStuckAfterMs: 60_000 });
    bench.feed({ kind: 'exit-request', pressed: true });
    bench.advance(59_000);
    expect(bench.locked()).toBe(false);
    bench.advance(6_000);
    expect(bench.locked()).toBe(true);
    expect(bench.alarms()).toEqual(['exit-request-stuck']);
    bench.feed({ kind: 'exit-request', pressed: false });
    expect(bench.alarms()).toEqual([]);
    bench.feed({ kind: 'exit-request', pressed: true });
    expect(bench.locked()).toBe(false);
  });

  it('goes on unlocking though stuck, with its alarm, where that is wanted', () => {
    const bench = closedDoor({ exitStuck: 'unlock' });
    bench.feed({ kind: 'exit-request', pressed: true });
    bench.advance(600_000);
    expect(bench.locked()).toBe(false);
    expect(bench.alarms()).toEqual(['exit-request-stuck']);
    bench.feed({ kind: 'exit-request', pressed: false });
    bench.advance(5_000);
    expect(bench.locked()).toBe(true);
  });

  it('though stuck unlocks in an emergency, from its beginning to its end', () => {
    const bench = closedDoor();
    bench.feed({ kind: 'exit-request', pressed: true });
    bench.advance(70_000);
    expect(bench.locked()).toBe(true);
    bench.feed({ kind: 'mode', mode: { kind: 'normal' }, emergency: true });
    expect(bench.locked()).toBe(false);
    bench.advance(600_000);
    expect(bench.locked()).toBe(false);
    bench.feed({ kind: 'mode', mode: { kind: 'normal' }, emergency: false });
    bench.advance(5_000);
    expect(bench.locked()).toBe(true);
    bench.feed({ kind: 'exit-request', pressed: false });
    bench.feed({ kind: 'mode', mode: { kind: 'lockdown' }, emergency: true });
    bench.feed({ kind: 'exit-request', pressed: true });
    bench.advance(70_000);
    expect(bench.locked()).toBe(false);
  });

  it('repeated by a motion sensor makes one entry a passage', () => {
    const bench = closedDoor();
    for (let press = 0; press < 20; press += 1) {
      bench.feed({ kind: 'exit-request', pressed: true });
      bench.feed({ kind: 'exit-request', pressed: false });
      bench.advance(300);
    }
    expect(bench.events()).toEqual(['exit-request']);
  });

  it('repeated under a longer grant begins that anew never, and has its own time after it', () => {
    const bench = closedDoor({ exitMs: 5_000 });
    const press = (): void => {
      bench.feed({ kind: 'exit-request', pressed: true });
      bench.feed({ kind: 'exit-request', pressed: false });
    };
    bench.feed({ kind: 'grant', tapId: 'slow', openMs: 60_000 });
    for (let pressed = 0; pressed < 59; pressed += 1) {
      bench.advance(1_000);
      press();
    }
    bench.advance(5_999);
    expect(bench.locked()).toBe(false);
    bench.advance(1);
    expect(bench.locked()).toBe(true);

    bench.feed({ kind: 'grant', tapId: 'slow', openMs: 60_000 });
    bench.advance(59_000);
    press();
    bench.advance(2_000);
    press();
    bench.advance(4_999);
    expect(bench.locked()).toBe(false);
    bench.advance(1);
    expect(bench.locked()).toBe(true);
  });

  it('never shows a green light outside', () => {
    const bench = closedDoor();
    bench.feed({ kind: 'exit-request', pressed: true });
    expect(bench.log.filter(({ effect }) => effect.kind === 'indicate')).toEqual([]);
  });
});

describe('hardware', () => {
  it('that locks by itself ends the release', () => {
    const bench = closedDoor();
    bench.feed(grant);
    bench.feed({ kind: 'strike', locked: true });
    expect(bench.locked()).toBe(true);
    expect(bench.events()).toEqual(['relocked-by-hardware']);
    expect([...bench.timers.keys()]).toEqual(['grace']);
  });

  it('that unlocks by itself is locked again and recorded', () => {
    const bench = closedDoor();
    bench.feed({ kind: 'strike', locked: false });
    expect(bench.commands()).toEqual(['lock']);
    expect(bench.events()).toEqual(['unlocked-unexpectedly']);
  });

  it('whose reading back is older than a command in flight is not believed', () => {
    const bench = closedDoor();
    bench.answering = false;
    bench.feed(grant);
    bench.feed({ kind: 'strike', locked: true });
    expect(bench.locked()).toBe(false);
    bench.feed({ kind: 'timer', timer: 'strike' });
    bench.feed({ kind: 'strike', locked: false });
    expect(bench.commands()).toEqual(['unlock', 'lock']);
  });

  it('that fails to unlock is locked again', () => {
    const bench = closedDoor();
    bench.answering = false;
    bench.feed(grant);
    bench.unanswered.length = 0;
    bench.answering = true;
    bench.feed({ kind: 'actuation-failed', command: 'unlock', fault });
    expect(bench.commands()).toEqual(['unlock', 'lock']);
    expect(bench.events()).toEqual(['unlock-failed', 'granted-not-opened']);
    expect(bench.locked()).toBe(true);
    expect(bench.timers.size).toBe(0);
  });

  it('that fails to lock is an alarm until it is read back locked', () => {
    const bench = closedDoor();
    bench.feed(grant);
    bench.answering = false;
    bench.advance(5_000);
    bench.unanswered.length = 0;
    bench.feed({ kind: 'actuation-failed', command: 'lock', fault });
    expect(bench.alarms()).toEqual(['lock-failed']);
    bench.feed({ kind: 'strike', locked: true });
    expect(bench.alarms()).toEqual([]);
  });

  it('that was lost while unlocked comes back locked; an opening meanwhile was the holder’s', () => {
    const bench = closedDoor();
    bench.feed(grant);
    bench.feed({ kind: 'fault', fault });
    bench.feed(open);
    bench.feed({ kind: 'recovered' });
    expect(bench.locked()).toBe(true);
    expect(bench.events()).toEqual(['fault', 'opened', 'relocked-by-hardware', 'recovered']);
    expect(bench.alarms()).toEqual([]);
  });

  it('an unlocking that failed is not tried again once nobody presses any more', () => {
    for (const gone of [
      { kind: 'exit-request', pressed: false },
      { kind: 'timer', timer: 'exit-stuck' },
    ] as const) {
      const bench = closedDoor();
      bench.answering = false;
      bench.feed({ kind: 'exit-request', pressed: true });
      bench.feed({ kind: 'actuation-failed', command: 'unlock', fault });
      bench.feed({ kind: 'recovered' });
      expect(bench.timers.has('strike')).toBe(true);
      bench.feed(gone);
      expect(bench.timers.has('strike')).toBe(false);
    }
  });

  it('tampered with is an alarm of its own', () => {
    const bench = closedDoor();
    bench.feed({ kind: 'tamper', active: true });
    bench.feed({ kind: 'tamper', active: true });
    expect(bench.alarms()).toEqual(['tamper']);
    bench.feed({ kind: 'tamper', active: false });
    expect(bench.events()).toEqual(['tamper', 'tamper-ended']);
    expect(bench.alarms()).toEqual([]);
  });
});

describe('the indication', () => {
  it('follows alarm, fault, grant in this order', () => {
    const bench = closedDoor();
    const shown = (): string | undefined =>
      bench.log.flatMap(({ effect }) => (effect.kind === 'indicate' ? [effect.indication] : [])).at(-1);
    bench.feed(grant);
    expect(shown()).toBe('granted');
    bench.feed({ kind: 'fault', fault });
    expect(shown()).toBe('fault');
    bench.feed({ kind: 'tamper', active: true });
    expect(shown()).toBe('alarm');
    bench.feed({ kind: 'tamper', active: false });
    bench.feed({ kind: 'recovered' });
    expect(shown()).toBe('idle');
  });
});
