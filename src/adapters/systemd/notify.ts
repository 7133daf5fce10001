import { execFile } from 'node:child_process';
import type { CancelTimer, Clock } from '#ports/clock.ts';

/** Runs `systemd-notify` with these arguments; rejects when it fails. */
export type RunNotify = (notifications: readonly string[]) => Promise<void>;

export interface ServiceNotifierParts {
  readonly clock: Clock;
  /** of this process: NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID */
  readonly environment: { readonly [name: string]: string | undefined };
  readonly processId: number;
  readonly run?: RunNotify;
  /** told when the service manager could not be reached, for the log */
  readonly onFailure: (error: unknown) => void;
}

/** how much longer a start may take each time it asks, in microseconds, and how often it asks: two messages may be lost */
const startExtendedByUs = 120_000_000;
const extendEveryMs = 30_000;

/**
 * Tells systemd that the service is ready, alive, stopping. Node has no datagram sockets of the Unix domain, so the
 * program `systemd-notify` speaks: without its `--no-block` it stays until the manager has taken the message (a
 * barrier, systemd 246 and later), which closes the race of senders that are gone before they can be attributed.
 * It sends under its own process id, so that the unit needs NotifyAccess=all. Outside systemd nothing happens.
 */
export class ServiceNotifier {
  readonly #parts: ServiceNotifierParts;
  readonly #run: RunNotify;
  readonly #active: boolean;
  /** how often the watchdog is fed, a third of its limit: two messages may be lost or late */
  readonly #feedEveryUs: number | undefined;
  #queue: Promise<void> = Promise.resolve();
  #starting = true;
  #feeding = false;
  #nextFeedUs = 0;

  constructor(parts: ServiceNotifierParts) {
    const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = parts.environment;
    this.#parts = parts;
    this.#run = parts.run ?? runSystemdNotify;
    this.#active = NOTIFY_SOCKET !== undefined && NOTIFY_SOCKET !== '';
    const ours = WATCHDOG_PID === undefined || Number(WATCHDOG_PID) === parts.processId;
    const limitUs = Number(WATCHDOG_USEC ?? '0');
    this.#feedEveryUs = this.#active && ours && limitUs > 0 ? limitUs / 3 : undefined;
  }

  /**
   * Has systemd wait longer for the start than the unit says, until `work` settles: for as long as this process turns.
   * Once the service is ready nothing is asked, since that would hold up its watchdog.
   */
  async extendStart(work: Promise<unknown>): Promise<void> {
    let cancel: CancelTimer | undefined;
    const ask = (): void => {
      if (!this.#starting) return;
      void this.#send([`EXTEND_TIMEOUT_USEC=${startExtendedByUs}`]);
      cancel = this.#parts.clock.after(extendEveryMs, ask);
    };
    ask();
    await Promise.allSettled([work]);
    cancel?.();
  }

  /** Start-up is done; `status` is the line `systemctl status` shows. Resolves when the manager has taken it. */
  ready(status: string): Promise<void> {
    this.#starting = false;
    return this.#send(['--ready', `--status=${oneLine(status)}`]);
  }

  status(status: string): Promise<void> {
    return this.#send([`--status=${oneLine(status)}`]);
  }

  stopping(): Promise<void> {
    return this.#send(['STOPPING=1']);
  }

  /**
   * To be called whenever the tap loop has shown that it turns, however often: the watchdog is fed a few times
   * within its limit, and not at all once the calls cease.
   */
  feed(): void {
    if (this.#feedEveryUs === undefined || this.#feeding) return;
    const nowUs = this.#parts.clock.monotonicUs();
    if (nowUs < this.#nextFeedUs) return;
    this.#nextFeedUs = nowUs + this.#feedEveryUs;
    this.#feeding = true;
    void this.#send(['WATCHDOG=1']).finally(() => {
      this.#feeding = false;
    });
  }

  /** In order, one at a time; a failure is told and not thrown, as no service ends for a lost message. */
  #send(notifications: readonly string[]): Promise<void> {
    if (!this.#active) return Promise.resolve();
    this.#queue = this.#queue.then(() => this.#run(notifications)).catch(this.#parts.onFailure);
    return this.#queue;
  }
}

/** longer than any manager that is alive takes, in milliseconds */
const notifyWithinMs = 5_000;

const runSystemdNotify: RunNotify = (notifications) =>
  new Promise((resolve, reject) => {
    execFile('systemd-notify', [...notifications], { timeout: notifyWithinMs }, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });

function oneLine(text: string): string {
  return text.replaceAll(/[\r\n]+/g, ' ');
}
