import type { Logger } from 'pino';
import { AccessMemory } from '#core/access/access-memory.ts';
import { automationEvents } from '#core/access/automation.ts';
import type { DoorEvent } from '#core/access/door-state.ts';
import { localParts } from '#core/access/time-zone.ts';
import type { Diagnostics } from '#core/sync/command.ts';
import type { TerminalPlaces } from '#core/sync/view.ts';
import type { CardReaders } from '#ports/card-reader.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { DoorHardware } from '#ports/door.ts';
import type { HolderFacts } from '#ports/holder-facts.ts';
import type { Indicator } from '#ports/indicator.ts';
import type { JournalAppend } from '#ports/journal-append.ts';
import type { KeyErasure } from '#ports/key-erasure.ts';
import type { PinPad } from '#ports/pin-pad.ts';
import type { PolicyLookup } from '#ports/policy-lookup.ts';
import { Automation, type AutomationSettings } from './automation.ts';
import type { CommandInquiries, Device } from './command-inquiries.ts';
import { buildCommanding } from './commanding.ts';
import type { CommandExecution, Commands } from './commands.ts';
import { Desks, type ReaderSettings } from './desks.ts';
import { DoorPolicies } from './door-policies.ts';
import { type DoorEntry, Doors } from './doors.ts';
import type { TerminalEvent } from './events.ts';
import { groupRulesOf } from './group-rules.ts';
import { GroupState } from './group-state.ts';
import { JournalWriter } from './journal-writer.ts';
import { Passages } from './passages.ts';
import type { PolicyDistribution } from './policy-distribution.ts';
import { PolicySyncing } from './policy-sync.ts';
import { SureTime } from './sure-time.ts';
import { TamperAnswer } from './tamper-answer.ts';
import { timeOf } from './tap-decision.ts';
import { placesOf } from './terminal-places.ts';

/** Everything a terminal needs of the outside; `main.ts` and the site supply it. */
export interface TerminalPorts {
  readonly readers: CardReaders;
  /** by door id */
  readonly doors: ReadonlyMap<string, DoorHardware>;
  /** by reader id */
  readonly indicators: ReadonlyMap<string, Indicator>;
  /** by reader id */
  readonly pinPads: ReadonlyMap<string, PinPad>;
  readonly policy: PolicyLookup;
  /** of a terminal that a server looks after; `policy` goes by the same trust */
  readonly distribution?: PolicyDistribution;
  readonly journal: JournalAppend;
  readonly clock: Clock;
  readonly log: Logger;
  /** what destroys the keys of this device when its housing is opened */
  readonly keyErasure?: KeyErasure;
  /** what is stored about holders, for commands about them */
  readonly holders?: HolderFacts;
  readonly device?: Device;
  readonly observe?: (event: TerminalEvent) => void;
}

/** What the tap loop needs of the configuration; wiring stays with whoever builds the ports. */
export interface TerminalSettings {
  readonly terminalId: string;
  readonly readers: readonly ReaderSettings[];
  readonly doors: readonly (Omit<DoorEntry, 'zones'> & Partial<Pick<DoorEntry, 'zones'>>)[];
  /** doors by id, of which only one at a time may be unlocked or open */
  readonly interlocks: readonly (readonly string[])[];
  readonly automation: AutomationSettings;
  /** how long a holder has to enter the PIN, and how long a PIN is, by the id of each profile that has one */
  readonly pin: {
    readonly timeoutMs: number;
    readonly digits: ReadonlyMap<string, { readonly minimumDigits: number; readonly maximumDigits: number }>;
  };
  /** from the card event to the decision, the holder's PIN entry not counted */
  readonly decisionDeadlineMs: number;
  /** whether readers in software are in order here: the site and test entry points alone say so */
  readonly virtualReaders: 'refused' | 'allowed';
}

export interface Terminal {
  /** What operators tell it to do, on the device or through the server; from when it has started until it is stopped. */
  readonly commands: CommandExecution;
  /** Where it is, by the names of the rules. */
  readonly places: TerminalPlaces;
  /** What the server says of its policy; where one looks after it. */
  readonly policySync?: Pick<
    PolicySyncing,
    'manifestReceived' | 'revocationReceived' | 'status' | 'root' | 'renewRoots'
  >;
  /** For what the program around it records, and tells of it. */
  readonly journal: Pick<JournalWriter, 'note' | 'decided' | 'head' | 'writable'>;
  readonly doors: Pick<Doors, 'list'>;
  /** Whether somebody stands at a reader and waits. */
  tapUnderWay(): boolean;
  /** What it shares with other terminals; where a server joins them. */
  readonly group?: Pick<GroupState, 'join' | 'received' | 'connected' | 'lost' | 'apart'>;
  start(): Promise<void>;
  /** Locks every door, ends open sessions, signs a last checkpoint. */
  stop(): Promise<void>;
  /** Whether the tap loop turns: takes the way of a tap through policy and journal in time. Never rejects. */
  checkAlive(): Promise<boolean>;
  /** How it is, without personal data and secrets. Never rejects. */
  diagnostics(): Promise<Diagnostics>;
}
/** Builds a terminal; nothing runs before `start`. */
export function createTerminal(ports: TerminalPorts, settings: TerminalSettings): Terminal {
  return new RunningTerminal(ports, settings);
}

/** how often the clock is compared with the journal, and the space left for it is looked at */
const watchEveryMs = 60_000;
/** how long the way of a tap may take to count as alive */
const aliveWithinMs = 2_000;

class RunningTerminal implements Terminal {
  readonly #ports: TerminalPorts;
  readonly #settings: TerminalSettings;
  readonly #memory: AccessMemory;
  readonly #passages: Passages;
  readonly #journal: JournalWriter;
  readonly #doors: Doors;
  readonly #automation: Automation;
  readonly #tamper: TamperAnswer;
  readonly #desks: Desks;
  readonly #sure: SureTime;
  readonly #time = () => timeOf({ clock: this.#ports.clock, journal: this.#journal });
  readonly #inquiries: CommandInquiries;
  readonly commands: Commands;
  readonly places: TerminalPlaces;
  readonly policySync?: PolicySyncing;
  readonly group?: GroupState;
  #cancelWatch: CancelTimer | undefined;
  #factsLoaded = false;

  constructor(ports: TerminalPorts, settings: TerminalSettings) {
    this.#ports = ports;
    this.#settings = settings;
    this.places = placesOf(settings);
    this.#memory = new AccessMemory({
      terminal: settings.terminalId,
      sharedChanged: () => {
        this.#doors.refresh();
        this.#automation.refresh();
      },
      sharing: {
        apart: (group) => this.group?.apart(group) ?? true,
        outgoing: (changes) => this.group?.outgoing(changes) ?? [],
        durable: (outgoing) => this.group?.durable(outgoing),
      },
    });
    this.#journal = new JournalWriter({
      journal: ports.journal,
      clock: ports.clock,
      log: ports.log.child({ component: 'journal' }),
      appended: (head) => this.#observe({ kind: 'journal', head }),
      opened: (shared) => {
        this.#factsLoaded = true;
        this.#memory.load(shared);
      },
      unrecorded: () => this.#memory.unrecorded(),
    });
    this.#passages = new Passages({ memory: this.#memory, journal: this.#journal });
    this.#tamper = new TamperAnswer({ keyErasure: ports.keyErasure, journal: this.#journal, log: ports.log });
    this.#doors = this.#buildDoors();
    this.#automation = new Automation({
      settings: settings.automation,
      hardware: ports.doors,
      memory: this.#memory,
      factsLoaded: () => this.#factsLoaded,
      journal: this.#journal,
      clock: ports.clock,
      log: ports.log.child({ component: 'automation' }),
    });
    this.#desks = new Desks({
      ...ports,
      settings,
      doors: this.#doors,
      memory: this.#memory,
      passages: this.#passages,
      journal: this.#journal,
      observe: (event) => this.#observe(event),
      happened: (event, doorId) => this.#automation.happened(event, doorId),
    });
    this.#sure = new SureTime(ports.clock);
    const { commands, inquiries } = buildCommanding({
      ...{ settings, memory: this.#memory, doors: this.#doors, desks: this.#desks, journal: this.#journal },
      ...{ space: ports.journal, policy: ports.policy, holders: ports.holders, device: ports.device },
      ...{ clock: ports.clock, log: ports.log, sure: this.#sure, time: this.#time },
    });
    this.commands = commands;
    this.#inquiries = inquiries;
    if (!ports.distribution) return;
    this.policySync = this.#buildPolicySync(ports.distribution);
    if (ports.holders) this.group = this.#buildGroup(ports.holders);
  }

  async start(): Promise<void> {
    try {
      await this.#begin();
    } catch (error) {
      await this.stop().catch((failure: unknown) =>
        this.#ports.log.error({ err: failure }, 'the terminal did not end in order'),
      );
      throw error;
    }
  }

  async #begin(): Promise<void> {
    const { policy, pinPads, log } = this.#ports;
    // doors first: they lock, and exit requests are served before anything else can fail
    await this.#doors.start();
    await this.#journal.start();
    this.#journal.note({ kind: 'terminal', body: { event: 'started', terminal: this.#settings.terminalId } });
    this.#watchOver();
    await this.#automation.start();
    await this.policySync?.start();
    await policy.start();
    await this.#warmUp();
    await this.group?.follow();
    await this.#doors.supervise();
    await Promise.all([...pinPads.values()].map((pad) => pad.start()));
    await this.#desks.start();
    log.info('terminal ready');
  }

  /** The first question for local time loads the zone's data, which takes longer than any tap may be held up. */
  async #warmUp(): Promise<void> {
    const { policy, clock } = this.#ports;
    // a policy that cannot be read is told where a tap or a door needs it
    const version = await policy.version().catch(() => undefined);
    localParts(clock.utcMs(), version?.timeZone ?? 'Asia/Tokyo');
  }

  async stop(): Promise<void> {
    this.#cancelWatch?.();
    const { readers, pinPads, policy } = this.#ports;
    const failures: unknown[] = [];
    // what fails to end must keep nothing else from ending: a thread left over would keep the process
    const end = async (parts: Iterable<{ stop(): Promise<void> }>): Promise<void> => {
      const results = await Promise.allSettled([...parts].map((part) => part.stop()));
      for (const result of results) if (result.status === 'rejected') failures.push(result.reason);
    };
    await end([readers]);
    // doors lock while taps come to their end, which may wait for the disk: what is decided by then opens nothing
    await end([this.#doors, this.#automation, this.#desks, this.commands]);
    if (this.group) await end([this.group]);
    await end(pinPads.values());
    await this.#tamper.settled();
    this.#passages.stop();
    this.#journal.note({ kind: 'terminal', body: { event: 'stopped', terminal: this.#settings.terminalId } });
    await end([this.#journal]);
    await end([policy, ...(this.policySync ? [this.policySync] : [])]);
    if (failures.length > 0) throw failures[0];
  }

  get journal(): Terminal['journal'] {
    return this.#journal;
  }

  get doors(): Terminal['doors'] {
    return this.#doors;
  }

  tapUnderWay(): boolean {
    return this.#desks.occupied();
  }

  async checkAlive(): Promise<boolean> {
    let cancel: CancelTimer | undefined;
    const late = new Promise<false>((resolve) => {
      cancel = this.#ports.clock.after(aliveWithinMs, () => resolve(false));
    });
    // a fault is an answer: a restart would not cure it, and would interrupt the exit request
    const way = Promise.allSettled([this.#ports.policy.version(), this.#ports.journal.space()]).then(
      () => true,
    );
    const alive = await Promise.race([way, late]);
    cancel?.();
    return alive;
  }

  diagnostics(): Promise<Diagnostics> {
    return this.#inquiries.diagnostics();
  }

  #buildDoors(): Doors {
    const { doors: hardware, policy, clock, log } = this.#ports;
    const { doors, readers, interlocks } = this.#settings;
    const zonesOf = (id: string): string[] =>
      readers
        .flatMap(({ doorId, from, to }) => (doorId === id ? [from, to] : []))
        .filter((zone) => zone !== undefined);
    return new Doors({
      entries: doors.map((door) => ({ ...door, zones: [...(door.zones ?? []), ...zonesOf(door.doorId)] })),
      interlocks,
      hardware,
      policies: new DoorPolicies({ settings: this.#settings, policy, journal: this.#journal, clock, log }),
      memory: this.#memory,
      factsLoaded: () => this.#factsLoaded,
      passages: this.#passages,
      journal: this.#journal,
      clock,
      log,
      time: this.#time,
      observe: (event) => this.#observe(event),
      happened: (event, doorId) => this.#happened(event, doorId),
      tampered: (doorId) => this.#tamper.opened(doorId),
      indicate: (doorId) => this.#desks.rest(doorId),
    });
  }

  #buildPolicySync(distribution: PolicyDistribution): PolicySyncing {
    const { clock, log } = this.#ports;
    return new PolicySyncing({
      ...distribution,
      terminal: this.#settings.terminalId,
      memory: this.#memory,
      journal: this.#journal,
      clock,
      log: log.child({ component: 'policy' }),
      changed: () => {
        this.#doors.refresh();
        void this.group?.follow();
      },
    });
  }

  #buildGroup(holders: HolderFacts): GroupState {
    const { policy, clock, log } = this.#ports;
    return new GroupState({
      ...{
        terminal: this.#settings.terminalId,
        memory: this.#memory,
        journal: this.#journal,
        clock,
        holders,
      },
      rules: () => groupRulesOf(policy, this.#settings.doors),
      log: log.child({ component: 'groups' }),
    });
  }

  /** Of all that happens at a door, rules may wait for what people do. */
  #happened(event: DoorEvent, doorId: string): void {
    const known = automationEvents.find((one) => one === event);
    if (known) this.#automation.happened(known, doorId);
  }

  #watchOver(): void {
    this.#journal.checkClock();
    this.#sure.nowMs();
    void this.#journal.checkSpace();
    this.#cancelWatch = this.#ports.clock.after(watchEveryMs, () => {
      this.#watchOver();
      void this.group?.follow();
    });
  }

  #observe(event: TerminalEvent): void {
    this.#ports.observe?.(event);
  }
}
