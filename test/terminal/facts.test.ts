import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fault } from '#core/fault.ts';
import { doorRules } from '../policy-slices.ts';
import { Bench, type BenchOptions, MemoryJournal, reading } from './terminal-fixture.ts';

type Rest = Parameters<typeof doorRules>[1];
type Door = Omit<Parameters<typeof doorRules>[0], 'id'>;

const passback: Rest = { zones: [{ id: 'yard' }, { id: 'lab', passback: { mode: 'hard' } }] };
const card = (userNumber: string) => ({ kind: 'reading' as const, reading: { ...reading, userNumber } });

/** A terminal whose first reader leads into the lab and whose second leads out of it. */
async function lab(rest: Rest = passback, door: Door = {}, options: BenchOptions = {}): Promise<Bench> {
  const bench = new Bench({ into: 'lab', ...options });
  for (const holder of ['h1', 'h2']) {
    bench.permit(holder, { rules: doorRules({ id: 'door-1', assurance: [], ...door }, rest) });
  }
  await bench.terminal.start();
  await bench.settle();
  return bench;
}

const results = (bench: Bench) => bench.decisions().map(({ result, reason }) => reason ?? result);
const countIn = (bench: Bench, zone: string) => bench.journal.facts.get('')?.get(`count/${zone}`);
const people = (count: number) => expect.objectContaining({ parts: [expect.objectContaining({ n: count })] });

describe('anti-passback', () => {
  it('grants one of two taps at the same moment, and the second waits until the first is recorded', async () => {
    const bench = await lab(passback, {}, { bothInto: true });
    const disk = Promise.withResolvers<void>();
    bench.journal.gate = disk.promise;
    bench.present(card('h1'), 'reader-1');
    bench.present(card('h1'), 'reader-2');
    bench.present(card('h2'), 'reader-2');
    await bench.settle();
    expect(results(bench)).toEqual([]);
    bench.journal.gate = undefined;
    disk.resolve();
    await bench.settle();
    expect(results(bench).toSorted()).toEqual(['already-inside', 'granted', 'granted']);
  });

  it('counts for nothing what the disk does not take', async () => {
    const bench = await lab();
    bench.journal.fault = new Fault('journal-full', 'full');
    await bench.tap(card('h1'));
    expect(bench.locked()).toBe(true);
    bench.journal.fault = undefined;
    await bench.tap(card('h1'));
    await bench.tap(card('h1'));
    await bench.clock.advanceAsync(1_000);
    expect(results(bench).toSorted()).toEqual(['already-inside', 'fault', 'granted']);
  });

  it('outlasts a restart', async () => {
    const bench = await lab();
    await bench.tap(card('h1'));
    await bench.terminal.stop();
    const { journal } = bench;
    journal.records.length = 0;
    const again = await lab(passback, {}, { journal });
    await again.tap(card('h1'));
    await again.tap(card('h2'));
    expect(results(again)).toEqual(['already-inside', 'granted']);
  });

  it('holds for a card that was looked up before another reader let its holder in', async () => {
    const bench = await lab();
    const diversifier = 'AA';
    bench.permit('h1', {
      rules: doorRules({ id: 'door-1', assurance: [] }, passback),
      card: { profileId: 'type-a', userNumber: 'h1', status: 'active', diversifier },
    });
    const held = { ...reading, userNumber: 'h1', diversifier };
    bench.claim({ diversifier });
    await bench.settle();
    await bench.tap({ kind: 'reading', reading: { ...held, diversifier: 'BB' } }, 'reader-1');
    bench.claim({ diversifier });
    await bench.settle();
    await bench.tap({ kind: 'reading', reading: held });
    expect(results(bench)).toEqual(['granted', 'already-inside']);
  });

  it('forgets an entry when nobody went through, and counts whoever did', async () => {
    const bench = await lab();
    await bench.tap(card('h1'));
    bench.doors.get('door-1')?.push();
    bench.doors.get('door-1')?.close();
    await bench.clock.advanceAsync(60_000);
    await bench.tap(card('h2'));
    expect(countIn(bench, 'lab')).toEqual(people(2));
    await bench.clock.advanceAsync(60_000);
    expect(countIn(bench, 'lab')).toEqual(people(1));
    await bench.tap(card('h1'));
    await bench.tap(card('h2'));
    expect(results(bench)).toEqual(['granted', 'granted', 'already-inside', 'granted']);
  });

  it('forgets everybody whom one opening was meant for, when nobody went through', async () => {
    const bench = await lab();
    await bench.tap(card('h1'));
    await bench.tap(card('h2'));
    await bench.clock.advanceAsync(60_000);
    expect(countIn(bench, 'lab')).toEqual(people(0));
    await bench.tap(card('h1'));
    await bench.tap(card('h2'));
    expect(results(bench)).toEqual(['granted', 'granted', 'granted', 'granted']);
  });

  it('forgets both entries of a holder who taps twice and goes away', async () => {
    const soft: Rest = {
      zones: [{ id: 'yard' }, { id: 'lab', passback: { mode: 'soft' }, occupancy: { limit: 5 } }],
    };
    const bench = await lab(soft);
    await bench.tap(card('h1'));
    await bench.clock.advanceAsync(1_000);
    await bench.tap(card('h1'));
    await bench.clock.advanceAsync(60_000);
    expect(results(bench)).toEqual(['granted', 'granted']);
    expect(countIn(bench, 'lab')).toEqual(people(0));
    expect(bench.journal.facts.get('h1')?.has('at')).toBe(false);
  });

  it('takes back an entry whose strike failed', async () => {
    const bench = await lab();
    bench.doors.get('door-1')?.misbehave({ lineGone: true });
    await bench.tap(card('h1'));
    bench.doors.get('door-1')?.misbehave({});
    await bench.clock.advanceAsync(5_000);
    await bench.tap(card('h1'));
    expect(results(bench)).toEqual(['granted', 'granted']);
    expect(countIn(bench, 'lab')).toEqual(people(1));
  });
});

describe('other rules that remember', () => {
  it('two persons: the first is asked to wait for the next, who opens for both', async () => {
    const bench = await lab({}, { twoPerson: {} });
    await bench.tap(card('h1'));
    expect([bench.shown.at(-1), bench.locked()]).toEqual(['next-person', true]);
    await bench.tap(card('h1'));
    expect(bench.locked()).toBe(true);
    await bench.tap(card('h2'));
    expect(bench.locked()).toBe(false);
    expect(results(bench)).toEqual(['second-person', 'second-person', 'granted']);
  });

  it('duress: the card sees the PIN alone, the door opens, and staff is told', async () => {
    const bench = await lab({ duress: { digit: 9 } }, { assurance: ['pin'] }, { pinDigits: [4, 4] });
    const tapped = await bench.tap(card('h1'));
    const verified = { ...reading, userNumber: 'h1', assurance: [...reading.assurance, 'pin' as const] };
    tapped.pinOutcome = { kind: 'verified', reading: verified };
    for (const digit of [1, 2, 3, 4, 9]) bench.pinPad.press(digit);
    bench.pinPad.enter();
    await bench.settle();
    expect(tapped.pins.map((pin) => Buffer.from(pin).toString())).toEqual(['1234']);
    expect(bench.locked()).toBe(false);
    const alarms = bench.journal.records.filter(({ kind }) => kind === 'alarm').map(({ body }) => body.alarm);
    expect(alarms).toEqual(['duress']);
    expect(results(bench)).toEqual(['granted']);
  });

  it('duress: a digit too many that is another costs no try', async () => {
    const bench = await lab({ duress: { digit: 9 } }, { assurance: ['pin'] }, { pinDigits: [4, 4] });
    const tapped = await bench.tap(card('h1'));
    for (const digit of [1, 2, 3, 4, 8]) bench.pinPad.press(digit);
    bench.pinPad.enter();
    await bench.settle();
    expect(tapped.pins).toEqual([]);
    expect(results(bench)).toEqual(['pin-wrong']);
  });

  it('lock-out: too many failures at a reader refuse everybody there, and staff is told', async () => {
    const bench = await lab({ lockOut: { reader: { after: 2, reasons: ['unknown-card', 'pin-wrong'] } } });
    const lockOut = { lockOut: { reader: { after: 2, reasons: ['unknown-card' as const] } } };
    const rules = doorRules({ id: 'door-1' }, lockOut);
    bench.policy.slices.set('', { rules, profileAdmitted: false, otherCards: false });
    await bench.tap({ kind: 'unknown-card' });
    await bench.tap({ kind: 'unknown-card' });
    await bench.tap(card('h1'));
    await bench.tap(card('h1'), 'reader-2');
    await bench.clock.advanceAsync(61_000);
    await bench.tap(card('h1'));
    expect(results(bench)).toEqual(['unknown-card', 'unknown-card', 'locked-out', 'granted', 'granted']);
    const alarms = bench.journal.records.filter(({ kind }) => kind === 'alarm').map(({ body }) => body.alarm);
    expect(alarms).toContain('locked-out');
  });
});

type Step =
  | { readonly do: 'tap'; readonly reader: 1 | 2; readonly holder: 'h1' | 'h2'; readonly turns: number }
  | { readonly do: 'disk'; readonly state: 'works' | 'full' | 'hangs' }
  | { readonly do: 'push'; readonly door: 1 | 2 }
  | { readonly do: 'wait'; readonly ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('tap' as const),
      reader: fc.constantFrom(1 as const, 2 as const),
      holder: fc.constantFrom('h1' as const, 'h2' as const),
      turns: fc.integer({ min: 0, max: 1 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('disk' as const),
      state: fc.constantFrom('works' as const, 'works', 'full', 'hangs'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('push' as const), door: fc.constantFrom(1 as const, 2 as const) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(0, 1_000, 6_000, 30_000) }),
  },
);

describe('whatever happens in whatever order', () => {
  it('the facts on the disk are what the entries on it add up to: nothing twice, nothing forgotten', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 40 }), async (steps) => {
        const bench = await lab();
        // no disk takes two entries in one millisecond
        const append = bench.journal.append.bind(bench.journal);
        bench.journal.append = async (records) => {
          const head = await append(records);
          bench.clock.stepUtc(1);
          return head;
        };
        let release = (): void => undefined;
        const disk = (state: 'works' | 'full' | 'hangs') => {
          release();
          bench.journal.gate = undefined;
          bench.journal.fault = state === 'full' ? new Fault('journal-full', 'full') : undefined;
          if (state === 'hangs') {
            const gate = Promise.withResolvers<void>();
            bench.journal.gate = gate.promise;
            release = gate.resolve;
          }
        };
        for (const one of steps) {
          if (one.do === 'tap') {
            bench.present(card(one.holder), `reader-${one.reader}`);
            if (one.turns > 0) await bench.settle();
          } else if (one.do === 'disk') disk(one.state);
          else if (one.do === 'push') {
            bench.doors.get(`door-${one.door}`)?.push();
            bench.doors.get(`door-${one.door}`)?.close();
          } else await bench.clock.advanceAsync(one.ms);
        }
        disk('works');
        await bench.clock.advanceAsync(60_000);
        expectConsistent(bench);
        await bench.terminal.stop();
      }),
      { numRuns: 300 },
    );
  });
});

/** Retells the journal: each holder goes in and out by turns, and in the end is where the facts say. */
function expectConsistent({ journal }: Bench): void {
  const places = new Map<string, 'lab' | 'yard'>();
  const before = new Map<string, { holder: string; place: 'lab' | 'yard' | undefined }>();
  for (const { kind, tapId = '', body, personal } of journal.records) {
    if (kind === 'decision' && body.result === 'granted') {
      const holder = personal?.userNumber ?? '';
      const to = body.to === 'lab' ? 'lab' : 'yard';
      expect(places.get(holder), 'granted into where the holder is').not.toBe(to);
      before.set(tapId, { holder, place: places.get(holder) });
      places.set(holder, to);
    }
    const unused =
      body.event === 'granted-not-opened' || body.result === 'failed' || body.result === 'not-opened';
    const undone = unused ? before.get(tapId) : undefined;
    if (!undone) continue;
    const taps = [...before.keys()];
    const later = [...before].find(
      ([tap, { holder }]) => holder === undone.holder && taps.indexOf(tap) > taps.indexOf(tapId),
    );
    before.delete(tapId);
    // a later grant began where this one did not lead after all
    if (later) later[1].place = undone.place;
    else if (undone.place === undefined) places.delete(undone.holder);
    else places.set(undone.holder, undone.place);
  }
  for (const holder of ['h1', 'h2']) {
    const at = journal.facts.get(holder)?.get('at') as { zone: string | null } | undefined;
    expect(at?.zone).toBe(places.get(holder));
  }
  const inside = [...places.values()].filter((place) => place === 'lab').length;
  const count = journal.facts.get('')?.get('count/lab') as { parts: { n: number }[] } | undefined;
  expect(count?.parts.reduce((sum, part) => sum + part.n, 0) ?? 0).toBe(inside);
}

describe('a journal that opens late', () => {
  const lockdown = {
    rules: [
      {
        when: { input: 'panel', is: 'on' as const },
        do: [{ condition: 'lockdown' as const, set: 'on' as const }],
      },
    ],
    inputs: ['panel'],
    outputs: [],
  };

  it('loses no lockdown declared meanwhile', async () => {
    const journal = new MemoryJournal();
    journal.fault = new Fault('journal-full', 'full');
    const bench = new Bench({ journal, hardware: ['input:panel'], settings: { automation: lockdown } });
    bench.permit('h1');
    await bench.terminal.start();
    bench.doors.get('input:panel')?.force();
    await bench.clock.advanceAsync(500);
    journal.fault = undefined;
    await bench.clock.advanceAsync(3_000);
    expect(journal.facts.get('')?.get('site/lockdown')).toEqual({});
    await bench.tap(card('h1'));
    expect(results(bench)).toEqual(['lockdown']);
  });

  it('keeps a lockdown whose entry was one too many for the memory, and tells of it with the loss', async () => {
    const journal = new MemoryJournal();
    const bench = new Bench({ journal, hardware: ['input:panel'], settings: { automation: lockdown } });
    await bench.terminal.start();
    await bench.settle();
    journal.fault = new Fault('journal-full', 'full');
    // two entries each way
    for (let told = 0; told < 10_000; told += 4)
      for (const active of [true, false]) bench.doors.get('door-1')?.tamper(active);
    bench.doors.get('input:panel')?.force();
    await bench.settle();
    journal.fault = undefined;
    await bench.clock.advanceAsync(3_000);
    expect(journal.records.at(-1)?.body).toMatchObject({ alarm: 'records-lost' });
    expect(journal.facts.get('')?.get('site/lockdown')).toEqual({});
    expect(journal.facts.get('')?.get('input/panel')).toBe(true);
  });

  it('decides no tap on facts not loaded yet, early look-up or not', async () => {
    const diversifier = 'AA';
    const journal = new MemoryJournal();
    journal.facts.set('', new Map([['site/evacuation', { zones: ['lab'] }]]));
    journal.fault = new Fault('journal-full', 'full');
    const bench = new Bench({ journal, into: 'lab' });
    bench.permit('h1', { card: { profileId: 'type-a', userNumber: 'h1', status: 'active', diversifier } });
    await bench.terminal.start();
    bench.claim({ diversifier });
    await bench.settle();
    journal.fault = undefined;
    await bench.tap({ kind: 'reading', reading: { ...reading, userNumber: 'h1', diversifier } });
    expect(results(bench)).toEqual(['evacuation']);
    expect(bench.locked()).toBe(true);
  });
});

describe('duress', () => {
  const threatened = async (spoil: (bench: Bench) => void) => {
    const bench = await lab(
      { duress: { digit: 9 } },
      { assurance: ['pin'] },
      {
        pinDigits: [4, 4],
        hardware: ['output:siren'],
        settings: {
          automation: {
            rules: [{ when: { event: 'duress' }, do: [{ output: 'siren', for: 60_000 }] }],
            inputs: [],
            outputs: ['siren'],
          },
        },
      },
    );
    bench.permit('A000000001', {
      rules: doorRules({ id: 'door-1', assurance: ['pin'] }, { duress: { digit: 9 } }),
    });
    await bench.tap();
    spoil(bench);
    for (const key of [1, 2, 3, 4, 9]) bench.pinPad.press(key);
    bench.pinPad.enter();
    await bench.clock.advanceAsync(7_000);
    bench.policy.fault = undefined;
    bench.journal.fault = undefined;
    await bench.clock.advanceAsync(5_000);
    const alarms = bench.journal.records.filter(
      ({ kind, body }) => kind === 'alarm' && body.alarm === 'duress',
    );
    return {
      outcome: results(bench),
      alarms: alarms.length,
      siren: bench.locked('output:siren') ? 'off' : 'on',
    };
  };

  it('is told though the tap ends too late', async () => {
    const late = await threatened((bench) => {
      const lookUp = bench.policy.lookUp.bind(bench.policy);
      bench.policy.lookUp = async (query) => {
        await new Promise<void>((resolve) => bench.clock.after(6_000, resolve));
        return lookUp(query);
      };
    });
    expect(late).toEqual({ outcome: ['too-late'], alarms: 1, siren: 'on' });
  });

  it('is told though the holder has been removed meanwhile', async () => {
    const removed = await threatened((bench) => bench.policy.slices.clear());
    expect(removed).toEqual({ outcome: ['user-number-unknown'], alarms: 1, siren: 'on' });
  });

  it.each([
    [
      'the disk takes no entry',
      (bench: Bench) => {
        bench.journal.fault = new Fault('journal-full', 'full');
      },
    ],
    [
      'the policy cannot be read',
      (bench: Bench) => {
        bench.policy.fault = new Fault('database-invalid', 'x');
      },
    ],
  ])('is told though %s', async (_, spoil) => {
    expect(await threatened(spoil)).toEqual({ outcome: ['fault'], alarms: 1, siren: 'on' });
  });
});

describe('failures', () => {
  it('that a rule finds count once', async () => {
    const bench = await lab({ lockOut: { reader: { after: 3, reasons: ['card-not-registered'] } } });
    const rules = doorRules(
      { id: 'door-1', assurance: [] },
      { lockOut: { reader: { after: 3, reasons: ['card-not-registered'] } } },
    );
    bench.permit('h3', { rules, otherCards: true, card: undefined, holder: undefined } as never);
    await bench.tap(card('h3'));
    await bench.tap(card('h3'));
    await bench.tap(card('h1'));
    expect(results(bench)).toEqual(['card-not-registered', 'card-not-registered', 'granted']);
  });
});

describe('a reader with a service', () => {
  it('asks for it with every tap, and the entry says so', async () => {
    const readers = [{ readerId: 'r1', readerName: 'reader-1', doorId: 'door-1', service: { id: 'vote' } }];
    const bench = await lab({ services: [{ id: 'vote', kind: 'once' }] }, {}, { settings: { readers } });
    await bench.tap(card('h1'));
    await bench.tap(card('h1'));
    expect(results(bench)).toEqual(['granted', 'already-admitted']);
    expect(bench.decisions()[0]).toMatchObject({ service: { id: 'vote' } });
  });
});

describe('what an entry says facts are about', () => {
  it('tells the second of two persons from the first', async () => {
    const bench = await lab(passback, { twoPerson: {} });
    await bench.tap(card('h1'));
    await bench.tap(card('h2'));
    const changes = bench.decisions()[1]?.changes as { key: string; about: string }[];
    expect(
      changes
        .filter(({ key }) => key === 'at')
        .map(({ about }) => about)
        .toSorted(),
    ).toEqual(['companion', 'holder']);
  });
});
