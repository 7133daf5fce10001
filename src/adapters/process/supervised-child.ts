import { type ChildProcess, fork } from 'node:child_process';
import { Fault } from '#core/fault.ts';
import { Link, type Offer } from './link.ts';

/** How often a child says that its event loop turns, and how long its silence is borne. */
export const heartbeatEveryMs = 500;
const defaultSilenceLimitMs = 2_500;
/** how much longer it is borne until it has started: a child says nothing while it loads modules, slowly on a busy device */
const loadingMs = 7_500;
/** how often that is doubled for children that did not get so far: on a yet slower device none would ever */
const loadingDoublings = 3;
const restartDelaysMs = [0, 100, 250, 500, 1_000, 2_000];
/** a child that lived this long starts the delays from the beginning */
const healthyAfterMs = 10_000;
/** the same for a child that left by itself with code 0, asking for a fresh one */
const orderlyAfterMs = 500;

export interface SupervisedChildOptions {
  /** absolute path of the module the child runs */
  readonly module: string;
  readonly arguments?: readonly string[];
  /** variables added to the environment of the child */
  readonly environment?: Readonly<Record<string, string>>;
  /** how long its silence is borne, in milliseconds (default 2,500); longer where its work blocks it within limits of its own */
  readonly silenceLimitMs?: number;
  /** what the child may call here */
  readonly offer: Offer;
  /** Runs for each new child once it has loaded its modules; a rejection ends that child. */
  readonly started: (link: Link<never>) => Promise<void>;
  /** Runs when a child ended without `stop`; a new one follows after a delay. */
  readonly lost: (fault: Fault) => void;
}

/**
 * One child process that is started again whenever it dies, hangs or loses its channel. Native bindings that can
 * crash, block or spin live in such a child, so that their failure is not the gate's.
 */
export class SupervisedChild<Remote extends Offer> {
  readonly #options: SupervisedChildOptions;
  #child: ChildProcess | undefined;
  #link: Link<Remote> | undefined;
  #watch: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #failures = 0;
  /** how many children in a row were silent for too long before they had started */
  #tooSlow = 0;
  #stopping = false;
  #lastHeard = 0;

  constructor(options: SupervisedChildOptions) {
    this.#options = options;
  }

  /** Starts the first child; a child that cannot start is retried in the background, so this never rejects. */
  start(): void {
    this.#stopping = false;
    this.#spawn();
  }

  /** The link to the living child. Throws a Fault `process-lost` while there is none. */
  link(): Link<Remote> {
    if (!this.#link) throw new Fault('process-lost', 'the child process is being restarted');
    return this.#link;
  }

  /** Process id of the living child, for tests and diagnostics. */
  pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Kills the child so that a fresh one starts (used when a call of it hangs). */
  restart(): void {
    this.#child?.kill('SIGKILL');
  }

  /** Ends the child: closes its channel, waits `graceMs` for it to leave by itself, then kills it. */
  async stop(graceMs = 2_000): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#retry);
    const child = this.#child;
    if (!child) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      child.once('exit', () => {
        clearTimeout(timer);
        resolve();
      });
      if (child.connected) child.disconnect();
    });
  }

  #spawn(): void {
    const bornAt = performance.now();
    const child = fork(this.#options.module, [...(this.#options.arguments ?? [])], {
      serialization: 'advanced',
      env: { ...process.env, ...this.#options.environment },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const link = new Link<Remote>({ send: (message) => child.send(message as object) }, this.#options.offer);
    const startingMs = loadingMs * 2 ** Math.min(this.#tooSlow, loadingDoublings);
    let heard = false;
    let started = false;
    const start = async (): Promise<void> => {
      await this.#options.started(link as unknown as Link<never>);
      started = true;
      this.#tooSlow = 0;
    };
    this.#child = child;
    this.#lastHeard = bornAt;
    child.on('message', (message) => {
      this.#lastHeard = performance.now();
      if (!heard) start().catch(() => child.kill('SIGKILL'));
      heard = true;
      if (message !== 'alive') link.receive(message);
    });
    child.on('error', () => {
      // one that the system could not start (no processes or files left) has no exit to wait for
      if (child.pid === undefined) child.emit('exit', null, null);
      else child.kill('SIGKILL');
    });
    child.once('exit', (code, signal) => {
      clearInterval(this.#watch);
      const how = child.pid === undefined ? 'could not be started' : `ended (${signal ?? `code ${code}`})`;
      const fault = new Fault('process-lost', `child process ${how}`);
      link.close(fault);
      this.#child = undefined;
      this.#link = undefined;
      if (this.#stopping) return;
      this.#options.lost(fault);
      const aliveMs = performance.now() - bornAt;
      this.#spawnLater(aliveMs > (code === 0 ? orderlyAfterMs : healthyAfterMs));
    });
    const { silenceLimitMs = defaultSilenceLimitMs } = this.#options;
    const silent = (): boolean =>
      performance.now() - this.#lastHeard > silenceLimitMs + (started ? 0 : startingMs);
    const watch = setInterval(() => {
      // where it was this process that stood still, what the child said has yet to be read
      if (silent()) setImmediate(endIfSilent);
    }, heartbeatEveryMs);
    const endIfSilent = (): void => {
      if (this.#child !== child || !silent()) return;
      clearInterval(watch);
      if (!started) this.#tooSlow += 1;
      child.kill('SIGKILL');
    };
    this.#watch = watch;
    this.#link = link;
  }

  #spawnLater(healthy: boolean): void {
    this.#failures = healthy ? 0 : this.#failures + 1;
    const delay = restartDelaysMs[Math.min(this.#failures, restartDelaysMs.length - 1)] ?? 0;
    this.#retry = setTimeout(() => this.#spawn(), delay);
  }
}
