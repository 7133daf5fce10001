import { Fault, type FaultRecord, fromFaultRecord, isFault, toFaultRecord } from '#core/fault.ts';

/** The functions one side offers to the other; arguments and results must be structured-cloneable. */
export type Offer = { readonly [method: string]: (argument: never) => unknown };
type Argument<F> = F extends (argument: infer A) => unknown ? A : never;
type Result<F> = F extends (argument: never) => infer R ? Received<Awaited<R>> : never;
type Received<R> = R extends Transient<infer T> ? T : R;

/** The part of a process channel that a link needs; `send` returns false or throws when the channel is gone. */
export interface Channel {
  send(message: unknown): void;
}

/** A result that is to leave no copy here: Link sends `value` and then zeroes the `secrets` inside it. */
export class Transient<T = unknown> {
  readonly value: T;
  readonly #secrets: readonly Uint8Array[];

  constructor(value: T, secrets: readonly Uint8Array[]) {
    this.value = value;
    this.#secrets = secrets;
  }

  wipe(): void {
    for (const secret of this.#secrets) secret.fill(0);
  }
}

type Message =
  | { readonly call: number; readonly method: string; readonly argument: unknown }
  | { readonly notice: string; readonly argument: unknown }
  | { readonly reply: number; readonly result: unknown }
  | { readonly reply: number; readonly fault: FaultRecord }
  | { readonly reply: number; readonly bug: string };

interface Pending {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * Calls and notices in both directions over one process channel. Faults cross as faults; a bug on the other side
 * rejects the call as `process-lost`. Every call has a deadline.
 */
export class Link<Remote extends Offer> {
  readonly #channel: Channel;
  readonly #offer: Offer;
  readonly #pending = new Map<number, Pending>();
  #lastCall = 0;
  #closed: Fault | undefined;

  constructor(channel: Channel, offer: Offer) {
    this.#channel = channel;
    this.#offer = offer;
  }

  /** Calls `method` on the other side. Rejects with `deadline-exceeded` after `timeoutMs` milliseconds. */
  call<M extends keyof Remote & string>(
    method: M,
    argument: Argument<Remote[M]>,
    timeoutMs: number,
  ): Promise<Result<Remote[M]>> {
    if (this.#closed) return Promise.reject(this.#closed);
    this.#lastCall += 1;
    const call = this.#lastCall;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(call);
        reject(new Fault('deadline-exceeded', `no answer to ${method} within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#pending.set(call, { resolve: resolve as (result: unknown) => void, reject, timer });
      this.#send({ call, method, argument });
    });
  }

  /** Tells the other side something that needs no answer; silently dropped when the channel is gone. */
  notify<M extends keyof Remote & string>(method: M, argument: Argument<Remote[M]>): void {
    if (!this.#closed) this.#send({ notice: method, argument });
  }

  /**
   * Takes a message that arrived on the channel; one that arrives after `close` is dropped, its sender being gone. An
   * answer that nobody waits for any more, as of keys that came late, is zeroed.
   */
  receive(raw: unknown): void {
    const message = raw as Message;
    if (this.#closed) {
      if ('result' in message) zeroBytesIn(message.result);
      return;
    }
    if ('notice' in message) {
      this.#offer[message.notice]?.(message.argument as never);
    } else if ('call' in message) {
      void this.#answer(message.call, message.method, message.argument);
    } else {
      const pending = this.#pending.get(message.reply);
      if (!pending) {
        if ('result' in message) zeroBytesIn(message.result);
        return;
      }
      this.#pending.delete(message.reply);
      clearTimeout(pending.timer);
      if ('fault' in message) pending.reject(fromFaultRecord(message.fault));
      else if ('bug' in message) pending.reject(new Fault('process-lost', message.bug));
      else pending.resolve(message.result);
    }
  }

  /** Rejects everything outstanding and every later call with `fault`, and takes no more messages. */
  close(fault: Fault): void {
    this.#closed = fault;
    for (const pending of this.#pending.values()) {
      clearTimeout(pending.timer);
      pending.reject(fault);
    }
    this.#pending.clear();
  }

  async #answer(call: number, method: string, argument: unknown): Promise<void> {
    try {
      const handler = this.#offer[method];
      if (!handler) throw new Error(`no method ${method}`);
      const result = await handler(argument as never);
      if (result instanceof Transient) {
        this.#send({ reply: call, result: result.value });
        result.wipe();
      } else {
        this.#send({ reply: call, result });
      }
    } catch (error) {
      if (isFault(error)) this.#send({ reply: call, fault: toFaultRecord(error) });
      else this.#send({ reply: call, bug: error instanceof Error ? error.message : String(error) });
    }
  }

  #send(message: Message): void {
    try {
      this.#channel.send(message);
    } catch (error) {
      this.close(new Fault('process-lost', 'the channel to the other process is closed', { cause: error }));
    }
  }
}

/** Zeroes the byte strings of an answer, which stand in it as members. */
function zeroBytesIn(result: unknown): void {
  if (typeof result !== 'object' || result === null) return;
  for (const member of Object.values(result)) if (member instanceof Uint8Array) member.fill(0);
}
