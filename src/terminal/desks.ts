import type { Logger } from 'pino';
import type { AccessMemory } from '#core/access/access-memory.ts';
import type { AutomationEvent } from '#core/access/automation.ts';
import type { ServiceRequest } from '#core/access/rule.ts';
import type { Diagnostics } from '#core/sync/command.ts';
import type { CardReaders, PresentedCard, ReaderStatus } from '#ports/card-reader.ts';
import type { Clock } from '#ports/clock.ts';
import type { Indication, Indicator } from '#ports/indicator.ts';
import type { PinPad } from '#ports/pin-pad.ts';
import type { PolicyLookup } from '#ports/policy-lookup.ts';
import type { Grant } from './door-controller.ts';
import type { Doors } from './doors.ts';
import type { TerminalEvent } from './events.ts';
import type { JournalWriter } from './journal-writer.ts';
import type { Passages } from './passages.ts';
import { ReaderDesk } from './reader-desk.ts';
import { ReaderWatch } from './reader-watch.ts';
import type { Granted, TapResult } from './tap.ts';
import type { TerminalSettings } from './terminal.ts';
import { type TimingSettings, TimingWatch } from './timing-watch.ts';

/** One reader of the configuration. */
export interface ReaderSettings {
  readonly readerId: string;
  /** exact name in the card stack */
  readonly readerName: string;
  readonly doorId: string;
  /** zones the reader leads from and to, where the configuration names them */
  readonly from?: string;
  readonly to?: string;
  /** zones that its door belongs to beside those */
  readonly zones?: readonly string[] | undefined;
  /** what taps here are for besides the door */
  readonly service?: ServiceRequest;
  /** absent: how long cards take to authenticate is not watched */
  readonly timing?: TimingSettings;
}

export interface DesksParts {
  readonly settings: TerminalSettings;
  readonly readers: CardReaders;
  /** by reader id */
  readonly indicators: ReadonlyMap<string, Indicator>;
  /** by reader id */
  readonly pinPads: ReadonlyMap<string, PinPad>;
  readonly doors: Doors;
  readonly policy: PolicyLookup;
  readonly memory: AccessMemory;
  readonly passages: Passages;
  readonly journal: JournalWriter;
  readonly clock: Clock;
  readonly log: Logger;
  readonly observe: (event: TerminalEvent) => void;
  readonly happened: (event: AutomationEvent, doorId: string) => void;
}

/** The readers of one terminal: brings each card to the desk of its reader, and each grant to the door. */
export class Desks {
  readonly #parts: DesksParts;
  readonly #watch: ReaderWatch;
  /** by the reader's name in the card stack */
  readonly #desks: ReadonlyMap<string, ReaderDesk>;

  constructor(parts: DesksParts) {
    this.#parts = parts;
    const { settings, journal, log } = parts;
    this.#watch = new ReaderWatch({ virtualReaders: settings.virtualReaders, journal, log });
    this.#desks = new Map(settings.readers.map((reader) => [reader.readerName, this.#build(reader)]));
  }

  /** Begins to take cards; whoever stops the readers stops that. */
  async start(): Promise<void> {
    await this.#parts.readers.start({
      readerChanged: (status) => this.#readerChanged(status),
      cardDetected: (readerName) => this.#desks.get(readerName)?.detected(),
      cardClaimed: (readerName, claim) => this.#desks.get(readerName)?.claimed(claim),
      cardPresented: (card) => void this.#presented(card),
      cardRemoved: (readerName) => this.#desks.get(readerName)?.cardRemoved(),
    });
    for (const desk of this.#desks.values()) desk.rest();
  }

  /** What the readers of a door show may have changed. */
  rest(doorId: string): void {
    for (const reader of this.#parts.settings.readers) {
      if (reader.doorId === doorId) this.#desks.get(reader.readerName)?.rest();
    }
  }

  /** Draws eyes to `readers` for `forMs`; false where each of them is serving somebody. */
  identify(readers: readonly ReaderSettings[], forMs: number): boolean {
    const shown = readers.map(({ readerName }) => this.#desks.get(readerName)?.identify(forMs));
    return shown.includes(true);
  }

  /** Whether somebody stands at a reader and waits. */
  occupied(): boolean {
    return [...this.#desks.values()].some((desk) => desk.occupied());
  }

  /** The readers as they are, for whoever looks into a terminal. */
  list(): Diagnostics['readers'] {
    return this.#parts.settings.readers.map(({ readerId, readerName, doorId }) => ({
      reader: readerId,
      door: doorId,
      ready: this.#watch.ready(readerName),
    }));
  }

  /** Ends the taps that go on; the readers have stopped. */
  async stop(): Promise<void> {
    const results = await Promise.allSettled([...this.#desks.values()].map((desk) => desk.stop()));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  #build(configured: ReaderSettings): ReaderDesk {
    const { settings, doors, indicators, pinPads, log, observe, ...parts } = this.#parts;
    const { readerId, doorId } = configured;
    const door = settings.doors.find((one) => one.doorId === doorId);
    if (!door) throw new Error(`reader ${readerId} serves door ${doorId}, which is not configured`);
    const reader = { ...configured, zones: door.zones };
    return new ReaderDesk({
      ...parts,
      settings,
      log: log.child({ component: 'tap', reader: readerId }),
      reader,
      indicator: indicators.get(readerId),
      pinPad: pinPads.get(readerId),
      timing: reader.timing && new TimingWatch(reader.timing),
      open: (tapId, decision) => doors.grant(doorId, grantOf(tapId, decision, reader), decision.obligations),
      resting: () => this.#resting(reader),
      indicated: (indication) => observe({ kind: 'indication', readerId, indication }),
      ended: (card, result) => this.#tapEnded(reader, card, result),
    });
  }

  async #presented(card: PresentedCard): Promise<void> {
    const desk = this.#desks.get(card.readerName);
    if (desk) await desk.present(card);
    else await card.end();
  }

  #resting({ doorId, readerName }: ReaderSettings): Indication {
    const shown = this.#parts.doors.resting(doorId);
    return shown === 'idle' && !this.#watch.ready(readerName) ? 'fault' : shown;
  }

  #readerChanged(status: ReaderStatus): void {
    this.#parts.observe({ kind: 'reader', status });
    this.#watch.changed(status);
    this.#desks.get(status.name)?.rest();
  }

  #tapEnded(
    { readerId, doorId }: ReaderSettings,
    { tapId, outcome }: PresentedCard,
    result: TapResult,
  ): void {
    const { log, observe, happened } = this.#parts;
    const decision = result.kind === 'decided' ? result.decision : undefined;
    const fault = result.kind === 'decided' ? result.fault?.code : undefined;
    if (decision && decision.kind !== 'needs') {
      const told = decision.kind === 'waits' ? decision.alarms : [decision.kind, ...decision.alarms];
      for (const event of told) happened(event, doorId);
    }
    const reason = decision?.kind === 'denied' || decision?.kind === 'waits' ? decision.reason : undefined;
    log.info({ tapId, reader: readerId, result: decision?.kind ?? 'hold-again', reason, fault }, 'tap');
    observe({
      kind: 'tap',
      tapId,
      readerId,
      doorId,
      outcome: outcome.kind,
      ...(decision ? { decision } : {}),
    });
  }
}

function grantOf(tapId: string, { obligations, basis }: Granted, { from, to, zones }: ReaderSettings): Grant {
  const passed = (name: string) =>
    basis.path.some(({ rule, verdict }) => rule === name && verdict === 'passed');
  const way = { ...(from !== undefined && { from }), ...(to !== undefined && { to }), zones };
  const longer = obligations.longer ?? false;
  return { tapId, longer, exempt: passed('lockdown'), ...(!passed('evacuation') && { way }) };
}
