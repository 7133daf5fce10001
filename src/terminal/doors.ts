import type { Logger } from 'pino';
import type { AccessMemory } from '#core/access/access-memory.ts';
import { type DoorSituation, nextLookMs, wantedMode } from '#core/access/door-mode.ts';
import type { DoorSettings } from '#core/access/door-settings.ts';
import {
  type DoorEvent,
  type DoorIndication,
  type DoorState,
  doorStateName,
  restingIndication,
} from '#core/access/door-state.ts';
import { floorId } from '#core/access/door-wiring.ts';
import type { Objection, Surroundings } from '#core/access/interlock.ts';
import type { DecisionTime } from '#core/access/rule.ts';
import { entersEvacuated } from '#core/access/rules/evacuation.ts';
import { conditionHolds } from '#core/access/site-state.ts';
import type { Diagnostics } from '#core/sync/command.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { DoorHardware } from '#ports/door.ts';
import { type Actuation, DoorController, type Grant } from './door-controller.ts';
import type { DoorPolicies } from './door-policies.ts';
import type { TerminalEvent } from './events.ts';
import type { JournalWriter } from './journal-writer.ts';
import type { Passages } from './passages.ts';

/** One door of the configuration. */
export interface DoorEntry {
  readonly doorId: string;
  readonly settings: DoorSettings;
  /** of an elevator: its floors, each an output of its own in place of a strike */
  readonly floors?: readonly string[];
  /** the zones it belongs to: those its readers lead from and to, and others of the configuration */
  readonly zones: readonly string[];
}

export interface DoorsParts {
  readonly entries: readonly DoorEntry[];
  /** doors by id, of which only one at a time may be unlocked or open */
  readonly interlocks: readonly (readonly string[])[];
  /** by door id; the outputs of an elevator by `floorId` */
  readonly hardware: ReadonlyMap<string, DoorHardware>;
  readonly policies: DoorPolicies;
  readonly memory: AccessMemory;
  /** whether the facts on the disk are known */
  readonly factsLoaded: () => boolean;
  readonly passages: Passages;
  readonly journal: JournalWriter;
  readonly clock: Clock;
  readonly log: Logger;
  readonly time: () => DecisionTime;
  readonly observe: (event: TerminalEvent) => void;
  readonly happened: (event: DoorEvent, doorId: string) => void;
  readonly tampered: (doorId: string) => void;
  /** what the readers of a door show may have changed */
  readonly indicate: (doorId: string) => void;
}

const longestLookMs = 60_000;

/** One strike, or one output of an elevator. */
interface Opening {
  readonly entry: DoorEntry;
  readonly floor?: string;
  readonly controller: DoorController;
}

/**
 * The doors of one terminal: carries grants to them, and keeps each in the mode that hours, cards and the state of the
 * site ask for. Looks again at every full minute, whenever a fact changes, and when a timed hold ends.
 */
export class Doors {
  readonly #parts: DoorsParts;
  readonly #openings: readonly Opening[];
  #cancelLook: CancelTimer | undefined;
  #stopped = false;

  constructor(parts: DoorsParts) {
    this.#parts = parts;
    this.#openings = parts.entries.flatMap((entry) =>
      entry.floors
        ? entry.floors.map((floor) => ({ entry, floor, controller: this.#build(entry, floor) }))
        : [{ entry, controller: this.#build(entry) }],
    );
  }

  /** Locks every door and begins to watch its inputs. */
  async start(): Promise<void> {
    await Promise.all(this.#openings.map(({ controller }) => controller.start()));
  }

  /** Begins to keep the doors in their modes; the policy and the journal are open. */
  async supervise(): Promise<void> {
    await this.#parts.policies.lookUp(() => this.#look());
  }

  /** Puts each door into its mode by what is known, and says when to look again. */
  #look(): void {
    if (this.#stopped) return;
    this.refresh();
    const time = this.#parts.time();
    this.#parts.policies.tell(time);
    const looks = this.#parts.entries.map(({ doorId }) => this.#nextLookMs(doorId, time));
    this.#cancelLook?.();
    this.#cancelLook = this.#parts.clock.after(
      Math.min(longestLookMs, ...looks),
      () => void this.supervise(),
    );
  }

  #nextLookMs(doorId: string, time: DecisionTime): number {
    try {
      return nextLookMs({ doorId, state: this.#parts.memory, time });
    } catch {
      // of a fact that cannot be read `refresh` tells
      return longestLookMs;
    }
  }

  /** A fact has changed: puts each door into its mode. */
  refresh(): void {
    const time = this.#parts.time();
    for (const opening of this.#openings) {
      try {
        opening.controller.want(wantedMode(this.#situation(opening, time)));
      } catch (error) {
        // a fact or a rule that cannot be read holds no door unlocked; taps meet the same fault and are denied
        this.#parts.log.error({ door: opening.entry.doorId, err: error }, 'the mode of a door is not known');
        opening.controller.want({ kind: 'normal' });
      }
    }
  }

  /**
   * Carries out a durable decision: at the door, or at those `floors` of an elevator, without which at all of them. One
   * floor freed is a grant used: of another whose output failed, the door tells.
   */
  async grant(
    doorId: string,
    grant: Grant,
    { locks, floors }: { readonly locks?: boolean; readonly floors?: readonly string[] },
  ): Promise<Actuation> {
    const all = this.#of(doorId);
    if (locks) {
      const locked = all.every(({ controller }) => controller.state.strike.kind === 'locked');
      return { kind: locked ? 'locked' : 'unlocked' };
    }
    const rules = this.#parts.policies.of(doorId)?.rules;
    if (grant.way && rules && entersEvacuated(grant.way, rules, this.#parts.memory))
      return { kind: 'refused', reason: 'evacuation' };
    return this.#open(all, grant, floors);
  }

  /** What a command to unlock a door would run into now, in the order of precedence. */
  objection(doorId: string): Objection | undefined {
    const all = this.#of(doorId);
    const zones = all.flatMap(({ entry }) => entry.zones);
    const condition = (['fire', 'evacuation'] as const).find((one) =>
      conditionHolds(one, zones, this.#parts.memory),
    );
    if (condition) return condition;
    if (all.some(({ controller }) => controller.state.tampered)) return 'tampered';
    return all.map(({ controller }) => controller.refusal(false)).find((one) => one !== undefined);
  }

  /** Carries out a durable command to unlock a door once, unless something stands in the way by now. */
  async unlock(
    doorId: string,
    grant: Grant,
    floors: readonly string[] | undefined,
  ): Promise<Actuation | { readonly kind: 'refused'; readonly reason: Objection }> {
    const reason = this.objection(doorId);
    return reason ? { kind: 'refused', reason } : this.#open(this.#of(doorId), grant, floors);
  }

  /** The doors as they are, for whoever looks into a terminal. */
  list(): Diagnostics['doors'] {
    return this.#openings.map(({ entry, floor, controller: { state } }) => ({
      door: entry.doorId,
      ...(floor === undefined ? {} : { floor }),
      state: doorStateName(state),
      mode: state.mode.kind === 'held' ? state.mode.by : state.mode.kind,
      locked: state.strike.kind === 'locked',
      ...(state.fault === undefined ? {} : { fault: state.fault }),
    }));
  }

  /** What the readers of a door show while no tap is going on: of an elevator, the most urgent of its floors. */
  resting(doorId: string): DoorIndication {
    const shown = new Set(this.#of(doorId).map(({ controller }) => restingIndication(controller.state)));
    return urgency.find((indication) => shown.has(indication)) ?? 'idle';
  }

  /** The state of a door, or of one output of an elevator by its `floorId`. */
  state(id: string): DoorState | undefined {
    return this.#openings.find((one) => idOf(one) === id)?.controller.state;
  }

  /** Locks every door; nothing that ends later moves one again. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelLook?.();
    const results = await Promise.allSettled(this.#openings.map(({ controller }) => controller.stop()));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  async #open(
    all: readonly Opening[],
    grant: Grant,
    floors: readonly string[] | undefined,
  ): Promise<Actuation> {
    const asked = all.filter(({ floor }) => !floor || !floors || floors.includes(floor));
    const done = await Promise.all(asked.map(({ controller }) => controller.grant(grant)));
    return (
      done.find(({ kind }) => kind === 'unlocked') ??
      done.find(({ kind }) => kind === 'failed') ??
      done[0] ?? { kind: 'refused', reason: 'no-permission' }
    );
  }

  #of(doorId: string): readonly Opening[] {
    return this.#openings.filter(({ entry }) => entry.doorId === doorId);
  }

  #build(entry: DoorEntry, floor?: string): DoorController {
    const { doorId, settings } = entry;
    const { hardware, journal, clock, log, passages, observe, happened, tampered, indicate } = this.#parts;
    const own = hardware.get(floor === undefined ? doorId : floorId(doorId, floor));
    if (!own)
      throw new Error(`no hardware for door ${doorId}${floor === undefined ? '' : ` floor ${floor}`}`);
    const place = floor === undefined ? { doorId } : { doorId, floor };
    return new DoorController({
      ...place,
      settings,
      hardware: own,
      journal,
      clock,
      log: log.child({ component: 'door', door: doorId, floor }),
      changed: (state, locked) => {
        observe({ kind: 'door', ...place, state, locked });
        this.#reconsiderAround(doorId);
      },
      surroundings: () => this.#surroundings(entry),
      happened: (event) => happened(event, doorId),
      notPassed: (occurrence) => passages.notPassed(occurrence, 'not-passed'),
      tampered: () => tampered(doorId),
      indicate: () => indicate(doorId),
    });
  }

  #situation({ entry, floor }: Opening, time: DecisionTime): DoorSituation {
    const { doorId, zones } = entry;
    const { memory, factsLoaded } = this.#parts;
    const place = floor === undefined ? { doorId } : { doorId, floor };
    const policy = this.#parts.policies.of(doorId);
    return { ...place, zones, policy, state: memory, factsUnread: !factsLoaded(), time };
  }

  #surroundings({ doorId, zones }: DoorEntry): Surroundings {
    const { memory } = this.#parts;
    let emergency = false;
    try {
      emergency = conditionHolds('fire', zones, memory) || conditionHolds('evacuation', zones, memory);
    } catch {
      // of a fact that cannot be read `refresh` tells; it frees nobody
    }
    return { others: this.#around(doorId), emergency };
  }

  #around(doorId: string): readonly DoorController[] {
    const ids = this.#parts.interlocks.filter((ids) => ids.includes(doorId)).flat();
    return this.#openings.flatMap(({ entry, controller }) =>
      entry.doorId !== doorId && ids.includes(entry.doorId) ? [controller] : [],
    );
  }

  #reconsiderAround(doorId: string): void {
    for (const controller of this.#around(doorId)) controller.reconsider();
  }
}

const urgency: readonly DoorIndication[] = ['alarm', 'fault', 'granted', 'locked-down', 'unlocked', 'idle'];

function idOf({ entry, floor }: Opening): string {
  return floor === undefined ? entry.doorId : floorId(entry.doorId, floor);
}
