import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { Fault } from '#core/fault.ts';
import { vpcdPort } from './vpcd-link.ts';

const socketPath = '/run/pcscd/pcscd.comm';
const startLimitMs = 5_000;
const pollEveryMs = 20;
const stopLimitMs = 3_000;
/** LISTEN in /proc/net/tcp (include/net/tcp_states.h) */
const tcpListen = '0A';

/** What of the card stack is there: the daemon, and its driver for virtual readers. */
export interface CardStack {
  readonly pcscd: boolean;
  readonly vpcd: boolean;
}

/**
 * Whether pcscd answers on its socket and vpcd listens. The latter is read from the kernel's table: connecting
 * would be a card.
 */
export async function findCardStack(): Promise<CardStack> {
  const [pcscd, vpcd] = await Promise.all([answers(socketPath), listens(vpcdPort)]);
  return { pcscd, vpcd };
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function listens(port: number): Promise<boolean> {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const text = await readFile(table, 'utf8').catch(() => '');
    for (const line of text.split('\n')) {
      const [, local, , state] = line.trim().split(/\s+/);
      if (state === tcpListen && local?.endsWith(suffix)) return true;
    }
  }
  return false;
}

/** A pcscd that this program started and owns. */
export class Pcscd {
  readonly #process: ChildProcess;
  readonly #ended: Promise<void>;

  constructor(process: ChildProcess) {
    this.#process = process;
    this.#ended = new Promise((resolve) => process.once('exit', () => resolve()));
  }

  /** Lets it close its readers and leave; kills it when it has not left after 3 s. */
  async stop(): Promise<void> {
    this.#process.kill('SIGTERM');
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), stopLimitMs);
    await this.#ended;
    clearTimeout(timer);
  }

  /** Kills it as a crash would, leaving its socket and pid file behind. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#ended;
  }

  /** Stops it in its tracks (SIGSTOP) until `resume`. */
  suspend(): void {
    this.#process.kill('SIGSTOP');
  }

  resume(): void {
    this.#process.kill('SIGCONT');
  }
}

export interface PcscdOptions {
  /** file that describes the readers, instead of those in /etc/reader.conf.d */
  readonly readerConfiguration?: string;
}

/**
 * Starts `pcscd --foreground` (needs root) and resolves when it answers and vpcd listens. Rejects with a Fault
 * `reader-service-absent` that says what is missing.
 */
export async function startPcscd({ readerConfiguration }: PcscdOptions = {}): Promise<Pcscd> {
  const configuration = readerConfiguration === undefined ? [] : ['--config', readerConfiguration];
  const child = spawn('pcscd', ['--foreground', ...configuration], { stdio: 'ignore' });
  let failure: string | undefined;
  child.once('error', () => {
    failure = 'the program pcscd is not installed';
  });
  child.once('exit', (code, signal) => {
    failure ??= `pcscd ended at once (${signal ?? `code ${code}`}); it needs root`;
  });
  const deadline = performance.now() + startLimitMs;
  for (;;) {
    const stack = await findCardStack();
    if (failure === undefined && stack.pcscd && stack.vpcd) return new Pcscd(child);
    if (failure === undefined && performance.now() > deadline) {
      failure = stack.pcscd ? 'pcscd has no vpcd driver (Debian: vsmartcard-vpcd)' : 'pcscd does not answer';
      child.kill('SIGKILL');
    }
    if (failure !== undefined) throw new Fault('reader-service-absent', failure);
    await new Promise((resolve) => setTimeout(resolve, pollEveryMs));
  }
}
