import { join } from 'node:path';
import { pino } from 'pino';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import { HolderFactsStore } from '#adapters/sqlite/holder-facts-store.ts';
import { JournalStore } from '#adapters/sqlite/journal-store.ts';
import { PolicyStore } from '#adapters/sqlite/policy-store.ts';
import { doorSettingsSchema } from '#core/access/door-settings.ts';
import type { JournalRecord } from '#core/journal/record.ts';
import { SimulatedDoor } from '#simulators/door/simulated-door.ts';
import { SimulatedDoorHardware } from '#simulators/door/simulated-hardware.ts';
import { openServerConnection, type ServerConnection } from '#terminal/server-connection.ts';
import { createTerminal, type Terminal } from '#terminal/terminal.ts';
import { HandReaders, HeldCard, reading } from './terminal-fixture.ts';

/** What a tap came to. */
export interface Answer {
  readonly result: string;
  readonly reason?: string;
  readonly fault?: string;
}

/** The clock of a machine whose time is looked after, as this one's may not be. */
class TrustedClock extends SystemClock {
  override trusted(): boolean {
    return true;
  }
}

const journalConfig = {
  ...{ reserveMiB: 8, checkpointEntries: 1_000, checkpointInterval: 600_000 },
  retention: 90 * 86_400_000,
};

/**
 * An enrolled device as its program builds it, with its own databases, threads and connection; only its door and the
 * cards at its reader are the test's.
 */
export class ConnectedDevice {
  readonly terminal: Terminal;
  /** how often its door was unlocked */
  readonly unlocks: () => number;
  readonly #server: ServerConnection;
  readonly #readers: HandReaders;
  readonly #clock: SystemClock;
  readonly #decided: ((answer: Answer) => void)[];
  readonly #log: JournalRecord[];
  #taps = 0;

  private constructor(parts: {
    readonly terminal: Terminal;
    readonly server: ServerConnection;
    readonly readers: HandReaders;
    readonly clock: SystemClock;
    readonly decided: ((answer: Answer) => void)[];
    readonly log: JournalRecord[];
    readonly unlocks: () => number;
  }) {
    this.terminal = parts.terminal;
    this.#server = parts.server;
    this.#readers = parts.readers;
    this.#clock = parts.clock;
    this.#decided = parts.decided;
    this.#log = parts.log;
    this.unlocks = parts.unlocks;
  }

  /**
   * Builds and starts the device that was enrolled as `name` in `stateDirectory`, with the door `main`, whose reader leads
   * between `zones`.
   */
  static async start(
    stateDirectory: string,
    name: string,
    reserveMiB = 8,
    zones: { readonly from?: string; readonly to?: string } = {},
  ): Promise<ConnectedDevice> {
    const clock = new TrustedClock();
    const [readers, decided, log] = [new HandReaders(), [], []] as [
      HandReaders,
      ((answer: Answer) => void)[],
      JournalRecord[],
    ];
    const file = (of: string): string => join(stateDirectory, `${of}.sqlite`);
    const store = new JournalStore({
      file: file('journal'),
      terminal: name,
      signing: await openDeviceKey(stateDirectory),
      clock,
      reserveMiB,
      checkpointEntries: 1_000,
      checkpointIntervalMs: 600_000,
    });
    const server = await openServerConnection({
      config: { terminal: name, stateDirectory, journal: { ...journalConfig, reserveMiB } },
      ...{ journal: store, clock },
      log: pino({ level: 'silent' }),
    });
    if (!server) throw new Error(`${stateDirectory} is not enrolled`);
    const append = store.append.bind(store);
    store.append = async (records) => {
      const head = await append(records);
      log.push(...records);
      for (const { kind, body } of records)
        if (kind === 'decision') decided.shift()?.(body as unknown as Answer);
      return head;
    };
    let unlocks = 0;
    const door = new SimulatedDoor({
      id: 'main',
      clock,
      record: ({ what, locked }) => {
        if (what === 'command' && locked === false) unlocks += 1;
      },
    });
    const terminal = createTerminal(
      {
        readers,
        doors: new Map([['main', new SimulatedDoorHardware({ line: door, after: clock.after.bind(clock) })]]),
        indicators: new Map(),
        pinPads: new Map(),
        policy: new PolicyStore({
          file: file('policy'),
          journal: file('journal'),
          trust: server.distribution.trust,
        }),
        distribution: server.distribution,
        journal: store,
        holders: new HolderFactsStore({ file: file('journal') }),
        clock,
        log: pino({ level: 'silent' }),
      },
      {
        terminalId: name,
        readers: [{ readerId: 'r1', readerName: 'reader-1', doorId: 'main', ...zones }],
        doors: [{ doorId: 'main', settings: doorSettingsSchema.parse({ contact: 'none' }) }],
        pin: { timeoutMs: 20_000, digits: new Map() },
        decisionDeadlineMs: 5_000,
        interlocks: [],
        automation: { rules: [], inputs: [], outputs: [] },
        virtualReaders: 'refused',
      },
    );
    await terminal.start();
    await server.start(terminal);
    return new ConnectedDevice({
      ...{ terminal, server, readers, clock, decided, log },
      unlocks: () => unlocks,
    });
  }

  async stop(): Promise<void> {
    await Promise.all([this.terminal.stop(), this.#server.stop()]);
  }

  /** Holds up a card that proves itself, and resolves to what was decided. */
  tap(userNumber: string): Promise<Answer> {
    this.#taps += 1;
    const card = new HeldCard({
      tapId: String(this.#taps).padStart(32, '0'),
      readerName: 'reader-1',
      presentedAtUs: this.#clock.monotonicUs(),
      outcome: { kind: 'reading', reading: { ...reading, organization: 'city', userNumber } },
    });
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#decided.push(resolve);
    this.#readers.events?.cardDetected('reader-1');
    this.#readers.events?.cardPresented(card);
    return promise;
  }

  /** What the journal has of commands. */
  commands(): readonly JournalRecord[] {
    return this.#log.filter(({ kind }) => kind === 'command');
  }

  /** What the journal has of the policy and of alarms. */
  told(): readonly JournalRecord['body'][] {
    return this.#log.filter(({ kind }) => kind === 'policy' || kind === 'alarm').map(({ body }) => body);
  }
}
