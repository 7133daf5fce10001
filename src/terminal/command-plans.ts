import type { AccessMemory, FactsView, FoundFacts } from '#core/access/access-memory.ts';
import type { AccessState, StateChange } from '#core/access/access-state.ts';
import { endHoldByCommand, holdByCommand } from '#core/access/command-hold.ts';
import { type Moment, momentOf } from '#core/access/moment.ts';
import type { DecisionTime } from '#core/access/rule.ts';
import { endHoldByCard } from '#core/access/rules/hold.ts';
import { forgetPosition, resetZone } from '#core/access/rules/position.ts';
import { attendanceKey } from '#core/access/rules/services/attendance.ts';
import { type CommandAction, type CommandAnswer, longestHoldMs } from '#core/sync/command.ts';
import { isSiteAction, type SiteAction, siteChanges } from '#core/sync/site-command.ts';
import type { HolderFacts } from '#ports/holder-facts.ts';
import type { PolicyLookup } from '#ports/policy-lookup.ts';
import type { Doors } from './doors.ts';
import type { TerminalSettings } from './terminal.ts';

/** A command that is recorded before anything is done: what it lets in or changes is never without its record. */
export type RecordedAction = SiteAction | Exclude<CommandAction, SiteAction | InquiryAction>;
/** A command that changes nothing here: answered first, and recorded as soon as that can be. */
export type InquiryAction = Extract<CommandAction, { kind: 'roll-call' | 'identify' | 'diagnostics' }>;

/** What a command is to do. */
export interface Plan {
  /** what is stored about the holder it is about */
  readonly found: () => Promise<FoundFacts>;
  /** what becomes durable with its entry, or why nothing does */
  readonly changes: (state: FactsView) => readonly StateChange[] | CommandAnswer;
  /** what is done once the entry is durable; what came of it is an entry of its own */
  readonly act?: () => Promise<Deed>;
}

/** What came of a command that was recorded before, and the facts that hold from now on by it. */
export interface Deed {
  readonly answer: CommandAnswer;
  readonly changes?: readonly StateChange[];
}

export interface CommandPlansParts {
  readonly settings: TerminalSettings;
  readonly memory: AccessMemory;
  readonly doors: Doors;
  readonly policy: PolicyLookup;
  readonly holders: HolderFacts | undefined;
  readonly restart: (() => void) | undefined;
  readonly time: () => DecisionTime;
  /** the time as it is known for sure, milliseconds UTC */
  readonly sureMs: () => number | undefined;
}

/** Says what each command is to do at this terminal, or why it does nothing. */
export class CommandPlans {
  readonly #parts: CommandPlansParts;
  readonly #zones: readonly string[];

  constructor(parts: CommandPlansParts) {
    this.#parts = parts;
    const { doors, readers } = parts.settings;
    const named = [
      ...doors.flatMap(({ zones = [] }) => zones),
      ...readers.flatMap(({ from, to }) => [from, to]),
    ];
    this.#zones = [...new Set(named.filter((zone) => zone !== undefined))].toSorted();
  }

  /** The refusal of zones that no door or reader here belongs to. */
  unknownZone(zones: readonly string[] = []): CommandAnswer | undefined {
    const known = zones.every((zone) => this.#zones.includes(zone));
    return known ? undefined : { outcome: 'unknown-zone', known: [...this.#zones] };
  }

  unknownDoor(door: string): CommandAnswer | undefined {
    const ids = this.#parts.settings.doors.map(({ doorId }) => doorId);
    return ids.includes(door) ? undefined : { outcome: 'unknown-door', known: ids };
  }

  /** Rejects with policy and database faults. */
  async of(
    { id, givenAtMs }: { readonly id: string; readonly givenAtMs: number },
    action: RecordedAction,
  ): Promise<Plan | CommandAnswer> {
    if (isSiteAction(action)) {
      const zones = 'zones' in action ? action.zones : undefined;
      const changes = (state: FactsView) =>
        siteChanges(action, { givenAtMs, nowMs: trustedMs(this.#parts.time()) }, state) ?? {
          outcome: 'superseded' as const,
        };
      return this.unknownZone(zones) ?? this.#sitewide(changes);
    }
    switch (action.kind) {
      case 'unlock-once':
        return this.#unlockOnce(id, action);
      case 'hold':
        return this.#hold(action);
      case 'resume': {
        const { door } = action;
        const changes = () => [endHoldByCommand(door), endHoldByCard(door)];
        return this.unknownDoor(door) ?? this.#sitewide(changes);
      }
      case 'reset-zone':
        return this.unknownZone([action.zone]) ?? this.#sitewide((state) => resetZone(action.zone, state));
      case 'reset-position':
        return this.#ofHolder(action.holder, (state) => {
          const fact = state.holder('at');
          if (fact === undefined) return { outcome: 'nothing-known' };
          return forgetPosition(action.holder, fact, state);
        });
      case 'correct-attendance':
        return this.#correctAttendance(action);
      case 'restart': {
        const { restart } = this.#parts;
        return restart
          ? { ...this.#sitewide(() => []), act: restarting(restart) }
          : { outcome: 'unavailable' };
      }
      default:
        return action satisfies never;
    }
  }

  #unlockOnce(
    id: string,
    { door, floors, seconds }: Extract<CommandAction, { kind: 'unlock-once' }>,
  ): Plan | CommandAnswer {
    const { doors, settings } = this.#parts;
    const unknown = this.unknownDoor(door);
    if (unknown) return unknown;
    const there = settings.doors.find(({ doorId }) => doorId === door)?.floors ?? [];
    if (floors?.some((floor) => !there.includes(floor)))
      return { outcome: 'unknown-floor', known: [...there] };
    const objection = doors.objection(door);
    if (objection) return { outcome: objection };
    const openMs = seconds === undefined ? {} : { openMs: seconds * 1_000 };
    const grant = { tapId: id, longer: false, exempt: false, ...openMs };
    const act = async () => ({ answer: answerOf(await doors.unlock(door, grant, floors)) });
    return { ...this.#sitewide(() => []), act };
  }

  #hold({ door, seconds, untilMs }: Extract<CommandAction, { kind: 'hold' }>): Plan | CommandAnswer {
    const { doors, time, sureMs } = this.#parts;
    const unknown = this.unknownDoor(door);
    if (unknown) return unknown;
    if (untilMs !== undefined) {
      if (!time().trusted) return { outcome: 'time-unknown' };
      const leftMs = untilMs - (sureMs() ?? 0);
      if (leftMs <= 0 || leftMs > longestHoldMs) return { outcome: 'time-past' };
    }
    const objection = doors.objection(door);
    if (objection) return { outcome: objection };
    const end = untilMs === undefined ? { forMs: (seconds ?? 0) * 1_000 } : { untilMs };
    // in force only once its entry is there, and not at all if that took too long
    const act = async () => {
      const now = doors.objection(door);
      if (now) return { answer: { outcome: now } };
      return { answer: { outcome: 'done' as const }, changes: [holdByCommand(door, end, time())] };
    };
    return { ...this.#sitewide(() => []), act };
  }

  async #correctAttendance({
    holder,
    service,
    is,
    atMs,
  }: Extract<CommandAction, { kind: 'correct-attendance' }>): Promise<Plan | CommandAnswer> {
    const known = await this.#attendanceServices();
    if (!known.includes(service)) return { outcome: 'unknown-service', known };
    const { time, sureMs } = this.#parts;
    const now = sureMs();
    if (atMs !== undefined && now === undefined) return { outcome: 'time-unknown' };
    if (atMs !== undefined && atMs > (now ?? 0)) return { outcome: 'time-past' };
    return this.#ofHolder(holder, (state, { facts }) => {
      if (facts.size === 0) return { outcome: 'nothing-known' };
      const since = momentAt(atMs, { state, time: { ...time(), ...(now !== undefined && { utcMs: now }) } });
      return [{ key: attendanceKey(service), holderId: holder, value: { last: is, since: { ...since } } }];
    });
  }

  async #attendanceServices(): Promise<string[]> {
    const { policy, settings } = this.#parts;
    const [door] = settings.doors;
    const found = door && (await policy.doorPolicy(door.doorId));
    return (found?.rules.site.services ?? []).filter(({ kind }) => kind === 'attendance').map(({ id }) => id);
  }

  #sitewide(changes: Plan['changes']): Plan {
    const { memory } = this.#parts;
    return {
      found: async () => ({ holderId: undefined, facts: new Map(), asked: memory.asked() }),
      changes,
    };
  }

  #ofHolder(
    holderId: string,
    changes: (state: FactsView, found: FoundFacts) => ReturnType<Plan['changes']>,
  ): Plan | CommandAnswer {
    const { memory, holders } = this.#parts;
    if (!holders) return { outcome: 'unavailable' };
    let latest: FoundFacts = { holderId, facts: new Map(), asked: 0 };
    return {
      found: async () => {
        const asked = memory.asked();
        latest = { holderId, facts: await holders.of(holderId), asked };
        return latest;
      },
      changes: (state) => changes(state, latest),
    };
  }
}

/** Milliseconds UTC by a clock that is taken for right. */
export function trustedMs({ trusted, utcMs }: DecisionTime): number | undefined {
  return trusted ? utcMs : undefined;
}

/** The restart waits for its answer to leave. */
function restarting(restart: () => void): () => Promise<Deed> {
  return async () => {
    restart();
    return { answer: { outcome: 'done' } };
  };
}

function answerOf(actuation: Awaited<ReturnType<Doors['unlock']>>): CommandAnswer {
  switch (actuation.kind) {
    case 'unlocked':
    case 'locked':
      return { outcome: 'done' };
    case 'refused':
      return { outcome: actuation.reason === 'no-permission' ? 'unknown-floor' : actuation.reason };
    case 'failed':
      return { outcome: 'door-failed', fault: actuation.fault.code };
    default:
      return actuation satisfies never;
  }
}

/** The moment `atMs`, in this boot's time too; now where it is not given. */
function momentAt(
  atMs: number | undefined,
  { state, time }: { readonly state: AccessState; readonly time: DecisionTime },
): Moment {
  const now = momentOf({ state, time, timeMs: time.utcMs });
  if (atMs === undefined) return now;
  return { ...now, utcMs: atMs, monotonicMs: now.monotonicMs - (now.utcMs - atMs) };
}
