import type { DecisionTime } from '#core/access/rule.ts';
import type { CommandAnswer, Diagnostics } from '#core/sync/command.ts';
import { rollCallAfter } from '#core/sync/roll-call.ts';
import type { Clock } from '#ports/clock.ts';
import type { HolderFacts } from '#ports/holder-facts.ts';
import type { JournalAppend } from '#ports/journal-append.ts';
import type { PolicyLookup } from '#ports/policy-lookup.ts';
import type { CommandPlans, InquiryAction } from './command-plans.ts';
import type { Desks } from './desks.ts';
import type { Doors } from './doors.ts';
import type { JournalWriter } from './journal-writer.ts';
import type { TerminalSettings } from './terminal.ts';

/** What the program around a terminal knows of the device and can do with itself. */
export interface Device {
  about(): Pick<Diagnostics, 'versions' | 'parameters' | 'keys' | 'failures'>;
  /** Ends the program in order, so that it is started again; the answer to the command leaves first. */
  restart?(): void;
}

export interface CommandInquiriesParts {
  readonly settings: TerminalSettings;
  readonly plans: CommandPlans;
  readonly doors: Doors;
  readonly desks: Desks;
  readonly policy: PolicyLookup;
  readonly journal: JournalWriter;
  readonly space: Pick<JournalAppend, 'space'>;
  readonly holders: HolderFacts | undefined;
  readonly device: Device | undefined;
  readonly clock: Clock;
  readonly time: () => DecisionTime;
}

/** Answers commands that change nothing: these are good also while the disk takes no record. */
export class CommandInquiries {
  readonly #parts: CommandInquiriesParts;
  readonly #startedAtMs: number;

  constructor(parts: CommandInquiriesParts) {
    this.#parts = parts;
    this.#startedAtMs = parts.clock.utcMs();
  }

  /** Rejects with database faults. */
  async answer(action: InquiryAction): Promise<CommandAnswer> {
    switch (action.kind) {
      case 'roll-call': {
        const { holders, plans } = this.#parts;
        const { zone, after } = action;
        const unknown = zone === undefined ? undefined : plans.unknownZone([zone]);
        if (unknown) return unknown;
        if (!holders) return { outcome: 'unavailable' };
        return { outcome: 'done', rollCall: rollCallAfter(await holders.whereabouts(zone), after) };
      }
      case 'identify':
        return this.#identify(action);
      case 'diagnostics':
        return { outcome: 'done', diagnostics: await this.diagnostics() };
      default:
        return action satisfies never;
    }
  }

  #identify({ reader, door, seconds }: Extract<InquiryAction, { kind: 'identify' }>): CommandAnswer {
    const { settings, plans, desks } = this.#parts;
    if (door !== undefined) {
      const unknown = plans.unknownDoor(door);
      if (unknown) return unknown;
    }
    const readers = settings.readers.filter(({ readerId, doorId }) => readerId === reader || doorId === door);
    if (readers.length === 0)
      return { outcome: 'unknown-reader', known: settings.readers.map(({ readerId }) => readerId) };
    return { outcome: desks.identify(readers, seconds * 1_000) ? 'done' : 'busy' };
  }

  /** The state of this terminal. Never rejects. */
  async diagnostics(): Promise<Diagnostics> {
    const { settings, journal, space, doors, desks, device, clock, time, policy } = this.#parts;
    const { floorMs, trusted } = time();
    const version = await policy.version().catch(() => undefined);
    const left = await space.space().catch(() => undefined);
    const head = journal.head();
    return {
      terminal: settings.terminalId,
      versions: {},
      parameters: [],
      ...device?.about(),
      startedAtMs: this.#startedAtMs,
      clock: { utcMs: clock.utcMs(), trusted, floorMs },
      ...(version && { policy: policyOf(version) }),
      journal: {
        writable: journal.writable(),
        ...(head && { sequence: head.sequence }),
        ...(left && { space: { ...left } }),
      },
      doors: doors.list(),
      readers: desks.list(),
      faults: [...journal.faults()],
    };
  }
}

function policyOf({
  number,
  installedAtMs,
  freshAtMs,
}: NonNullable<Awaited<ReturnType<PolicyLookup['version']>>>): Diagnostics['policy'] {
  return { number, installedAtMs, ...(freshAtMs !== undefined && { freshAtMs }) };
}
