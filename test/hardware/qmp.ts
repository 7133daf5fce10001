import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as pass } from 'node:timers/promises';

interface Message {
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
  readonly event?: string;
  readonly data?: { readonly [name: string]: unknown };
}

/** how often the socket of a machine that starts is tried, in milliseconds */
const tryEveryMs = 50;

/** The monitor of a qemu (docs/interop/qmp-spec.txt of qemu): one command at a time, and what the machine tells. */
export class Qmp {
  readonly #socket: Socket;
  /** events so far, by name */
  readonly #events: string[] = [];
  #answer: ((message: Message) => void) | undefined;
  #told: (() => void)[] = [];
  #closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Connects to the monitor at `path`, as soon as there is one; `alive` tells whether there may still be. */
  static async connect(path: string, alive: () => boolean): Promise<Qmp> {
    for (;;) {
      const socket = connect(path);
      try {
        await once(socket, 'connect');
        const qmp = new Qmp(socket);
        qmp.#listen();
        await qmp.command('qmp_capabilities');
        return qmp;
      } catch (error) {
        if (!alive()) throw new Error('the machine ended before its monitor answered', { cause: error });
        await pass(tryEveryMs);
      }
    }
  }

  /** Gives a command and resolves with what it returns; rejects when qemu refuses it, or ends. */
  async command(execute: string, words: { readonly [name: string]: unknown } = {}): Promise<unknown> {
    const answered = new Promise<Message>((resolve) => {
      this.#answer = resolve;
    });
    this.#socket.write(`${JSON.stringify({ execute, arguments: words })}\n`);
    const { error, return: value } = await answered;
    if (error) throw new Error(`${execute}: ${error.desc}`);
    return value;
  }

  /** how many events of this name have been told so far */
  count(event: string): number {
    return this.#events.filter((name) => name === event).length;
  }

  /** Resolves when more than `before` events of this name have been told; rejects when the machine ends. */
  async event(name: string, before = 0): Promise<void> {
    while (this.count(name) <= before) {
      if (this.#closed) throw new Error(`the machine ended without ${name}`);
      await new Promise<void>((resolve) => this.#told.push(resolve));
    }
  }

  #listen(): void {
    const lines = createInterface(this.#socket);
    lines.on('line', (line) => this.#take(JSON.parse(line) as Message));
    // a machine that is killed resets the connection; the close says so
    for (const told of [lines, this.#socket]) told.on('error', () => undefined);
    this.#socket.once('close', () => {
      this.#closed = true;
      this.#answer?.({ error: { desc: 'the machine ended' } });
      this.#wake();
    });
  }

  #take(message: Message): void {
    if (message.event !== undefined) {
      this.#events.push(message.event);
      this.#wake();
    } else if ('return' in message || message.error) {
      this.#answer?.(message);
    }
  }

  #wake(): void {
    const told = this.#told;
    this.#told = [];
    for (const tell of told) tell();
  }
}
