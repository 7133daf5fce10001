import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Reading } from '#core/card/reading.ts';
import { Fault } from '#core/fault.ts';
import { doorRules } from '../policy-slices.ts';
import { Bench, noon, reading } from './terminal-fixture.ts';

describe('a card held up', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = new Bench();
    bench.permit(reading.userNumber);
    await bench.terminal.start();
    await bench.settle();
    bench.strikes.length = 0;
  });
  afterEach(async () => {
    await bench.terminal.stop();
  });
  const opened = () => bench.strikes.filter(({ locked }) => !locked);

  it('opens the door for the strike time, with the decision durable before the strike moves', async () => {
    const card = await bench.tap();
    expect(bench.locked()).toBe(false);
    const decided = bench.journal.records.findIndex(({ kind }) => kind === 'decision');
    expect(opened()).toHaveLength(1);
    expect(opened()[0]).toMatchObject({ cause: card.tapId, door: 'door-1' });
    expect(opened()[0]?.durable).toBeGreaterThan(decided);
    expect(bench.journal.records.map(({ kind, tapId }) => (tapId === card.tapId ? kind : ''))).toEqual(
      expect.arrayContaining(['decision', 'actuation']),
    );
    expect(card.ended).toBe(1);
    await bench.clock.advanceAsync(5_000);
    expect(bench.locked()).toBe(true);
    expect(bench.shown.slice(-3)).toEqual(['idle', 'granted', 'idle']);
  });

  it('shows that a card is being read when that takes a moment', async () => {
    bench.claim();
    await bench.clock.advanceAsync(49);
    expect(bench.shown).not.toContain('reading');
    await bench.clock.advanceAsync(1);
    expect(bench.shown.at(-1)).toBe('reading');
    await bench.tap({ kind: 'removed' });
    expect(bench.shown.at(-1)).toBe('hold-again');
    await bench.clock.advanceAsync(3_000);
    expect(bench.shown.at(-1)).toBe('idle');
  });

  it('keeps the user number out of everything but the erasable field', async () => {
    await bench.tap();
    const record = bench.journal.records.find(({ kind }) => kind === 'decision');
    expect(record?.personal).toEqual({ userNumber: reading.userNumber, diversifier: reading.diversifier });
    expect(JSON.stringify(bench.journal.records.map(({ personal: _, ...rest }) => rest))).not.toContain(
      'A000000001',
    );
  });

  it('does not open before the journal entry is on disk, however long that takes, and not at all when too late', async () => {
    let release = () => {};
    bench.journal.gate = new Promise((resolve) => {
      release = resolve;
    });
    await bench.tap();
    await bench.clock.advanceAsync(2_000);
    expect(bench.locked()).toBe(true);
    release();
    await bench.settle();
    expect(bench.locked()).toBe(false);

    bench.journal.gate = new Promise((resolve) => {
      release = resolve;
    });
    await bench.tap({ kind: 'reading', reading }, 'reader-2');
    await bench.clock.advanceAsync(6_000);
    release();
    await bench.settle();
    expect(bench.locked('door-2')).toBe(true);
    expect(bench.journal.records.at(-1)?.body).toMatchObject({ result: 'not-opened', reason: 'too-late' });
  });

  it('opens nothing while the disk is full, records what happened once there is space, and then opens again', async () => {
    bench.journal.fault = new Fault('journal-full', 'no space');
    await bench.tap();
    expect(bench.locked()).toBe(true);
    expect(bench.shown).toContain('fault');
    bench.journal.fault = undefined;
    await bench.clock.advanceAsync(1_000);
    expect(bench.decisions()).toEqual([
      expect.objectContaining({ result: 'denied', reason: 'fault', fault: 'journal-full' }),
    ]);
    await bench.tap();
    expect(bench.locked()).toBe(false);
  });

  it('serves the exit request while the disk is full, and records it afterwards', async () => {
    bench.journal.fault = new Fault('journal-full', 'no space');
    bench.doors.get('door-1')?.pressExit(true);
    await bench.settle();
    expect(bench.locked()).toBe(false);
    bench.journal.fault = undefined;
    await bench.clock.advanceAsync(1_000);
    expect(bench.journal.records.map(({ body }) => body.event)).toContain('exit-request');
  });

  it.each([
    [{ kind: 'unknown-card' }, 'unknown-card'],
    [{ kind: 'timeout' }, 'card-silent'],
    [{ kind: 'too-slow', exchanges: 3, cardUs: 2_900_000 }, 'reading-too-slow'],
    [{ kind: 'refused', fault: { code: 'key-unavailable', message: 'no' } }, 'fault'],
    [{ kind: 'refused', fault: { code: 'user-number-format', message: 'no' } }, 'card-refused'],
    [{ kind: 'refused', fault: { code: 'card-authentication-failed', message: 'no' } }, 'card-refused'],
    [{ kind: 'refused', fault: { code: 'reader-virtual', message: 'no' } }, 'reader-virtual'],
  ] as const)('denies %j', async (outcome, reason) => {
    const card = await bench.tap(outcome);
    expect(bench.decisions()).toEqual([expect.objectContaining({ result: 'denied', reason })]);
    expect(opened()).toEqual([]);
    expect(card.ended).toBe(1);
  });

  it.each(['card-key-missing', 'card-key-version'] as const)(
    'denies a card that is refused with %s, shows no fault, and records the key it names',
    async (code) => {
      const namedKey = { profileId: 'type-a', keyVersion: 7 };
      await bench.tap({ kind: 'refused', fault: { code, message: 'no' }, namedKey });
      expect(bench.shown.at(-1)).toBe('denied');
      expect(bench.decisions()).toEqual([
        expect.objectContaining({
          reason: 'card-key-missing',
          fault: code,
          namedKey: { profile: 'type-a', keyVersion: 7 },
        }),
      ]);
    },
  );

  it('shows a fault when no card has keys', async () => {
    await bench.tap({ kind: 'refused', fault: { code: 'key-unavailable', message: 'no vault' } });
    expect(bench.shown.at(-1)).toBe('fault');
    expect(bench.decisions()).toEqual([
      expect.objectContaining({ reason: 'fault', fault: 'key-unavailable' }),
    ]);
  });

  it('records where the time went when the whole reading took too long, and asks to hold again', async () => {
    const card = bench.present({ kind: 'too-slow', exchanges: 3, cardUs: 2_900_000 });
    await bench.settle();
    expect(bench.shown.at(-1)).toBe('hold-again');
    const [entry, ...others] = bench.journal.records.filter(({ kind }) => kind === 'timing');
    expect(others).toEqual([]);
    expect(entry).toMatchObject({
      tapId: card.tapId,
      body: {
        event: 'deadline-exceeded',
        door: 'door-1',
        reader: 'r1',
        exchanges: 3,
        cardUs: 2_900_000,
        tookUs: expect.any(Number),
      },
    });
    await bench.tap({ kind: 'timeout' });
    expect(bench.shown.at(-1)).toBe('hold-again');
    expect(bench.journal.records.filter(({ kind }) => kind === 'timing')).toHaveLength(1);
  });

  it('asks to hold again when the card left too early: no denial', async () => {
    await bench.tap({ kind: 'removed' });
    expect(bench.decisions()).toEqual([expect.objectContaining({ result: 'hold-again' })]);
    expect(bench.shown.at(-1)).toBe('hold-again');
    await bench.clock.advanceAsync(3_000);
    expect(bench.shown.at(-1)).toBe('idle');
  });

  it('denies an unknown user number, and everybody while there is no policy', async () => {
    await bench.tap({ kind: 'reading', reading: { ...reading, userNumber: 'B1' } });
    bench.policy.installed = undefined;
    await bench.tap();
    expect(bench.decisions().map(({ reason }) => reason)).toEqual(['user-number-unknown', 'policy-absent']);
    expect(opened()).toEqual([]);
  });

  it('turns a fault of the policy into a journalled denial', async () => {
    bench.policy.fault = new Fault('database-invalid', 'torn');
    await bench.tap();
    expect(bench.decisions()).toEqual([
      expect.objectContaining({ reason: 'fault', fault: 'database-invalid' }),
    ]);
    expect(bench.locked()).toBe(true);
  });

  it('reports a strike that does not move', async () => {
    bench.doors.get('door-1')?.misbehave({ stuck: 'locked' });
    await bench.tap();
    await bench.clock.advanceAsync(1_000);
    const actuation = bench.journal.records.find(({ kind }) => kind === 'actuation');
    expect(actuation?.body).toMatchObject({ result: 'failed', fault: 'door-hardware-failed' });
    expect(bench.shown).toContain('fault');
  });

  it('says that the strike failed for as long as it says so, though the next card came meanwhile', async () => {
    bench.doors.get('door-1')?.misbehave({ stuck: 'locked', slowMs: 20 });
    await bench.tap();
    bench.claim();
    await bench.clock.advanceAsync(20);
    expect(bench.shown.at(-1)).toBe('fault');
    await bench.clock.advanceAsync(100);
    expect(bench.shown.at(-1)).toBe('fault');
    bench.doors.get('door-1')?.misbehave({});
    await bench.clock.advanceAsync(1_000);
  });

  it('raises forced open and held open as two different alarms', async () => {
    bench.doors.get('door-2')?.force();
    await bench.tap();
    bench.doors.get('door-1')?.push();
    await bench.clock.advanceAsync(31_000);
    const alarms = bench.journal.records
      .filter(({ kind }) => kind === 'alarm')
      .map(({ body }) => [body.door, body.alarm]);
    expect(alarms).toContainEqual(['door-2', 'forced-open']);
    expect(alarms).toContainEqual(['door-1', 'held-open']);
    expect(alarms).not.toContainEqual(['door-1', 'forced-open']);
  });

  it('answers two readers at once, each at its own door', async () => {
    bench.present({ kind: 'reading', reading });
    bench.present({ kind: 'unknown-card' }, 'reader-2');
    await bench.settle();
    expect([bench.locked('door-1'), bench.locked('door-2')]).toEqual([false, true]);
  });

  it('takes one card after the other at one reader', async () => {
    const first = bench.present({ kind: 'reading', reading });
    const second = bench.present({ kind: 'unknown-card' });
    await bench.settle();
    expect(bench.decisions().map(({ result }) => result)).toEqual(['granted', 'denied']);
    expect([first.ended, second.ended]).toEqual([1, 1]);
  });
});

describe('a card that says which one it is before it proves it', () => {
  const known = { profileId: 'type-a', userNumber: reading.userNumber, status: 'active' } as const;
  const { diversifier = '' } = reading;
  let bench: Bench;
  beforeEach(async () => {
    bench = new Bench();
    bench.permit(reading.userNumber, { card: { ...known, diversifier } });
    await bench.terminal.start();
    await bench.settle();
  });
  afterEach(async () => {
    await bench.terminal.stop();
  });

  it('has been looked up when it has proven it', async () => {
    bench.claim();
    await bench.tap();
    expect(bench.locked()).toBe(false);
    expect(bench.policy.queries).toEqual([]);
    await bench.tap();
    expect(bench.policy.queries).toHaveLength(1);
  });

  it.each<[string, Partial<Reading>]>([
    ['another user number', { userNumber: 'A000000002' }],
    ['another diversifier', { diversifier: 'FF' }],
    ['no diversifier', { diversifier: '' }],
    ['another profile', { profileId: 'type-d' }],
    ['another organization', { organization: 'elsewhere' }],
  ])('is decided on what it has proven: %s', async (_, proven) => {
    bench.policy.slices.set('A000000002', {
      rules: doorRules({ id: 'door-1' }),
      profileAdmitted: true,
      otherCards: false,
    });
    bench.claim();
    await bench.tap({ kind: 'reading', reading: { ...reading, ...proven } });
    expect(bench.policy.queries).toHaveLength(1);
    expect(bench.policy.queries[0]).toMatchObject({ userNumber: proven.userNumber ?? reading.userNumber });
  });

  it('is looked up again when its reading took long', async () => {
    bench.claim();
    await bench.clock.advanceAsync(501);
    bench.permit(reading.userNumber, { card: { ...known, diversifier, status: 'suspended' } });
    await bench.tap();
    expect(bench.locked()).toBe(true);
    expect(bench.decisions().at(-1)).toMatchObject({ result: 'denied', reason: 'card-suspended' });
  });

  it('is looked up again when the first look-up failed', async () => {
    bench.policy.fault = new Fault('database-invalid', 'test');
    bench.claim();
    await bench.settle();
    bench.policy.fault = undefined;
    await bench.tap();
    expect(bench.locked()).toBe(false);
  });

  it('is looked up again after a PIN', async () => {
    const rules = doorRules({ id: 'door-1', assurance: ['mutual-authentication', 'pin'] });
    bench.permit(reading.userNumber, { card: { ...known, diversifier }, rules });
    bench.claim();
    await bench.tap();
    expect([bench.shown.at(-1), bench.policy.queries.length]).toEqual(['pin-needed', 0]);
    bench.permit(reading.userNumber, { card: { ...known, diversifier, status: 'suspended' }, rules });
    for (const digit of [1, 2, 3, 4]) bench.pinPad.press(digit);
    bench.pinPad.enter();
    await bench.settle();
    expect(bench.decisions().at(-1)).toMatchObject({ reason: 'card-suspended' });
  });
});

describe('a door that demands a PIN', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = new Bench();
    bench.permit(reading.userNumber, {
      rules: doorRules({ id: 'door-1', assurance: ['mutual-authentication', 'pin'] }),
    });
    await bench.terminal.start();
    await bench.settle();
  });
  const enter = async (digits: string) => {
    for (const digit of digits) bench.pinPad.press(Number(digit));
    bench.pinPad.enter();
    await bench.settle();
  };

  it('keeps the session open, verifies the PIN and opens', async () => {
    const card = await bench.tap();
    expect([bench.pinPad.asking(), card.ended, bench.locked()]).toEqual([true, 0, true]);
    expect(bench.shown.at(-1)).toBe('pin-needed');
    await enter('1234');
    expect(card.pins.map((pin) => Buffer.from(pin).toString())).toEqual(['1234']);
    expect([card.ended, bench.locked()]).toEqual([1, false]);
    expect(bench.decisions()[0]?.card).toMatchObject({ assurance: expect.arrayContaining(['pin']) });
  });

  it('allows the holder the time of the PIN on top of the deadline', async () => {
    await bench.tap();
    await bench.clock.advanceAsync(15_000);
    await enter('1234');
    expect(bench.locked()).toBe(false);
  });

  it.each([
    [{ kind: 'wrong', triesLeft: 2 }, 'pin-wrong'],
    [{ kind: 'blocked' }, 'pin-blocked'],
    [{ kind: 'withheld', triesLeft: 1 }, 'pin-withheld'],
    [{ kind: 'timeout' }, 'card-silent'],
    [{ kind: 'refused', fault: { code: 'card-message-not-authentic', message: 'x' } }, 'card-refused'],
    [{ kind: 'verified', reading }, 'pin-unavailable'],
  ] as const)('denies when the card answers %j, after one try', async (pinOutcome, reason) => {
    const card = bench.present({ kind: 'reading', reading });
    card.pinOutcome = pinOutcome;
    await bench.settle();
    await enter('1234');
    expect(bench.decisions()).toEqual([expect.objectContaining({ result: 'denied', reason })]);
    expect([card.pins.length, bench.locked(), card.ended]).toEqual([1, true, 1]);
  });

  it('denies when nothing is entered in time, when cancelled, and where there is no pad', async () => {
    await bench.tap();
    await bench.clock.advanceAsync(20_000);
    await bench.tap();
    bench.pinPad.cancel();
    await bench.settle();
    await bench.tap({ kind: 'reading', reading }, 'reader-2');
    bench.pinPad.plug(false);
    await bench.tap();
    expect(bench.decisions().map(({ reason }) => reason)).toEqual([
      'pin-not-entered',
      'pin-not-entered',
      'pin-unavailable',
      'pin-unavailable',
    ]);
  });

  it('ends the question when the card is taken away: hold again, no PIN sent', async () => {
    const card = await bench.tap();
    bench.readers.events?.cardRemoved('reader-1');
    await bench.settle();
    expect(bench.decisions()).toEqual([expect.objectContaining({ result: 'hold-again' })]);
    expect([card.pins.length, card.ended, bench.pinPad.asking()]).toEqual([0, 1, false]);
  });

  it('goes on showing that a PIN is needed when the door relocks meanwhile', async () => {
    bench.permit('first');
    await bench.tap({ kind: 'reading', reading: { ...reading, userNumber: 'first' } });
    expect(bench.shown.at(-1)).toBe('granted');
    await bench.tap();
    await bench.clock.advanceAsync(6_000);
    expect([bench.locked(), bench.pinPad.asking(), bench.shown.at(-1)]).toEqual([true, true, 'pin-needed']);
    await enter('1234');
    expect(bench.shown.at(-1)).toBe('granted');
    await bench.clock.advanceAsync(6_000);
    expect(bench.shown.at(-1)).toBe('idle');
  });

  it('refuses a holder suspended while the PIN was typed', async () => {
    await bench.tap();
    bench.permit(reading.userNumber, { holder: { holderId: 'h', status: 'suspended', groups: ['staff'] } });
    await enter('1234');
    expect(bench.decisions()).toEqual([expect.objectContaining({ reason: 'holder-suspended' })]);
    expect(bench.locked()).toBe(true);
  });
});

describe('a terminal', () => {
  it('records a clock that stepped back and does not revive an expired holder by it', async () => {
    const bench = new Bench();
    bench.journal.knowsTime(noon);
    bench.clock.stepUtc(-86_400_000);
    bench.clock.trust(false);
    bench.permit(reading.userNumber, {
      holder: { holderId: 'h', status: 'active', groups: ['staff'], validUntilMs: noon - 3_600_000 },
    });
    await bench.terminal.start();
    await bench.tap();
    expect(bench.journal.records.map(({ kind }) => kind)).toContain('clock');
    expect(bench.decisions()).toEqual([expect.objectContaining({ reason: 'no-longer-valid' })]);
    await bench.terminal.stop();
  });

  it('starts with a full disk: locked, exit requests served, ready once there is space', async () => {
    const bench = new Bench();
    bench.permit(reading.userNumber);
    bench.journal.fault = new Fault('journal-full', 'no space');
    await bench.terminal.start();
    await bench.tap();
    expect(bench.locked()).toBe(true);
    bench.journal.fault = undefined;
    await bench.clock.advanceAsync(1_000);
    await bench.tap();
    expect(bench.locked()).toBe(false);
    expect(bench.journal.records.map(({ body }) => body.event)).toContain('started');
    await bench.terminal.stop();
  });

  it('opens the journal once, even when what it keeps is not told at first', async () => {
    const bench = new Bench();
    bench.permit(reading.userNumber);
    const { start, sharedFacts } = bench.journal;
    let starts = 0;
    bench.journal.start = () => {
      starts += 1;
      return starts === 1 ? start.call(bench.journal) : Promise.reject(new Error('started already'));
    };
    bench.journal.sharedFacts = () => Promise.reject(new Fault('journal-unwritable', 'no answer'));
    await bench.terminal.start();
    bench.journal.sharedFacts = sharedFacts;
    await bench.clock.advanceAsync(1_000);
    await bench.tap();
    expect(bench.locked()).toBe(false);
    await bench.terminal.stop();
  });

  it('records each step of a clock once, not every minute', async () => {
    const bench = new Bench();
    bench.journal.knowsTime(noon + 86_400_000);
    await bench.terminal.start();
    await bench.clock.advanceAsync(600_000);
    const steps = () => bench.journal.records.flatMap(({ kind, body }) => (kind === 'clock' ? [body] : []));
    expect(steps()).toEqual([{ event: 'stepped-back', byMs: 86_400_000 }]);
    bench.clock.stepUtc(2 * 86_400_000);
    await bench.clock.advanceAsync(60_000);
    await bench.tap();
    bench.clock.stepUtc(-86_400_000);
    await bench.clock.advanceAsync(120_000);
    expect(steps().slice(1)).toEqual([
      { event: 'stepped-forward', byMs: 2 * 86_400_000 },
      { event: 'stepped-back', byMs: 86_400_000 },
    ]);
    bench.clock.stepUtc(1_000);
    await bench.clock.advanceAsync(120_000);
    expect(steps()).toHaveLength(3);
    await bench.terminal.stop();
  });

  it('ends everything at stop though one part fails to, and leaves no timer behind', async () => {
    const bench = new Bench();
    let policyStopped = false;
    bench.policy.stop = async () => {
      policyStopped = true;
    };
    bench.journal.stop = () => Promise.reject(new Fault('journal-unwritable', 'no answer'));
    await bench.terminal.start();
    await bench.settle();
    await expect(bench.terminal.stop()).rejects.toMatchObject({ code: 'journal-unwritable' });
    expect(policyStopped).toBe(true);
    expect(bench.clock.pendingTimers()).toBe(0);
  });

  it('locks at stop without waiting for a disk that hangs, and opens nothing decided later', async () => {
    const bench = new Bench();
    bench.permit(reading.userNumber);
    await bench.terminal.start();
    bench.doors.get('door-1')?.pressExit(true);
    await bench.settle();
    let release = () => {};
    bench.journal.gate = new Promise((resolve) => {
      release = resolve;
    });
    await bench.tap();
    expect(bench.locked()).toBe(false);
    const stopped = bench.terminal.stop();
    await bench.settle();
    expect(bench.locked()).toBe(true);
    bench.journal.gate = undefined;
    release();
    await stopped;
    expect(bench.locked()).toBe(true);
    const actuation = bench.journal.records.find(({ kind }) => kind === 'actuation');
    expect(actuation?.body).toMatchObject({ result: 'failed' });
  });

  it('keeps no timer running for what is noted after the end', async () => {
    const bench = new Bench();
    await bench.terminal.start();
    const space = await bench.journal.space();
    let answer = () => {};
    bench.journal.space = () =>
      new Promise((resolve) => {
        answer = () => resolve({ ...space, level: 'critical' });
      });
    await bench.clock.advanceAsync(60_000);
    await bench.terminal.stop();
    bench.journal.fault = new Fault('journal-unwritable', 'not open');
    answer();
    await bench.clock.advanceAsync(10_000);
    expect(bench.clock.pendingTimers()).toBe(0);
  });

  it('does not start on a database it must not touch, with the doors locked', async () => {
    const bench = new Bench();
    bench.journal.fault = new Fault('database-newer', 'format 2');
    await expect(bench.terminal.start()).rejects.toMatchObject({ code: 'database-newer' });
    expect([bench.locked('door-1'), bench.locked('door-2')]).toEqual([true, true]);
  });

  it('locks and closes the journal at stop, even with a door unlocked and a PIN being asked for', async () => {
    const bench = new Bench();
    bench.permit(reading.userNumber);
    bench.permit('P', { rules: doorRules({ id: 'door-1', assurance: ['pin'] }) });
    await bench.terminal.start();
    await bench.tap();
    await bench.tap({ kind: 'reading', reading: { ...reading, userNumber: 'P' } });
    await bench.terminal.stop();
    expect([bench.locked(), bench.journal.stopped, bench.pinPad.asking()]).toEqual([true, true, false]);
    expect(bench.journal.records.at(-1)?.body.event).toBe('stopped');
  });

  it('shows a reader that is gone as a fault, and a virtual one as a standing alarm', async () => {
    const bench = new Bench();
    await bench.terminal.start();
    bench.readers.events?.readerChanged({ name: 'reader-1', state: 'absent', virtual: false });
    expect(bench.shown.at(-1)).toBe('fault');
    bench.readers.events?.readerChanged({ name: 'reader-1', state: 'ready', virtual: false });
    expect(bench.shown.at(-1)).toBe('idle');
    bench.readers.events?.readerChanged({ name: 'Virtual PCD 00 00', state: 'faulty', virtual: true });
    await bench.settle();
    bench.readers.events?.readerChanged({ name: 'Virtual PCD 00 00', state: 'absent', virtual: true });
    await bench.settle();
    const alarms = bench.journal.records.filter(({ body }) => body.alarm === 'reader-virtual');
    expect(alarms.map(({ body }) => body.on)).toEqual([true, false]);
    await bench.terminal.stop();
  });

  it('warns on the way to a full journal, once', async () => {
    const bench = new Bench();
    await bench.terminal.start();
    bench.journal.level = 'low';
    await bench.clock.advanceAsync(180_000);
    const alarms = bench.journal.records.filter(({ body }) => body.alarm === 'journal-space');
    expect(alarms.map(({ body }) => body.level)).toEqual(['low']);
    await bench.terminal.stop();
  });

  it('is alive while the way of a tap is answered in time, be it with a fault', async () => {
    const bench = new Bench();
    await bench.terminal.start();
    expect(await bench.terminal.checkAlive()).toBe(true);
    bench.journal.fault = new Fault('journal-unwritable', 'gone');
    expect(await bench.terminal.checkAlive()).toBe(true);
    bench.policy.version = () => new Promise(() => {});
    bench.journal.fault = undefined;
    const alive = bench.terminal.checkAlive();
    await bench.clock.advanceAsync(2_000);
    expect(await alive).toBe(false);
  });
});
