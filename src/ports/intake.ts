import type { TerminalIdentity } from '#core/sync/terminal-identity.ts';
import type { DownKind } from '#core/sync/topics.ts';
import type { BusState, PublishOutcome, UpMessage } from './message-bus.ts';

/** What a terminal tells, with who it is by its certificate. */
export interface TakenMessage extends UpMessage {
  readonly from: TerminalIdentity;
}

export interface OutgoingMessage {
  readonly to: TerminalIdentity;
  readonly kind: DownKind;
  readonly payload: Uint8Array;
  /** A broker that can keeps the last of its kind for a terminal that comes later, unless it is killed; RabbitMQ keeps none. */
  readonly retain?: true;
}

export interface IntakeHandlers {
  /**
   * Commits a batch: messages in the order each terminal sent them, one batch of an organization after another. While
   * it runs, brokers are slowed down and not served from memory. What it rejects with a fault comes again some times
   * where the broker keeps it (a quorum queue), in parts and with what was committed of it, and is lost elsewhere:
   * terminals send again what they got no answer to.
   */
  readonly consume: (batch: readonly TakenMessage[]) => Promise<void>;
  /** Each change. At `connected` the broker may have forgotten everything retained. */
  readonly changed: (state: BusState) => void;
}

/** The server's way to all terminals: consume, commit, acknowledge. The same for every kind of broker. */
export interface Intake {
  /** Begins to connect, again and again. Never rejects for a broker that is away. */
  start(handlers: IntakeHandlers): Promise<void>;
  /** Takes no more, waits for the batch under way, and takes leave. */
  stop(): Promise<void>;
  /** Resolves with what became of it. Throws TypeError for a payload above `maxPayloadBytes`. */
  publish(message: OutgoingMessage): Promise<PublishOutcome>;
}
