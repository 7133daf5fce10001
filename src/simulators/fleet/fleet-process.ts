import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { FleetOrder, FleetPlan, FleetPrepared, FleetReport, FleetStatus } from './fleet-protocol.ts';
import type { Passage } from './network-faults.ts';

const main = fileURLToPath(new URL('fleet-main.ts', import.meta.url));

/** A fleet in a process of its own, at a core of its own where one is named, so that it takes nothing from the server. */
export class FleetProcess {
  readonly #core: number | undefined;
  #child: ChildProcess | undefined;

  constructor(parts: { readonly core: number | undefined }) {
    this.#core = parts.core;
  }

  start(): void {
    const words = [process.execPath, '--max-old-space-size=6144', main];
    const [program = '', ...rest] =
      this.#core === undefined ? words : ['taskset', '-c', String(this.#core), ...words];
    this.#child = spawn(program, rest, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
    });
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null) return;
    const ended = once(child, 'exit');
    child.disconnect();
    await ended;
  }

  prepare(plan: FleetPlan): Promise<FleetPrepared> {
    return this.#ordered({ kind: 'prepare', plan });
  }

  /** Resolves when all are connected. */
  connect(overMs: number): Promise<void> {
    return this.#ordered({ kind: 'connect', overMs });
  }

  begin(): Promise<void> {
    return this.#ordered({ kind: 'begin' });
  }

  network(open: boolean): Promise<void> {
    return this.#ordered({ kind: 'network', open });
  }

  /** Resolves to how many connections were cut. */
  cut(share: number): Promise<number> {
    return this.#ordered({ kind: 'cut', share });
  }

  /** Resolves to how many connections pass so from now on. */
  pass(passage: Passage, share: number): Promise<number> {
    return this.#ordered({ kind: 'pass', passage, share });
  }

  status(): Promise<FleetStatus> {
    return this.#ordered({ kind: 'status' });
  }

  report(): Promise<FleetReport> {
    return this.#ordered({ kind: 'report' });
  }

  /** Orders are given one after another. Rejects where the process ends. */
  #ordered<T>(order: FleetOrder): Promise<T> {
    const child = this.#child;
    if (!child) throw new Error('the fleet is not started');
    return new Promise((resolve, reject) => {
      const answered = ({ answer }: { readonly answer: T }): void => {
        child.off('exit', ended);
        resolve(answer);
      };
      const ended = (code: number | null): void => {
        child.off('message', answered as (message: unknown) => void);
        reject(new Error(`the fleet has ended: ${code}`));
      };
      child.once('message', answered as (message: unknown) => void);
      child.once('exit', ended);
      child.send(order);
    });
  }
}
