import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { HardwarePart } from '#core/access/door-wiring.ts';
import { DoorClient } from '#simulators/door/door-client.ts';
import { readDoorRecord } from '#simulators/door/door-record.ts';
import type { DoorObservation } from '#simulators/door/simulated-door.ts';

const doorMain = fileURLToPath(import.meta.resolve('#simulators/door/door-main.ts'));
const hardwareModule = fileURLToPath(import.meta.resolve('#simulators/door/door-hardware.ts'));

/** A process of simulated doors for one test, with its socket, its record and somebody standing at the doors. */
export class DoorProcess {
  readonly directory = mkdtempSync(join(tmpdir(), 'kazasu-door-'));
  readonly socketPath = join(this.directory, 'door.sock');
  readonly recordPath = join(this.directory, 'door.jsonl');
  readonly person = new DoorClient(this.socketPath);
  readonly #doors: readonly string[];
  #process: ChildProcess | undefined;

  constructor(doors: readonly string[] = ['front']) {
    this.#doors = doors;
  }

  async start(): Promise<void> {
    const doors = this.#doors.flatMap((door) => ['--door', door]);
    const child = spawn(
      process.execPath,
      [doorMain, '--socket', this.socketPath, '--record', this.recordPath, ...doors],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    this.#process = child;
    await once(child.stdout, 'data');
  }

  /** What a guard loads to drive these doors. */
  hardware(readers: Readonly<Record<string, string>> = {}): HardwarePart {
    return {
      module: hardwareModule,
      options: { socketPath: this.socketPath, doors: [...this.#doors], readers },
    };
  }

  record(): readonly DoorObservation[] {
    return readDoorRecord(this.recordPath);
  }

  /** The relay as the record last saw it move. */
  locked(door = 'front'): boolean {
    const moves = this.record().filter((seen) => seen.door === door && seen.what === 'strike');
    return moves.at(-1)?.locked ?? true;
  }

  async stop(): Promise<void> {
    this.person.close();
    if (this.#process && this.#process.exitCode === null) {
      this.#process.kill('SIGKILL');
      await once(this.#process, 'exit');
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}
