import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { HardwarePart } from '#core/access/door-wiring.ts';
import { Fault } from '#core/fault.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import { DoorClient } from '#simulators/door/door-client.ts';
import type { DoorAct } from '#simulators/door/door-protocol.ts';
import { shipped } from './files.ts';
import type { DoorPerson, DoorPlan } from './site-parts.ts';

const readyWithinMs = 10_000;
/** how long a person needs to push an unlocked door, to pass it, and to press a button */
const walking = { openAfterMs: 650, closeAfterMs: 2_600 } as const;
const buttonPressMs = 300;

/** The simulated doors in a process of their own, and the people in front of them. */
export class DoorWorld {
  readonly people: ReadonlyMap<string, DoorPerson>;
  readonly #plan: readonly DoorPlan[];
  readonly #recordPath: string;
  readonly #directory: string;
  readonly #client: DoorClient;
  readonly #persons: readonly Person[];
  #process: ChildProcess | undefined;

  constructor(parts: {
    plan: readonly DoorPlan[];
    clock: Clock;
    /** where the doors keep their own record */
    recordPath: string;
    /** of its own, for the socket: socket paths are short */
    directory: string;
    failed: (error: unknown) => void;
  }) {
    this.#plan = parts.plan;
    this.#recordPath = parts.recordPath;
    this.#directory = parts.directory;
    this.#client = new DoorClient(this.#socketPath());
    this.#persons = parts.plan.map(({ doorId }) => {
      const act = (what: DoorAct) => void this.#client.act(doorId, what).catch(parts.failed);
      return new Person({ doorId, act, clock: parts.clock });
    });
    this.people = new Map(this.#persons.map((person) => [person.doorId, person]));
  }

  /** What the guard of some doors loads to drive them. */
  hardware(plan: readonly DoorPlan[]): HardwarePart {
    return {
      module: shipped('../door/door-hardware.ts'),
      options: {
        socketPath: this.#socketPath(),
        doors: plan.map(({ doorId }) => doorId),
        readers: Object.fromEntries(plan.map(({ readerId, doorId }) => [readerId, doorId])),
      },
    };
  }

  /** Starts the process. Rejects with a Fault `process-lost` when it ends or says nothing. */
  async start(): Promise<void> {
    const doors = this.#plan.flatMap(({ doorId }) => ['--door', doorId]);
    const child = spawn(
      process.execPath,
      [
        '--disable-warning=ExperimentalWarning',
        fileURLToPath(new URL('./door-process.ts', import.meta.url)),
        '--socket',
        this.#socketPath(),
        '--record',
        this.#recordPath,
        ...doors,
      ],
      // a group of its own: Ctrl-C is the site's to handle, which locks the doors before they go
      { stdio: ['pipe', 'pipe', 'inherit'], detached: true },
    );
    this.#process = child;
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string) =>
        reject(new Fault('process-lost', `the process of the simulated doors ${why}`));
      const timer = setTimeout(() => fail(`said nothing for ${readyWithinMs} ms`), readyWithinMs);
      child.once('exit', () => fail('ended'));
      child.once('error', () => fail('could not be started'));
      child.stdout?.once('data', () => {
        clearTimeout(timer);
        resolve();
      });
    });
    for (const person of this.#persons) person.letClose();
  }

  async stop(): Promise<void> {
    for (const person of this.#persons) person.leave();
    this.#client.close();
    const child = this.#process;
    if (child && child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
    }
    await rm(this.#directory, { recursive: true, force: true });
  }

  #socketPath(): string {
    return join(this.#directory, 'doors');
  }
}

/** A folder for the socket of the doors. */
export function makeSocketDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'kazasu-site-'));
}

class Person implements DoorPerson {
  readonly doorId: string;
  readonly #act: (what: DoorAct) => void;
  readonly #clock: Clock;
  #cancel: CancelTimer | undefined;

  constructor(parts: { doorId: string; act: (what: DoorAct) => void; clock: Clock }) {
    this.doorId = parts.doorId;
    this.#act = parts.act;
    this.#clock = parts.clock;
  }

  push(): void {
    this.leave();
    this.#act({ act: 'push' });
    this.#cancel = this.#clock.after(walking.closeAfterMs, () => this.#act({ act: 'close' }));
  }

  holdOpen(): void {
    this.leave();
    this.#act({ act: 'visit', visitor: { kind: 'holds-open', openAfterMs: walking.openAfterMs } });
    this.#act({ act: 'push' });
  }

  force(): void {
    this.leave();
    this.#act({ act: 'force' });
  }

  letClose(): void {
    this.leave();
    this.#act({ act: 'visit', visitor: { kind: 'passes', ...walking } });
    this.#act({ act: 'close' });
  }

  pressExit(): void {
    this.#act({ act: 'press-exit', pressed: true });
    this.#clock.after(buttonPressMs, () => this.#act({ act: 'press-exit', pressed: false }));
  }

  /** Whatever this person was about to do is not done. */
  leave(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
