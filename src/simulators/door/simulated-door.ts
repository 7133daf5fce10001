import { Fault } from '#core/fault.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { Indication } from '#ports/indicator.ts';

/** The wires of a door as hardware would show them; `present` is false while the line to it is cut. */
export interface DoorWires {
  readonly present: boolean;
  readonly locked: boolean;
  readonly open: boolean;
  readonly exitPressed: boolean;
  readonly tampered: boolean;
  /** somebody stands where the gate closes */
  readonly obstructed: boolean;
  /** somebody is passing the gate */
  readonly passing: boolean;
}

/** The wires of a door that is locked, closed and left alone. */
export const quietWires: DoorWires = {
  present: true,
  locked: true,
  open: false,
  exitPressed: false,
  tampered: false,
  obstructed: false,
  passing: false,
};

/** What whoever stands at the door does when the strike unlocks. */
export type Visitor =
  | { readonly kind: 'none' }
  | { readonly kind: 'passes'; readonly openAfterMs: number; readonly closeAfterMs: number }
  | { readonly kind: 'holds-open'; readonly openAfterMs: number };

/** How the hardware misbehaves; `{}` is hardware that works. */
export interface DoorMisbehaviour {
  /** the relay moves this late, in milliseconds */
  readonly slowMs?: number;
  /** the relay does not leave this state */
  readonly stuck?: 'locked' | 'unlocked';
  /** the reading back tells the opposite */
  readonly readBackWrong?: boolean;
  /** the line is cut: nothing is heard or moved, and the relay stays as it is */
  readonly lineGone?: boolean;
}

/** One thing the door saw, as it stands in its record. */
export interface DoorObservation {
  /** CLOCK_MONOTONIC, equal in all processes of this boot */
  readonly atUs: number;
  readonly door: string;
  readonly what:
    | 'strike'
    | 'command'
    | 'leaf'
    | 'exit-request'
    | 'tamper'
    | 'obstruction'
    | 'passage'
    | 'indication'
    | 'client';
  readonly locked?: boolean;
  readonly open?: boolean;
  readonly active?: boolean;
  readonly indication?: Indication;
  readonly reader?: string;
  readonly connected?: boolean;
  /** of a command: the tap that caused it */
  readonly cause?: string;
}

/**
 * A door with strike, contact, exit button, tamper switch and a visitor. Its relay stays as last set when whoever
 * drove it dies, like a real one; it keeps a record of its own of everything that happened to it.
 */
export class SimulatedDoor {
  readonly id: string;
  readonly #clock: Clock;
  readonly #record: (observation: DoorObservation) => void;
  readonly #watchers = new Set<(wires: DoorWires) => void>();
  #wires = quietWires;
  #misbehaviour: DoorMisbehaviour = {};
  #visitor: Visitor = { kind: 'none' };
  #cancelVisit: CancelTimer | undefined;

  constructor(parts: { id: string; clock: Clock; record: (observation: DoorObservation) => void }) {
    this.id = parts.id;
    this.#clock = parts.clock;
    this.#record = parts.record;
  }

  /** The wires as they truly are, whatever the hardware makes of them. */
  wires(): DoorWires {
    return this.#wires;
  }

  /** Drives the relay and reads it back: resolves with whether it tells that it is locked. Rejects when cut off. */
  async set(locked: boolean, cause?: string): Promise<boolean> {
    this.#requirePresent();
    this.#note({ what: 'command', locked, ...(cause === undefined ? {} : { cause }) });
    const { slowMs = 0 } = this.#misbehaviour;
    if (slowMs > 0) await new Promise<void>((resolve) => void this.#clock.after(slowMs, resolve));
    this.#requirePresent();
    const { stuck } = this.#misbehaviour;
    this.#moveStrike(stuck ? stuck === 'locked' : locked);
    return this.#misbehaviour.readBackWrong ? !this.#wires.locked : this.#wires.locked;
  }

  /** Calls `watcher` with the wires now and after each change. */
  watch(watcher: (wires: DoorWires) => void): () => void {
    this.#watchers.add(watcher);
    watcher(this.#wires);
    return () => {
      this.#watchers.delete(watcher);
    };
  }

  /** Pushes against the leaf: it opens only when the strike lets it. Returns whether it opened. */
  push(): boolean {
    if (!this.#wires.locked) this.#change({ open: true }, { what: 'leaf', open: true });
    return this.#wires.open;
  }

  /** Breaks the leaf open, strike or not. */
  force(): void {
    this.#change({ open: true }, { what: 'leaf', open: true });
  }

  close(): void {
    this.#cancelVisit?.();
    this.#change({ open: false }, { what: 'leaf', open: false });
  }

  pressExit(pressed: boolean): void {
    this.#change({ exitPressed: pressed }, { what: 'exit-request', active: pressed });
  }

  tamper(active: boolean): void {
    this.#change({ tampered: active }, { what: 'tamper', active });
  }

  /** Steps into the gate, or out of it. */
  obstruct(active: boolean): void {
    this.#change({ obstructed: active }, { what: 'obstruction', active });
  }

  /** Breaks, or restores, the light beam that counts who passes. */
  pass(active: boolean): void {
    this.#change({ passing: active }, { what: 'passage', active });
  }

  visit(visitor: Visitor): void {
    this.#cancelVisit?.();
    this.#visitor = visitor;
  }

  /** From now on the hardware behaves like this. A cut line and its repair are told to the watchers. */
  misbehave(misbehaviour: DoorMisbehaviour): void {
    this.#misbehaviour = misbehaviour;
    this.#wires = { ...this.#wires, present: misbehaviour.lineGone !== true };
    this.#tellWatchers();
  }

  /** What the reader at this door shows. */
  indicate(reader: string, indication: Indication): void {
    this.#note({ what: 'indication', reader, indication });
  }

  /** A process took or lost its hold of the door's wires. */
  clientChanged(connected: boolean): void {
    this.#note({ what: 'client', connected });
  }

  #moveStrike(locked: boolean): void {
    if (locked === this.#wires.locked) return;
    this.#change({ locked }, { what: 'strike', locked });
    if (!locked) this.#startVisit();
  }

  #startVisit(): void {
    const visitor = this.#visitor;
    if (visitor.kind === 'none') return;
    this.#cancelVisit?.();
    this.#cancelVisit = this.#clock.after(visitor.openAfterMs, () => {
      if (!this.push() || visitor.kind !== 'passes') return;
      this.#cancelVisit = this.#clock.after(visitor.closeAfterMs, () => this.close());
    });
  }

  #requirePresent(): void {
    if (!this.#wires.present) throw new Fault('door-hardware-absent', `the line to door ${this.id} is cut`);
  }

  #change(change: Partial<DoorWires>, observation: Omit<DoorObservation, 'atUs' | 'door'>): void {
    const wires = { ...this.#wires, ...change };
    if (Object.entries(change).every(([wire, value]) => this.#wires[wire as keyof DoorWires] === value))
      return;
    this.#wires = wires;
    this.#note(observation);
    this.#tellWatchers();
  }

  #tellWatchers(): void {
    for (const watcher of this.#watchers) watcher(this.#wires);
  }

  #note(observation: Omit<DoorObservation, 'atUs' | 'door'>): void {
    this.#record({ atUs: this.#clock.monotonicUs(), door: this.id, ...observation });
  }
}
