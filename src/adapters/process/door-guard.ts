import { pathToFileURL } from 'node:url';
import type { HardwarePart } from '#core/access/door-wiring.ts';
import type { After } from '#core/access/strike-keeper.ts';
import { Fault } from '#core/fault.ts';
import type { DoorHardware, DoorHardwareModule, DoorInput } from '#ports/door.ts';
import type { Indicator } from '#ports/indicator.ts';
import { type GuardOffer, silenceCheckMs, silenceLimitMs } from './door-guard-protocol.ts';
import { JoinedDoor } from './joined-door.ts';

/** how long after a failure the last locking is tried again, in milliseconds */
const closeRetryMs = 100;

export interface DoorGuardParts {
  readonly tell: (door: string, input: DoorInput) => void;
  readonly after: After;
  readonly monotonicMs: () => number;
}

/**
 * Owns the door hardware of one terminal in a process of its own. It unlocks when told, and locks without being
 * told: when a limit is over (the hardware adapters), and when the terminal falls silent while a strike is unlocked.
 */
export class DoorGuard {
  readonly #parts: DoorGuardParts;
  #doors = new Map<string, DoorHardware>();
  #indicators = new Map<string, Indicator>();
  readonly #started = new Set<string>();
  readonly #unlocked = new Set<string>();
  #lastHeardMs: number;
  #cancelCheck: (() => void) | undefined;

  constructor(parts: DoorGuardParts) {
    this.#parts = parts;
    this.#lastHeardMs = parts.monotonicMs();
  }

  offer(): GuardOffer {
    return {
      open: (parts) => this.#open(parts),
      startDoor: (door) => this.#startDoor(door),
      unlock: (command) => this.#unlock(command),
      lock: (door) => this.#lock(door),
      stopDoor: (door) => this.#stopDoor(door),
      show: ({ reader, indication }) => this.#indicators.get(reader)?.show(indication),
      alive: () => this.#heard(),
    };
  }

  /** Locks every door now; doors whose hardware fails keep trying by themselves. */
  async lockAll(): Promise<void> {
    this.#unlocked.clear();
    await Promise.allSettled(this.#inService().map((door) => door.lock()));
  }

  /**
   * Locks every door, again and again until its hardware obeys, and releases it; whoever waits sets the limit. The
   * readers say from now on that they are out of service.
   */
  async close(): Promise<void> {
    this.#cancelCheck?.();
    this.#unlocked.clear();
    const closed = this.#inService().map((door) => this.#closeDoor(door));
    for (const indicator of this.#indicators.values()) indicator.show('fault');
    await Promise.all(closed);
  }

  async #closeDoor(door: DoorHardware): Promise<void> {
    for (;;) {
      try {
        await door.lock();
        await door.stop();
        return;
      } catch {
        await new Promise<void>((resolve) => void this.#parts.after(closeRetryMs, resolve));
      }
    }
  }

  async #open(hardwareParts: readonly HardwarePart[]): Promise<void> {
    const doors = new Map<string, DoorHardware[]>();
    for (const { module, options } of hardwareParts) {
      const { openHardware } = (await import(pathToFileURL(module).href)) as DoorHardwareModule;
      const set = await openHardware(options);
      for (const [id, door] of set.doors) doors.set(id, [...(doors.get(id) ?? []), door]);
      for (const [id, indicator] of set.indicators) this.#indicators.set(id, indicator);
    }
    this.#doors = new Map([...doors].map(([id, parts]) => [id, new JoinedDoor(parts)]));
    this.#heard();
  }

  async #startDoor(id: string): Promise<void> {
    const door = this.#door(id);
    this.#started.add(id);
    await door.start((input) => {
      if (input.kind === 'strike') this.#strikeSeen(id, input.locked);
      this.#parts.tell(id, input);
    });
  }

  /** A lock that ends after the next unlock was given must not hide that unlock from the watch. */
  #strikeSeen(id: string, locked: boolean): void {
    if (locked) {
      this.#unlocked.delete(id);
      return;
    }
    this.#unlocked.add(id);
    this.#watchSilence();
  }

  async #unlock(command: { door: string; limitMs: number; cause?: string }): Promise<void> {
    const door = this.#door(command.door);
    this.#heard();
    this.#unlocked.add(command.door);
    this.#watchSilence();
    await door.unlock(command.limitMs, command.cause);
  }

  async #lock(id: string): Promise<void> {
    this.#heard();
    this.#unlocked.delete(id);
    await this.#door(id).lock();
  }

  async #stopDoor(id: string): Promise<void> {
    this.#unlocked.delete(id);
    this.#started.delete(id);
    await this.#door(id).stop();
  }

  #inService(): readonly DoorHardware[] {
    return [...this.#started].map((id) => this.#door(id));
  }

  #door(id: string): DoorHardware {
    const door = this.#doors.get(id);
    if (!door) throw new Fault('door-hardware-absent', `no hardware is wired to door ${id}`);
    return door;
  }

  #heard(): void {
    this.#lastHeardMs = this.#parts.monotonicMs();
  }

  #watchSilence(): void {
    if (this.#cancelCheck) return;
    this.#cancelCheck = this.#parts.after(silenceCheckMs, () => {
      this.#cancelCheck = undefined;
      if (this.#unlocked.size === 0) return;
      if (this.#parts.monotonicMs() - this.#lastHeardMs > silenceLimitMs) void this.lockAll();
      else this.#watchSilence();
    });
  }
}
