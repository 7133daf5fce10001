import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { type Link, Transient } from '#adapters/process/link.ts';
import { SupervisedChild } from '#adapters/process/supervised-child.ts';
import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import type { CardProfile } from '#core/card/profile.ts';
import type { CardClaim, CardOutcome } from '#core/card/reading.ts';
import { Fault, fromFaultRecord, toFaultRecord } from '#core/fault.ts';
import type { CardReaderEvents, CardReaders, ReaderStatus } from '#ports/card-reader.ts';
import type { KeyDerivation } from '#ports/key-derivation.ts';
import type { BegunTap, ChildOffer, ConfiguredReader, ParentOffer } from './messages.ts';
import { PcscCard, processLost } from './pcsc-card.ts';
import { ReaderBoard } from './reader-board.ts';

export interface AllowedReader {
  /** exact name as pcscd gives it */
  readonly readerName: string;
  /** ids of card profiles, in order of preference */
  readonly profileIds: readonly string[];
}

export interface PcscReadersOptions {
  readonly allowed: readonly AllowedReader[];
  readonly profiles: readonly CardProfile[];
  readonly keys: KeyDerivation;
  /** limit of one exchange with a card, and of connecting to it, in milliseconds (default 1,000) */
  readonly apduDeadlineMs?: number;
  /** limit of a whole reading, in milliseconds (default 3,000) */
  readonly tapDeadlineMs?: number;
  /** how long a session stays open for a PIN, in milliseconds (default 60,000) */
  readonly sessionDeadlineMs?: number;
  /** readers of other terminals at the same pcscd, which only a site has */
  readonly elsewhere?: readonly string[];
  /** `allowed` belongs to the site, to tests and to the command line, never to a terminal */
  readonly virtualReaders: 'refused' | 'allowed';
  readonly log: Logger;
}

const childModule = fileURLToPath(new URL('./child.ts', import.meta.url));
/** how long `start` waits for the first news of pcscd, in milliseconds; what comes later is told as a change */
const startLimitMs = 5_000;
/** how much longer than its deadline the child may owe an answer before it counts as hung, in milliseconds */
const marginMs = 1_000;
/** from the start of the child, which a slow device takes seconds to load */
const configureLimitMs = 15_000;

interface RunningTap extends BegunTap {
  readonly watchdog: NodeJS.Timeout;
}

/** The readers of pcscd. Each card is read and held in a child process, so that a native failure takes down no more. */
export class PcscReaders implements CardReaders {
  readonly #options: PcscReadersOptions;
  readonly #deadlines: Pick<
    Required<PcscReadersOptions>,
    'apduDeadlineMs' | 'tapDeadlineMs' | 'sessionDeadlineMs'
  >;
  readonly #child: SupervisedChild<ChildOffer>;
  readonly #board: ReaderBoard;
  #events: CardReaderEvents | undefined;
  #firstNews: (() => void) | undefined;
  #serviceId: string | undefined;
  #serviceFault: Fault | undefined = new Fault('reader-service-absent', 'pcscd has not answered yet');
  /** taps whose reading is under way */
  readonly #running = new Map<string, RunningTap>();
  /** the card in each reader, with its counter, once it has been presented */
  readonly #presented = new Map<string, { readonly card: PcscCard; readonly count: number }>();
  /** the counter of a card whose reading died with the child: it is read once more, not for ever */
  readonly #lostCounts = new Map<string, number>();

  constructor(options: PcscReadersOptions) {
    const { allowed, apduDeadlineMs = 1_000, tapDeadlineMs = 3_000, sessionDeadlineMs = 60_000 } = options;
    this.#options = options;
    this.#deadlines = { apduDeadlineMs, tapDeadlineMs, sessionDeadlineMs };
    this.#board = new ReaderBoard({
      allowed: allowed.map(({ readerName }) => readerName),
      elsewhere: options.elsewhere ?? [],
      virtualReaders: options.virtualReaders,
      changed: (status) => this.#changed(status),
    });
    this.#child = new SupervisedChild<ChildOffer>({
      module: childModule,
      // for each reader one thread that an exchange may block and one to reset it; no more, since libuv takes them in
      // turn, and a thread that has long slept starts slowly
      environment: { UV_THREADPOOL_SIZE: String(Math.max(1, 2 * allowed.length)) },
      offer: this.#offer(),
      started: (link) => this.#configure(link as unknown as Link<ChildOffer>),
      lost: (fault) => this.#lost(fault),
    });
  }

  /**
   * Starts the child and resolves when it has told what readers there are or that there is no pcscd, after 5 s at
   * the latest. Throws a Fault `config-invalid` for a profile id that no profile has.
   */
  async start(events: CardReaderEvents): Promise<void> {
    this.#configuredReaders();
    this.#events = events;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, startLimitMs);
      this.#firstNews = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#child.start();
    });
  }

  async stop(): Promise<void> {
    await this.#child.stop();
    this.#clearRunning();
    this.#presented.clear();
    this.#events = undefined;
  }

  list(): readonly ReaderStatus[] {
    return this.#board.list();
  }

  /** Why no reader of pcscd can be used at all; undefined while it answers. */
  serviceFault(): Fault | undefined {
    return this.#serviceFault;
  }

  /** Process id of the child, for tests and diagnostics; undefined while it is being started again. */
  childPid(): number | undefined {
    return this.#child.pid();
  }

  #offer(): ParentOffer {
    return {
      serviceAbsent: (fault) => this.#serviceAbsent(fromFaultRecord(fault)),
      readers: ({ serviceId, names }) => this.#readers(serviceId, names),
      readerState: ({ name, fault }) => this.#board.setReaderFault(name, fault && fromFaultRecord(fault)),
      tapBegun: (tap) => this.#tapBegun(tap),
      tapClaimed: ({ tapId, claim }) => this.#tapClaimed(tapId, claim),
      tapRead: ({ tapId, outcome }) => this.#tapRead(tapId, outcome),
      removed: (readerName) => this.#removed(readerName),
      cardKeys: (request) => this.#cardKeys(request),
    };
  }

  async #configure(link: Link<ChildOffer>): Promise<void> {
    const serviceId = this.#serviceId === undefined ? {} : { serviceId: this.#serviceId };
    const configuration = { readers: this.#configuredReaders(), ...this.#deadlines, ...serviceId };
    await link.call('configure', configuration, configureLimitMs);
  }

  #configuredReaders(): ConfiguredReader[] {
    const known = new Map(this.#options.profiles.map((profile) => [profile.id, profile]));
    return this.#options.allowed
      .filter(({ readerName }) => this.#board.usable(readerName))
      .map(({ readerName, profileIds }) => {
        const presentedCount = this.#presented.get(readerName)?.count;
        const profiles = profileIds.map((id) => {
          const profile = known.get(id);
          if (!profile) throw new Fault('config-invalid', `reader "${readerName}": no card profile "${id}"`);
          return profile;
        });
        return { name: readerName, profiles, ...(presentedCount === undefined ? {} : { presentedCount }) };
      });
  }

  #readers(serviceId: string, names: readonly string[]): void {
    this.#serviceId = serviceId;
    this.#serviceFault = undefined;
    this.#board.setListed(names);
    this.#firstNews?.();
  }

  #serviceAbsent(fault: Fault): void {
    this.#serviceId = undefined;
    this.#serviceFault = fault;
    for (const readerName of this.#presented.keys()) this.#removed(readerName);
    this.#options.log.warn({ fault: fault.code }, fault.message);
    this.#board.setStackFault(fault);
    this.#firstNews?.();
  }

  #changed(status: ReaderStatus): void {
    const { name, state, fault } = status;
    this.#options.log.info({ reader: name, state, fault: fault?.code }, 'reader changed');
    this.#events?.readerChanged(status);
  }

  #tapBegun(tap: BegunTap): void {
    const watchdog = setTimeout(() => this.#child.restart(), this.#deadlines.tapDeadlineMs + marginMs);
    this.#running.set(tap.tapId, { ...tap, watchdog });
    this.#events?.cardDetected(tap.readerName);
  }

  #tapClaimed(tapId: string, claim: CardClaim): void {
    const tap = this.#running.get(tapId);
    if (tap) this.#events?.cardClaimed(tap.readerName, claim);
  }

  #tapRead(tapId: string, outcome: CardOutcome): void {
    const tap = this.#running.get(tapId);
    if (!tap) return;
    this.#running.delete(tapId);
    clearTimeout(tap.watchdog);
    this.#lostCounts.delete(tap.readerName);
    // it is there: from a child that has gone nothing is heard any more
    this.#present(tap, outcome, this.#child.link());
  }

  #present(
    { tapId, readerName, presentedAtUs, count }: BegunTap,
    outcome: CardOutcome,
    link?: Link<ChildOffer>,
  ): void {
    const card = new PcscCard({
      tapId,
      readerName,
      presentedAtUs,
      outcome,
      answerLimitMs: this.#deadlines.tapDeadlineMs + marginMs,
      link,
      hung: () => this.#child.restart(),
    });
    this.#presented.set(readerName, { card, count });
    this.#events?.cardPresented(card);
  }

  #removed(readerName: string): void {
    const presented = this.#presented.get(readerName);
    if (!presented) return;
    this.#presented.delete(readerName);
    presented.card.removed();
    this.#events?.cardRemoved(readerName);
  }

  async #cardKeys(request: CardKeyRequest): Promise<Transient<CardKeys>> {
    const keys = await this.#options.keys.cardKeys(request);
    return new Transient(keys, [keys.encryption, keys.mac]);
  }

  /** The child is gone. What it was reading is refused and, once, read again by the next child. */
  #lost(cause: Fault): void {
    const fault = this.#serviceFault ?? processLost(cause);
    if (!this.#serviceFault) this.#options.log.error({ fault: fault.code, err: cause }, fault.message);
    this.#board.setProcessFault(fault);
    for (const tap of this.#clearRunning()) {
      this.#present(tap, { kind: 'refused', fault: toFaultRecord(fault) });
      if (this.#lostCounts.get(tap.readerName) === tap.count) continue;
      this.#lostCounts.set(tap.readerName, tap.count);
      this.#removed(tap.readerName);
    }
  }

  #clearRunning(): RunningTap[] {
    const taps = [...this.#running.values()];
    for (const { watchdog } of taps) clearTimeout(watchdog);
    this.#running.clear();
    return taps;
  }
}
