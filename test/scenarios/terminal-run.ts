import { join } from 'node:path';
import { pino } from 'pino';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { HolderFactsStore } from '#adapters/sqlite/holder-facts-store.ts';
import { JournalStore } from '#adapters/sqlite/journal-store.ts';
import { PolicyStore } from '#adapters/sqlite/policy-store.ts';
import { auxiliaryId, floorId } from '#core/access/door-wiring.ts';
import type { CardProfile } from '#core/card/profile.ts';
import type { TerminalConfig } from '#core/config/terminal-config.ts';
import type { Command, CommandResult } from '#core/sync/command.ts';
import type { Indication } from '#ports/indicator.ts';
import type { PinPad } from '#ports/pin-pad.ts';
import type { Signing } from '#ports/signing.ts';
import { DirectReaders } from '#simulators/card/direct-readers.ts';
import type { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import type { SimulatedDoor } from '#simulators/door/simulated-door.ts';
import { type DoorLine, SimulatedDoorHardware } from '#simulators/door/simulated-hardware.ts';
import { terminalSettings } from '#terminal/config.ts';
import type { TerminalEvent } from '#terminal/events.ts';
import { createTerminal, type Terminal } from '#terminal/terminal.ts';
import type { DeviceKeys } from './device-keys.ts';
import { Work } from './work.ts';

export type TapEvent = Extract<TerminalEvent, { kind: 'tap' }>;

export interface RunParts {
  /** state directory, as the run before left it */
  readonly folder: string;
  readonly config: TerminalConfig;
  readonly profiles: readonly CardProfile[];
  readonly signing: Signing;
  readonly keys: DeviceKeys;
  readonly clock: SimulatedClock;
  /** by the id of the hardware */
  readonly doors: ReadonlyMap<string, SimulatedDoor>;
  readonly pads: ReadonlyMap<string, PinPad>;
  readonly shown: Map<string, Indication>;
}

/** Ids of all that the terminal drives and hears: doors, floors, inputs and outputs. */
export function hardwareIds({ doors, inputs, outputs }: TerminalConfig): readonly string[] {
  return [
    ...doors.flatMap(({ id, hardware: { floors } }) =>
      floors ? Object.keys(floors).map((floor) => floorId(id, floor)) : [id],
    ),
    ...inputs.map(({ id }) => auxiliaryId('input', id)),
    ...outputs.map(({ id }) => auxiliaryId('output', id)),
  ];
}

/** One run of the terminal, from power on to its end, with the real stores; only hardware, cards and time are simulated. */
export class TerminalRun {
  readonly work = new Work();
  readonly readers: DirectReaders;
  /** taps that have ended */
  readonly taps: TapEvent[] = [];
  readonly #terminal: Terminal;
  readonly #policy: PolicyStore;
  readonly #journal: JournalStore;

  private constructor({ folder, config, profiles, signing, keys, clock, doors, pads, shown }: RunParts) {
    const [file, journal] = [join(folder, 'policy.sqlite'), join(folder, 'journal.sqlite')];
    this.#policy = new PolicyStore({ file, journal });
    this.#journal = new JournalStore({
      file: journal,
      terminal: config.terminal,
      signing,
      clock,
      reserveMiB: 1,
    });
    this.readers = new DirectReaders({
      readers: config.readers.map(({ name }) => ({
        readerName: name,
        profileIds: profiles.map(({ id }) => id),
      })),
      profiles,
      keys,
      entropy: new SystemEntropy(),
      clock,
    });
    const settings = terminalSettings({ config, written: {}, profiles });
    this.#terminal = createTerminal(
      {
        readers: this.readers,
        doors: new Map(
          [...doors].map(([id, door]) => [
            id,
            new SimulatedDoorHardware({ line: this.#lineTo(door), after: clock.after.bind(clock) }),
          ]),
        ),
        indicators: new Map(
          config.readers.map(({ id }) => [id, { show: (indication) => shown.set(id, indication) }]),
        ),
        pinPads: pads,
        policy: this.work.watch(this.#policy),
        journal: this.work.watch(this.#journal),
        holders: this.work.watch(new HolderFactsStore({ file: journal })),
        clock,
        keyErasure: keys,
        log: pino({ level: 'silent' }),
        observe: (event) => {
          if (event.kind === 'tap') this.taps.push(event);
        },
      },
      { ...settings, virtualReaders: 'allowed' },
    );
  }

  static async start(parts: RunParts): Promise<TerminalRun> {
    const run = new TerminalRun(parts);
    await run.#terminal.start();
    await run.work.idle();
    return run;
  }

  /** Gives a command on the device, as somebody who stands there does. */
  async tell(command: Command): Promise<CommandResult> {
    const result = this.#terminal.commands.execute(command, 'local');
    await this.work.idle();
    return result;
  }

  async stop(): Promise<void> {
    await this.#terminal.stop();
  }

  /** The power fails: nothing moves, hears or is answered from now on. Resolves when the threads have gone. */
  async cut(): Promise<void> {
    this.work.cut();
    await Promise.all([this.#policy.stop(), this.#journal.stop()]);
  }

  /** Doors answer in simulated time: nothing waits for them. */
  #lineTo(door: SimulatedDoor): DoorLine {
    const { work } = this;
    return {
      set: (locked, cause) => work.unlessCut(() => door.set(locked, cause)),
      watch: (watcher) => door.watch((wires) => void (work.isCut() || watcher(wires))),
    };
  }
}
