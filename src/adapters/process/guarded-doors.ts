import { fileURLToPath } from 'node:url';
import type { HardwarePart } from '#core/access/door-wiring.ts';
import { Fault } from '#core/fault.ts';
import type { DoorHardware, DoorHardwareSet } from '#ports/door.ts';
import type { Indication, Indicator } from '#ports/indicator.ts';
import { aliveEveryMs, type GuardOffer, type TerminalOffer } from './door-guard-protocol.ts';
import { GuardedDoor, lostFault } from './guarded-door.ts';
import type { Link } from './link.ts';
import { SupervisedChild } from './supervised-child.ts';

/** how long the guard may take to load its hardware modules, from a slow disk while a device boots, and open them, in milliseconds */
const openWithinMs = 30_000;

export interface GuardedDoorsOptions {
  /** hardware modules and what each drives; loaded in the guard process alone */
  readonly parts: readonly HardwarePart[];
  readonly doorIds: readonly string[];
  readonly readerIds: readonly string[];
}

/**
 * The doors and indicators of one terminal, held by a guard process: when the terminal dies or hangs, the guard locks
 * every strike at once; when the guard dies, another begins by locking, and the doors show a fault meanwhile.
 */
export class GuardedDoors implements DoorHardwareSet {
  readonly doors: ReadonlyMap<string, DoorHardware>;
  readonly indicators: ReadonlyMap<string, Indicator>;
  readonly #guarded: ReadonlyMap<string, GuardedDoor>;
  readonly #child: SupervisedChild<GuardOffer>;
  readonly #shown = new Map<string, Indication>();
  readonly #parts: readonly HardwarePart[];
  /** set while a guard has its hardware open */
  #link: Link<GuardOffer> | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #firstAttempt: (() => void) | undefined;

  constructor(options: GuardedDoorsOptions) {
    this.#parts = options.parts;
    const access = { link: () => this.#openLink(), replace: () => this.#child.restart() };
    this.#guarded = new Map(options.doorIds.map((id) => [id, new GuardedDoor(id, access)]));
    this.doors = this.#guarded;
    this.indicators = new Map(
      options.readerIds.map((reader) => [reader, { show: (indication) => this.#show(reader, indication) }]),
    );
    const offer: TerminalOffer = { input: ({ door, input }) => this.#guarded.get(door)?.told(input) };
    this.#child = new SupervisedChild<GuardOffer>({
      module: fileURLToPath(new URL('./door-guard-main.ts', import.meta.url)),
      offer,
      started: (link) => this.#started(link as unknown as Link<GuardOffer>),
      lost: (fault) => this.#lost(fault),
    });
  }

  /** Resolves when the guard has opened the hardware, or has failed to a first time: it goes on trying. */
  async start(): Promise<void> {
    const attempted = new Promise<void>((resolve) => {
      this.#firstAttempt = resolve;
    });
    this.#child.start();
    this.#heartbeat = setInterval(() => this.#link?.notify('alive', undefined), aliveEveryMs);
    await attempted;
  }

  /** Lets the guard go: it locks everything and leaves. */
  async stop(): Promise<void> {
    clearInterval(this.#heartbeat);
    this.#link = undefined;
    await this.#child.stop();
  }

  /** Process id of the living guard, for tests and diagnostics. */
  guardPid(): number | undefined {
    return this.#child.pid();
  }

  async #started(link: Link<GuardOffer>): Promise<void> {
    try {
      await link.call('open', this.#parts, openWithinMs);
    } catch (error) {
      this.#attempted(lostFault(error));
      throw error;
    }
    this.#link = link;
    for (const [reader, indication] of this.#shown) link.notify('show', { reader, indication });
    await Promise.all([...this.#guarded.values()].map((door) => door.begin()));
    this.#attempted();
  }

  #lost(fault: Fault): void {
    this.#link = undefined;
    this.#attempted(lostFault(fault));
  }

  #attempted(fault?: Fault): void {
    if (fault) for (const door of this.#guarded.values()) door.guardLost(fault);
    this.#firstAttempt?.();
    this.#firstAttempt = undefined;
  }

  #openLink(): Link<GuardOffer> {
    if (!this.#link) throw new Fault('process-lost', 'the guard of the doors is being started');
    return this.#link;
  }

  #show(reader: string, indication: Indication): void {
    this.#shown.set(reader, indication);
    this.#link?.notify('show', { reader, indication });
  }
}
