import { pino } from 'pino';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Decision, DenialReason } from '#core/access/decision.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { SiteBuilding } from '#simulators/site/site-building.ts';
import type { JournalEntryView, SiteEvent } from '#web/site/api.ts';

const basis = {
  policyVersion: 1,
  doorId: 'front',
  timeMs: 0,
  clock: 'trusted',
  demanded: [],
  path: [],
} as const;
const granted: Decision = { kind: 'granted', basis, obligations: {}, changes: [], alarms: [] };
const denied = (reason: DenialReason): Decision => ({
  kind: 'denied',
  reason,
  basis,
  changes: [],
  alarms: [],
});

let clock: SimulatedClock;
let done: string[];
let left: (() => void) | undefined;
let entries: JournalEntryView[];
let building: SiteBuilding;
let events: SiteEvent[];

const entry = (sequence: number): JournalEntryView => ({
  position: sequence,
  terminal: 'front',
  sequence,
  atMs: sequence,
  kind: 'door',
  hash: 'AB',
  body: {},
});
const reader = () => building.snapshot().readers[0];
const card = () => building.snapshot().cards[0];
const tap = (decision?: Decision) =>
  building.observe({
    kind: 'tap',
    tapId: 'tap',
    readerId: 'front-reader',
    doorId: 'front',
    outcome: decision ? 'reading' : 'removed',
    ...(decision && { decision }),
  });

beforeEach(() => {
  clock = new SimulatedClock({ utcMs: 1_800_000_000_000 });
  done = [];
  entries = [];
  events = [];
  const note = (what: string) => () => void done.push(what);
  building = new SiteBuilding({
    clock,
    log: pino({ level: 'silent' }),
    timeZone: 'Asia/Tokyo',
    link: { kind: 'direct', service: 'none' },
    plan: [
      {
        doorId: 'front',
        readerId: 'front-reader',
        deviceName: 'Virtual PCD 00 00',
        title: { ja: '正面玄関', en: 'Front' },
        demand: { ja: '', en: '' },
      },
    ],
    cards: ['valid', 'other'].map((cardId) => ({
      cardId,
      title: { ja: cardId, en: cardId },
      note: { ja: '', en: '' },
      methods: ['type-a'] as const,
      hue: 0,
    })),
    pinDigits: { minimumDigits: 4, maximumDigits: 4 },
    field: {
      put: (cardId, readerId, leaves) => {
        done.push(`put ${cardId} ${readerId}`);
        left = leaves;
      },
      take: (readerId) => void done.push(`take ${readerId}`),
    },
    people: new Map([
      [
        'front',
        {
          push: note('push'),
          holdOpen: note('hold'),
          force: note('force'),
          letClose: note('close'),
          pressExit: note('exit'),
        },
      ],
    ]),
    pads: new Map([['front-reader', { press: (key: string) => void done.push(`key ${key}`) }]]),
    rules: {
      current: () => ({ rules: 'schedule' as const, policyVersion: 1 }),
      install: async (rules) => ({ rules, policyVersion: 2 }),
    },
    journal: {
      position: ({ sequence }) => sequence,
      after: async (sequence, limit) => entries.filter((each) => each.sequence > sequence).slice(0, limit),
      before: async () => [],
      verify: async () => ({
        sound: true,
        entries: 0,
        signedThrough: 0,
        problems: [],
        tookMs: 0,
      }),
    },
    resetCards: async () => void done.push('reset'),
  });
  building.subscribe((event) => events.push(event));
});

describe('a card', () => {
  test('lies on one reader at a time, and a reader takes one card', () => {
    expect(building.hold('valid', 'front-reader')).toBe('done');
    expect(card()?.readerId).toBe('front-reader');
    expect(building.hold('valid', 'front-reader')).toBe('occupied');
    expect(building.hold('other', 'front-reader')).toBe('occupied');
    expect(building.hold('nobody', 'front-reader')).toBe('unknown');
    expect(building.hold('other', 'nowhere')).toBe('unknown');
    expect(building.take('valid')).toBe('done');
    expect(building.take('valid')).toBe('done');
    expect(building.take('nobody')).toBe('unknown');
    expect(done).toEqual(['put valid front-reader', 'take front-reader']);
  });

  test('goes back to the deck after the answer', () => {
    building.hold('valid', 'front-reader');
    tap(denied('holder-suspended'));
    expect(reader()?.verdict).toMatchObject({ kind: 'denied', reason: 'holder-suspended', cardId: 'valid' });
    clock.advance(1_799);
    expect(card()?.readerId).toBe('front-reader');
    clock.advance(1);
    expect(card()?.readerId).toBeNull();
    clock.advance(7_000);
    expect(reader()?.verdict).toBeNull();
  });

  test('held right after another keeps its own time', () => {
    building.hold('valid', 'front-reader');
    tap(granted);
    clock.advance(1_000);
    building.take('valid');
    building.hold('other', 'front-reader');
    clock.advance(1_000);
    expect(building.snapshot().cards[1]?.readerId).toBe('front-reader');
  });

  test('that tears itself away is in the deck at once and reads as hold again', () => {
    building.hold('valid', 'front-reader');
    left?.();
    tap();
    expect(card()?.readerId).toBeNull();
    expect(reader()?.verdict).toMatchObject({ kind: 'hold-again', cardId: null });
    expect(done).not.toContain('push');
  });
});

describe('the pin pad', () => {
  const ask = () =>
    building.observe({ kind: 'indication', readerId: 'front-reader', indication: 'pin-needed' });

  test('takes keys only while a PIN is asked for', () => {
    expect(building.pressKey('front-reader', '1')).toBe('not-asked');
    ask();
    expect(reader()?.verdict?.kind).toBe('pin-needed');
    for (const key of ['1', '2', '3'] as const) building.pressKey('front-reader', key);
    building.pressKey('front-reader', 'enter');
    expect(done).toEqual(['key 1', 'key 2', 'key 3']);
    building.pressKey('front-reader', '4');
    building.pressKey('front-reader', '5');
    expect(reader()?.pin).toMatchObject({ entered: 4 });
    building.pressKey('front-reader', 'enter');
    expect(done).toEqual(['key 1', 'key 2', 'key 3', 'key 4', 'key enter']);
    building.observe({ kind: 'indication', readerId: 'front-reader', indication: 'granted' });
    expect(reader()?.pin).toBeNull();
    expect(building.pressKey('nowhere', '1')).toBe('unknown');
  });

  test('digits reach no page', () => {
    ask();
    events.length = 0;
    for (const key of ['7', '7', '7', '7'] as const) building.pressKey('front-reader', key);
    expect(events).toHaveLength(4);
    expect(JSON.stringify(events)).not.toContain('7');
  });

  test('a card whose PIN is asked for stays on the reader', () => {
    building.hold('valid', 'front-reader');
    ask();
    clock.advance(60_000);
    expect(card()?.readerId).toBe('front-reader');
  });
});

describe('the door', () => {
  test.each([
    ['locked', true, { strike: 'locked', contact: 'closed', alarm: 'none' }],
    ['unlocked', false, { strike: 'unlocked', contact: 'closed', alarm: 'none' }],
    ['open', false, { strike: 'unlocked', contact: 'open', alarm: 'none' }],
    ['open', true, { strike: 'locked', contact: 'open', alarm: 'none' }],
    ['held-open', true, { strike: 'locked', contact: 'open', alarm: 'held-open' }],
    ['forced-open', true, { strike: 'locked', contact: 'open', alarm: 'forced-open' }],
  ])('%s (locked: %s) shows as it is', (state, locked, view) => {
    building.observe({ kind: 'door', doorId: 'front', state, locked });
    expect(building.snapshot().doors[0]).toMatchObject(view);
  });

  test('what a person there does reaches it', async () => {
    for (const action of ['push', 'hold', 'force', 'close', 'exit'] as const) {
      expect(await building.visit('front', action)).toBe('done');
    }
    expect(done).toEqual(['push', 'hold', 'force', 'close', 'exit']);
    expect(await building.visit('nowhere', 'push')).toBe('unknown');
  });
});

test('the journal appears entry by entry, each once, in order', async () => {
  const appeared = new Promise<void>((resolve) => {
    building.subscribe((event) => {
      if (event.type === 'journal' && event.entry.sequence === 3) resolve();
    });
  });
  const follow = (sequence: number) =>
    building.observe({
      kind: 'journal',
      head: { terminal: 'site', incarnation: 'one', sequence, hash: 'AB' },
    });
  entries = [entry(1), entry(2)];
  follow(2);
  entries = [...entries, entry(3)];
  follow(3);
  follow(3);
  await appeared;
  const shown = events.flatMap((event) => (event.type === 'journal' ? [event.entry.sequence] : []));
  expect(shown).toEqual([1, 2, 3]);
  expect(building.snapshot().journal.map((each) => each.sequence)).toEqual([1, 2, 3]);
});

test('rules change one at a time', async () => {
  const first = building.installRules('always');
  expect(await building.installRules('never')).toBe('busy');
  expect(await first).toBe('done');
  expect(events).toEqual([{ type: 'rules', rules: { rules: 'always', policyVersion: 2 } }]);
});

test('a new deck takes every card back first', async () => {
  building.hold('valid', 'front-reader');
  expect(await building.resetDeck()).toBe('done');
  expect(done).toEqual(['put valid front-reader', 'take front-reader', 'reset']);
  expect(card()?.readerId).toBeNull();
});
