import type { FaultRecord } from '#core/fault.ts';
import type { DownKind, UpKind } from '#core/sync/topics.ts';

/** What the server tells this terminal; at most `maxPayloadBytes`. It may come again, and late. */
export interface DownMessage {
  readonly kind: DownKind;
  readonly payload: Uint8Array;
}

export interface UpMessage {
  readonly kind: UpKind;
  readonly payload: Uint8Array;
}

/** Whether the broker is reached. `fault`: why not, where more than its absence is known. */
export type BusState =
  | { readonly kind: 'connected' }
  | { readonly kind: 'away'; readonly fault?: FaultRecord };

/**
 * `taken`: the broker has it, which never means that it is stored anywhere: only the server's own acknowledgement
 * does. `full`: too much waits already, nothing was done. `away`: the broker is not reached, or was lost before it
 * answered, so that it may have it or not.
 */
export type PublishOutcome = 'taken' | 'full' | 'away';

export interface BusHandlers {
  /**
   * One after another: the next comes when it has resolved, so that it is to be soon. Where it rejects, the message is
   * lost, somebody is told, and the next one comes; nothing brings it again, and it was acknowledged before.
   */
  readonly received: (message: DownMessage) => Promise<void>;
  /** Each change; nothing that was published before a `connected` is still under way. */
  readonly changed: (state: BusState) => void;
}

/** The terminal's way to the server. Nothing is kept over a lost connection: whoever publishes says it again. */
export interface MessageBus {
  /** Begins to connect, again and again with growing, scattered delays. Never rejects for a broker that is away. */
  start(handlers: BusHandlers): Promise<void>;
  /** Takes leave in order, so that no will is published. Publishes under way resolve with `away`. */
  stop(): Promise<void>;
  /** Resolves with what became of it. Throws TypeError for a payload above `maxPayloadBytes`. */
  publish(message: UpMessage): Promise<PublishOutcome>;
}
