import type { Logger } from 'pino';
import type { FaultCode } from '#core/fault.ts';
import { stateEveryMs, type TerminalState, terminalStateBytes } from '#core/sync/presence.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { BusState, DownMessage, MessageBus, UpMessage } from '#ports/message-bus.ts';
import type { Terminal } from './terminal.ts';

export interface ServerLinkParts {
  readonly bus: MessageBus;
  readonly terminal: Pick<Terminal, 'diagnostics' | 'policySync'>;
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

  async #received({ kind, payload }: DownMessage): Promise<void> {
    const { policySync } = this.#parts.terminal;
    if (kind === 'manifest') await policySync?.manifestReceived(payload);
    else if (kind === 'revocation') await policySync?.revocationReceived(payload);
  }

  #changed(state: BusState): void {
    const { log } = this.#parts;
    if (state.kind === 'connected') {
      this.#connected = true;
      this.#fault = undefined;
      log.info('connected to the server');
      void this.#tell();
      return;
    }
    this.#next?.();
    this.#connected = false;
    if (!state.fault || state.fault.code === this.#fault) return;
    // each try that fails says the same again
    this.#fault = state.fault.code;
    log.warn({ fault: state.fault.code }, state.fault.message);
  }

  async #tell(): Promise<void> {
    const { terminal, bus, clock } = this.#parts;
    this.#next?.();
    const { parameters: _, ...device } = await terminal.diagnostics();
    if (this.#stopped || !this.#connected) return;
    this.#next?.();
    this.#next = clock.after(stateEveryMs, () => void this.#tell());
    await bus.publish(stateMessage({ ...head, presence: 'here', device }));
  }
}
