import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { readHolderFile } from '#adapters/csv/holder-file.ts';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import { GuardedDoors } from '#adapters/process/guarded-doors.ts';
import { CardKeyWriter } from '#adapters/sealed/card-key-file.ts';
import { makeReceivingKey, receiverKey } from '#adapters/sealed/receiving-key.ts';
import { SealedCardKeys } from '#adapters/sealed/sealed-card-keys.ts';
import { JournalStore } from '#adapters/sqlite/journal-store.ts';
import { PolicyInstaller } from '#adapters/sqlite/policy-installer.ts';
import { PolicyStore } from '#adapters/sqlite/policy-store.ts';
import { doorSettingsSchema } from '#core/access/door-settings.ts';
import { siteRulesSchema } from '#core/access/site-rules.ts';
import { type CardKeyRequest, zeroCardKeys } from '#core/card/keys.ts';
import type { Reading } from '#core/card/reading.ts';
import type { CardReaderEvents, CardReaders, PresentedCard } from '#ports/card-reader.ts';
import type { DoorHardware } from '#ports/door.ts';
import type { JournalAppend } from '#ports/journal-append.ts';
import type { KeyDerivation } from '#ports/key-derivation.ts';
import type { PolicyLookup } from '#ports/policy-lookup.ts';
import { readTestKeys, TestKeys } from '#simulators/card/test-keys.ts';
import { createTerminal, type Terminal } from '#terminal/terminal.ts';

/** Moments of one tap, in monotonic microseconds. */
export interface TapMarks {
  readonly card: PresentedCard;
  readonly presented: number;
  /** look-ups of the policy and deciding */
  readonly decided: number;
  /** the decision is durable */
  readonly durable: number;
  readonly struck: number;
}

/** A whole terminal on real databases and a door guard, whose ports note when a tap passes them. */
export class MeasuredTerminal {
  readonly #terminal: Terminal;
  readonly #readerName: string;
  readonly #strikeFile: string;
  readonly #keys: KeyDerivation;
  readonly #guarded: GuardedDoors;
  #events: CardReaderEvents | undefined;
  readonly #clock = new SystemClock();
  readonly #listeners = { tap: (_marks: TapMarks) => {}, end: () => {}, removed: () => {} };
  #marks: { card?: PresentedCard; presented: number; decided: number; durable: number } = {
    presented: 0,
    decided: 0,
    durable: 0,
  };

  /** `strikeFile` is where the strike notes the times at which it is driven. */
  constructor(parts: {
    readonly readerName: string;
    readonly strikeFile: string;
    readonly keys: KeyDerivation;
    readonly guarded: GuardedDoors;
    readonly terminal: (measured: MeasuredTerminal) => Terminal;
  }) {
    this.#readerName = parts.readerName;
    this.#strikeFile = parts.strikeFile;
    this.#keys = parts.keys;
    this.#guarded = parts.guarded;
    this.#terminal = parts.terminal(this);
  }

  start(): Promise<void> {
    return this.#terminal.start();
  }

  async stop(): Promise<void> {
    await this.#terminal.stop();
    await this.#guarded.stop();
  }

  /** Taps `times` with made-up cards that read as `reading`, so that the terminal's code is warm, as after a morning. */
  async warmUp(
    { reading, request }: { readonly reading: Reading; readonly request: CardKeyRequest },
    times: number,
  ): Promise<void> {
    for (let tap = 0; tap < times; tap += 1) {
      zeroCardKeys(await this.#keys.cardKeys(request));
      await new Promise<void>((resolve) => {
        this.#events?.cardDetected(this.#readerName);
        const { organization, profileId, diversifier = '' } = reading;
        this.#events?.cardClaimed(this.#readerName, { organization, profileId, diversifier });
        this.#events?.cardPresented({
          tapId: String(tap).padStart(32, '0'),
          readerName: this.#readerName,
          presentedAtUs: this.#clock.monotonicUs(),
          outcome: { kind: 'reading', reading },
          verifyPin: async () => ({ kind: 'blocked' }),
          end: async () => resolve(),
        });
      });
    }
  }

  /** Resolves with the marks of the next tap once its session has ended. */
  nextTap(): Promise<TapMarks> {
    return new Promise((resolve) => {
      this.#listeners.tap = (marks) => {
        this.#listeners.end = () => resolve(marks);
      };
    });
  }

  nextRemoval(): Promise<void> {
    return new Promise((resolve) => {
      this.#listeners.removed = resolve;
    });
  }

  readers(inner: CardReaders): CardReaders {
    return {
      list: () => inner.list(),
      stop: () => inner.stop(),
      start: (events) => {
        this.#events = events;
        return inner.start({
          readerChanged: (status) => events.readerChanged(status),
          cardDetected: (readerName) => events.cardDetected(readerName),
          cardClaimed: (name, claim) => events.cardClaimed(name, claim),
          cardPresented: (card) => {
            this.#marks = { card, presented: this.#clock.monotonicUs(), decided: 0, durable: 0 };
            events.cardPresented(this.#ending(card));
          },
          cardRemoved: (readerName) => {
            events.cardRemoved(readerName);
            this.#listeners.removed();
          },
        });
      },
    };
  }

  journal(inner: JournalAppend): JournalAppend {
    return {
      start: () => inner.start(),
      stop: () => inner.stop(),
      space: () => inner.space(),
      sharedFacts: () => inner.sharedFacts(),
      append: async (records) => {
        const decision = records.some(({ kind }) => kind === 'decision');
        if (decision) this.#marks.decided = this.#clock.monotonicUs();
        const head = await inner.append(records);
        if (decision) this.#marks.durable = this.#clock.monotonicUs();
        return head;
      },
    };
  }

  door(inner: DoorHardware): DoorHardware {
    return {
      start: (onInput) => inner.start(onInput),
      stop: () => inner.stop(),
      lock: () => inner.lock(),
      unlock: async (limitMs, cause) => {
        await inner.unlock(limitMs, cause);
        const { card, presented, decided, durable } = this.#marks;
        if (card)
          this.#listeners.tap({ card, presented, decided, durable, struck: await this.#latestStrike() });
      },
    };
  }

  async #latestStrike(): Promise<number> {
    const times = await readFile(this.#strikeFile, 'utf8');
    return Number(times.trimEnd().split('\n').at(-1));
  }

  #ending(card: PresentedCard): PresentedCard {
    const { tapId, readerName, presentedAtUs, outcome } = card;
    return {
      tapId,
      readerName,
      presentedAtUs,
      outcome,
      verifyPin: (digits) => card.verifyPin(digits),
      end: async () => {
        await card.end();
        this.#listeners.end();
      },
    };
  }
}

/** A policy database in `folder` that lets the employee of the deck through the door. */
export async function installPolicy(folder: string): Promise<PolicyLookup> {
  const file = join(folder, 'policy.sqlite');
  const rules = siteRulesSchema.parse({
    formatVersion: 1,
    organization: 'kazasu-city',
    profiles: [
      {
        id: 'synthetic-type-a',
        userNumberFormat: { alphabet: 'uppercase-alphanumeric', minimumLength: 6, maximumLength: 10 },
      },
    ],
    groups: ['staff'],
    doors: [{ id: 'door', assurance: ['mutual-authentication'] }],
    permissions: [{ group: 'staff', door: 'door' }],
  });
  const installer = new PolicyInstaller({ file });
  await installer.start();
  const nowMs = Date.now();
  await installer.installRules(rules, nowMs);
  const list = join(folder, 'holders.csv');
  await writeFile(
    list,
    'user_number,profile,groups,diversifier\nE00012345,synthetic-type-a,staff,4B415A41535500000001\n',
  );
  const rows = readHolderFile({ file: list, encoding: 'utf-8', mode: 'complete', rules });
  await installer.importHolders({ mode: 'complete', dryRun: false, nowMs, rows, confirm: async () => true });
  await installer.stop();
  return new PolicyStore({ file, journal: join(folder, 'journal.sqlite') });
}

/** The default of a terminal: no master key, but those of the cards allowed there, here of one. */
export async function installCardKeys(
  folder: string,
  request: Required<CardKeyRequest>,
): Promise<SealedCardKeys> {
  const directory = join(folder, 'card-keys');
  const passphraseFile = join(folder, 'passphrase');
  await mkdir(directory);
  await writeFile(passphraseFile, 'of the benchmark alone', { mode: 0o600 });
  const sealing = { passphraseFile };
  const receiver = await makeReceivingKey(directory, { sealing, terminal: 'bench' });
  const writer = new CardKeyWriter(receiverKey(receiver));
  writer.add(request, await new TestKeys(await readTestKeys()).cardKeys(request));
  const keys = new SealedCardKeys({ directory, sealing });
  await keys.install(
    writer.finish({ terminal: 'bench', exportId: 'bench', exportedAt: new Date().toISOString() }),
  );
  await keys.start();
  return keys;
}

/** Builds the terminal in `folder` around `readers`, with one door served by the reader of this name. */
export async function buildMeasuredTerminal({
  folder,
  readers,
  readerName,
  keys,
}: {
  readonly folder: string;
  readonly readers: CardReaders;
  readonly readerName: string;
  readonly keys: KeyDerivation;
}): Promise<MeasuredTerminal> {
  const policy = await installPolicy(folder);
  const strikeFile = join(folder, 'strike');
  const guarded = new GuardedDoors({
    parts: [{ module: fileURLToPath(import.meta.resolve('./strike-hardware.ts')), options: strikeFile }],
    doorIds: ['door'],
    readerIds: ['reader'],
  });
  await guarded.start();
  const door = guarded.doors.get('door');
  if (!door) throw new Error('the guard offers no door');
  const clock = new SystemClock();
  const journal = new JournalStore({
    file: join(folder, 'journal.sqlite'),
    terminal: 'bench',
    signing: await openDeviceKey(folder),
    clock,
    reserveMiB: 16,
  });
  const terminal = (measured: MeasuredTerminal): Terminal =>
    createTerminal(
      {
        readers: measured.readers(readers),
        doors: new Map([['door', measured.door(door)]]),
        indicators: guarded.indicators,
        pinPads: new Map(),
        policy,
        journal: measured.journal(journal),
        clock,
        log: pino({ level: 'silent' }),
      },
      {
        terminalId: 'bench',
        readers: [{ readerId: 'reader', readerName, doorId: 'door' }],
        doors: [{ doorId: 'door', settings: doorSettingsSchema.parse({ contact: 'none', strikeMs: 500 }) }],
        pin: { timeoutMs: 20_000, digits: new Map() },
        decisionDeadlineMs: 5_000,
        interlocks: [],
        automation: { rules: [], inputs: [], outputs: [] },
        virtualReaders: 'allowed',
      },
    );
  return new MeasuredTerminal({ readerName, strikeFile, keys, guarded, terminal });
}
