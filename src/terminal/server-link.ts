import type { Logger } from 'pino';
import type { FaultCode } from '#core/fault.ts';
import { stateEveryMs, type TerminalState, terminalStateBytes } from '#core/sync/presence.ts';
import type { DownKind } from '#core/sync/topics.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { BusState, DownMessage, MessageBus, UpMessage } from '#ports/message-bus.ts';
import type { Terminal } from './terminal.ts';

/**
 * What becomes of a message, by its kind. It resolves soon: until then nothing else is heard from the server. What it
 * throws is logged.
 */
export type DownHandlers = ReadonlyMap<DownKind, (payload: Uint8Array) => Promise<void>>;

/** Who is told whether the server is reached; both return at once. */
export interface LinkParticipant {
  /** At each connection, before anything is received over it; nothing published before is still under way. */
  connected(): void;
  lost(): void;
}

export interface ServerLinkParts {
  readonly bus: MessageBus;
  readonly terminal: Pick<Terminal, 'diagnostics' | 'places' | 'policySync' | 'journal'>;
  readonly handlers: DownHandlers;
  readonly participants: readonly LinkParticipant[];
  readonly clock: Clock;
  readonly log: Logger;
}

/** how long the broker may take to hear that this terminal stops, in milliseconds */
const farewellWithinMs = 500;

const gone = (why: 'stopped' | 'lost'): UpMessage => stateMessage({ ...head, presence: 'gone', why });
const head = { type: 'terminal-state', format: 1 } as const;

function stateMessage(state: TerminalState): UpMessage {
  return { kind: 'state', payload: terminalStateBytes(state) };
}

/** What the broker says of this terminal when its connection ends without leave. */
export const lastWill = (): UpMessage => gone('lost');

/** What goes on between a terminal and its server: says how it is, takes what the server says. Nothing waits for it. */
export class ServerLink {
  readonly #parts: ServerLinkParts;
  #connected = false;
  #stopped = false;
  /** why it is not connected, as it was told last */
  #fault: FaultCode | undefined;
  #next: CancelTimer | undefined;

  constructor(parts: ServerLinkParts) {
    this.#parts = parts;
  }

  async start(): Promise<void> {
    await this.#parts.bus.start({
      received: (message) => this.#received(message),
      changed: (state) => this.#changed(state),
    });
  }

  async stop(): Promise<void> {
    const { bus, clock } = this.#parts;
    this.#stopped = true;
    this.#next?.();
    if (this.#connected) {
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const cancel = clock.after(farewellWithinMs, resolve);
      await Promise.race([bus.publish(gone('stopped')), late]);
      cancel();
    }
    await bus.stop();
  }

  /** Nothing that comes from outside may end this terminal, or close its ears. */
  async #received({ kind, payload }: DownMessage): Promise<void> {
    const { handlers, log } = this.#parts;
    try {
      await handlers.get(kind)?.(payload);
    } catch (error) {
      log.error({ err: error, kind }, 'a message of the server could not be taken');
    }
  }

  #changed(state: BusState): void {
    const { log, participants } = this.#parts;
    if (state.kind === 'connected') {
      this.#connected = true;
      this.#fault = undefined;
      log.info('connected to the server');
      for (const participant of participants) participant.connected();
      this.#tellSoon();
      return;
    }
    this.#next?.();
    if (this.#connected) for (const participant of participants) participant.lost();
    this.#connected = false;
    if (!state.fault || state.fault.code === this.#fault) return;
    // each try that fails says the same again
    this.#fault = state.fault.code;
    log.warn({ fault: state.fault.code }, state.fault.message);
  }

  /** What is too much to be told ends no terminal either. */
  #tellSoon(): void {
    this.#tell().catch((error: unknown) => this.#parts.log.error({ err: error }, 'the state was not told'));
  }

  async #tell(): Promise<void> {
    const { terminal, bus, clock } = this.#parts;
    this.#next?.();
    const { parameters: _, ...device } = await terminal.diagnostics();
    if (this.#stopped || !this.#connected) return;
    this.#next?.();
    this.#next = clock.after(stateEveryMs, () => this.#tellSoon());
    const { places, policySync, journal } = terminal;
    const [policy, incarnation] = [policySync?.status(), journal.head()?.incarnation];
    const told = { ...(incarnation !== undefined && { incarnation }), ...(policy && { policy }) };
    await bus.publish(stateMessage({ ...head, presence: 'here', device, places, ...told }));
  }
}
