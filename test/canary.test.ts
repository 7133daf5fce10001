import { randomBytes } from 'node:crypto';
import { Writable } from 'node:stream';
import { inspect } from 'node:util';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { doorSettingsSchema } from '#core/access/door-settings.ts';
import { checkCard } from '#core/card/conformance/check-card.ts';
import { CardSession } from '#core/card/session.ts';
import { TraceExplainer } from '#core/card/trace/explain.ts';
import { TraceRecorder } from '#core/card/trace/trace-recorder.ts';
import { DirectReaders } from '#simulators/card/direct-readers.ts';
import { TestKeys } from '#simulators/card/test-keys.ts';
import type { VirtualCard } from '#simulators/card/virtual-card.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { SimulatedDoor } from '#simulators/door/simulated-door.ts';
import { SimulatedDoorHardware } from '#simulators/door/simulated-hardware.ts';
import { SimulatedPinPad } from '#simulators/door/simulated-pin-pad.ts';
import { createTerminal, type Terminal } from '#terminal/terminal.ts';
import {
  canariesIn,
  canary,
  canaryKey,
  canaryNewPin,
  canaryPin,
  type Planted,
  plantedCards,
} from './canaries.ts';
import { powered } from './core/card/rig.ts';
import { doorRules } from './policy-slices.ts';
import { MemoryJournal, MemoryPolicy, noon } from './terminal/terminal-fixture.ts';

const keys = new TestKeys([canaryKey()]);
const cases = plantedCards.map((planted) => [planted.name, planted] as const);

test('the search finds a canary in every form that it looks for', () => {
  const secret = Buffer.from(canary.payload);
  const forms = [
    canary.payload,
    secret.toString('hex'),
    secret.toString('hex').toUpperCase(),
    secret.toString('base64'),
    inspect(secret),
    JSON.stringify(secret),
    JSON.stringify([...secret]),
    inspect({ nested: new Uint8Array(secret) }),
  ];
  // inspect shows the first 50 bytes of a buffer in pairs, and those of a Uint8Array as numbers over several lines
  for (const form of forms) expect(canariesIn(form.replaceAll(/\s+/g, ' ')), form).toEqual(['payload']);
  expect(canariesIn('nothing')).toEqual([]);
});

/** Everything a terminal puts out for an operator, with the log at its lowest level. */
class Overheard {
  readonly clock = new SimulatedClock({ utcMs: noon });
  readonly journal = new MemoryJournal();
  readonly policy = new MemoryPolicy(this.journal);
  readonly pinPad = new SimulatedPinPad({ clock: this.clock });
  readonly readers: DirectReaders;
  readonly terminal: Terminal;
  readonly #heard: string[] = [];

  constructor({ profile }: Planted) {
    const hear = (text: string) => this.#heard.push(text);
    const stream = new Writable({
      write: (chunk, _encoding, done) => {
        hear(String(chunk));
        done();
      },
    });
    const door = new SimulatedDoor({ id: 'door-1', clock: this.clock, record: () => undefined });
    this.readers = new DirectReaders({
      readers: [{ readerName: 'reader-1', profileIds: [profile.id] }],
      profiles: [profile],
      keys,
      entropy: { bytes: (length) => new Uint8Array(randomBytes(length)) },
      clock: this.clock,
    });
    this.terminal = createTerminal(
      {
        readers: this.readers,
        doors: new Map([
          ['door-1', new SimulatedDoorHardware({ line: door, after: this.clock.after.bind(this.clock) })],
        ]),
        indicators: new Map(),
        pinPads: new Map([['r1', this.pinPad]]),
        policy: this.policy,
        journal: this.journal,
        clock: this.clock,
        log: pino({ level: 'trace' }, stream),
        observe: (event) => hear(inspect(event, { depth: 10 })),
      },
      {
        terminalId: 'test',
        readers: [
          {
            readerId: 'r1',
            readerName: 'reader-1',
            doorId: 'door-1',
            timing: { mode: 'deny', factor: 3, limitUs: 1_000_000 },
          },
        ],
        doors: [{ doorId: 'door-1', settings: doorSettingsSchema.parse({}) }],
        pin: { timeoutMs: 20_000, digits: new Map([[profile.id, { minimumDigits: 4, maximumDigits: 8 }]]) },
        decisionDeadlineMs: 5_000,
        interlocks: [],
        automation: { rules: [], inputs: [], outputs: [] },
        virtualReaders: 'allowed',
      },
    );
  }

  permit(pin: boolean): void {
    this.policy.slices.set(canary.userNumber, {
      rules: doorRules({ id: 'door-1', assurance: pin ? ['pin'] : [] }),
      profileAdmitted: true,
      otherCards: false,
      card: { profileId: canaryKey().profileId, userNumber: canary.userNumber, status: 'active' },
      holder: { holderId: 'h', status: 'active', groups: ['staff'] },
    });
  }

  async tap(card: VirtualCard, pin?: string): Promise<void> {
    this.readers.insert('reader-1', card);
    await this.clock.advanceAsync(100);
    if (pin && this.pinPad.asking()) {
      for (const digit of pin) this.pinPad.press(Number(digit));
      this.pinPad.enter();
      await this.clock.advanceAsync(100);
    }
    this.readers.remove('reader-1');
    await this.clock.advanceAsync(10_000);
  }

  get output(): string {
    return this.#heard.join('\n');
  }
}

describe.each(cases)('%s', (_name, planted) => {
  let overheard: Overheard | undefined;
  afterEach(async () => {
    await overheard?.terminal.stop();
    overheard = undefined;
  });

  test('logs, events and the journal show nothing; the journal has the number in its own erasable field', async () => {
    const heard = new Overheard(planted);
    overheard = heard;
    await heard.terminal.start();
    const card = powered(planted.card);
    await heard.tap(card); // nobody knows it
    heard.permit(false);
    await heard.tap(card);
    heard.permit(true);
    await heard.tap(card, canary.pin);
    await heard.tap(card, canary.newPin); // wrong
    for (let exchange = 1; exchange <= 7; exchange += 1) {
      for (const fault of [
        { kind: 'removed', exchange },
        { kind: 'status', exchange, status: 0x6f00 },
        { kind: 'status', exchange, status: 0x9000 },
        { kind: 'flipped-bit', exchange, bit: 3 },
        { kind: 'flipped-bit', exchange, bit: 90 },
      ] as const) {
        card.misbehave(fault);
        await heard.tap(card, canary.pin);
        card.behave();
      }
    }
    const decisions = heard.journal.records.filter(({ kind }) => kind === 'decision');
    expect(decisions.map(({ body }) => body.result)).toEqual(
      expect.arrayContaining(['granted', 'denied', 'hold-again']),
    );
    expect(heard.output.length).toBeGreaterThan(1_000);
    expect(canariesIn(heard.output)).toEqual([]);
    for (const { personal, ...entry } of heard.journal.records) {
      expect(canariesIn(JSON.stringify(entry))).toEqual([]);
      const { userNumber, diversifier, ...others } = personal ?? {};
      expect(others).toEqual({});
      expect([undefined, canary.userNumber]).toContain(userNumber);
      if (diversifier !== undefined) expect(canariesIn(diversifier)).toEqual(['diversifier']);
    }
  });

  test('faults of the session, with their causes, show nothing', async () => {
    const outcomes: unknown[] = [];
    for (let exchange = 1; exchange <= 7; exchange += 1) {
      for (const bit of [0, 9, 64, 90, 130]) {
        const card = powered(planted.card);
        card.misbehave({ kind: 'flipped-bit', exchange, bit });
        const session = sessionOn(card, planted);
        const outcome = await session.read();
        outcomes.push(outcome.kind === 'reading' ? 'reading' : outcome);
        const verified = await session.verifyPin(canaryPin());
        outcomes.push(verified.kind === 'verified' ? 'verified' : verified);
        const changed = await session.changePin(canaryPin(), canaryNewPin());
        outcomes.push(changed);
      }
    }
    expect(canariesIn(inspect(outcomes, { depth: 20, maxArrayLength: null }))).toEqual([]);
  });

  test('what a key store says of its failure does not leave the session', async () => {
    const session = new CardSession({
      ...partsOn(powered(planted.card), planted),
      cardKeys: async () => {
        throw new Error(`cannot use ${canary.masterKey}`);
      },
    });
    const outcome = await session.read();
    expect(outcome.kind).toBe('refused');
    expect(canariesIn(inspect(outcome, { depth: 20 }))).toEqual([]);
  });

  test('traces and their explanations show nothing; kept ones at most the diversifier, which the keys need', async () => {
    const card = powered(planted.card);
    const parts = partsOn(card, planted);
    const { transmit, profiles, monotonicUs } = parts;
    const recorder = new TraceRecorder({ transmit, profiles, monotonicUs });
    const session = new CardSession({ ...parts, transmit: recorder.transmit });
    expect((await session.read()).kind).toBe('reading');
    if (planted.profile.pin) {
      expect((await session.changePin(canaryPin(), canaryNewPin())).kind).toBe('changed');
      card.reset();
      const next = new CardSession({ ...parts, transmit: recorder.transmit });
      expect((await next.read()).kind).toBe('reading');
      expect((await next.verifyPin(canaryNewPin())).kind).toBe('verified');
    }
    for (const protection of ['masked', 'kept'] as const) {
      const exchanges = recorder.exchanges(protection);
      const explainer = new TraceExplainer();
      const explained = exchanges.map((exchange) => explainer.explain(exchange));
      const shown = canariesIn(JSON.stringify({ exchanges, explained }));
      expect(shown).toEqual(protection === 'kept' ? ['diversifier'] : []);
    }
  });

  test('the conformance kit shows nothing', async () => {
    const card = powered(planted.card);
    const { cardKeys, monotonicUs, transmit } = partsOn(card, planted);
    const report = await checkCard({
      card: { transmit, reset: async () => card.reset() },
      profile: planted.profile,
      cardKeys,
      wrongKeys: true,
      randomBytes: (length) => new Uint8Array(randomBytes(length)),
      monotonicUs,
    });
    expect(report.findings.filter(({ verdict }) => verdict === 'fails')).toEqual([]);
    expect(canariesIn(JSON.stringify(report))).toEqual([]);
  });
});

function partsOn(card: VirtualCard, { profile }: Planted) {
  return {
    transmit: (command: Uint8Array) => card.transmit(command),
    profiles: [profile],
    cardKeys: keys.cardKeys.bind(keys),
    randomBytes: (length: number) => new Uint8Array(randomBytes(length)),
    monotonicUs: () => 0,
    presentedAtUs: 0,
  };
}

function sessionOn(card: VirtualCard, planted: Planted): CardSession {
  return new CardSession(partsOn(card, planted));
}
