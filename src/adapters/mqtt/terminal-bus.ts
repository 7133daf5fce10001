import { brokerUsername, type TerminalIdentity } from '#core/sync/terminal-identity.ts';
import { downFilter, parseDownTopic, upTopic } from '#core/sync/topics.ts';
import type { BusHandlers, DownMessage, MessageBus, PublishOutcome, UpMessage } from '#ports/message-bus.ts';
import { Inbox } from './inbox.ts';
import { MqttLink, type MqttLinkOptions } from './mqtt-link.ts';

export interface TerminalBusOptions
  extends Pick<MqttLinkOptions, 'address' | 'credentials' | 'clock' | 'random' | 'retry'> {
  readonly identity: TerminalIdentity;
  /** what the broker tells the server when this terminal is gone without leave */
  readonly will?: UpMessage;
  /** A message was not taken by whoever receives; the next one comes all the same. */
  readonly failed: (error: unknown) => void;
}

/** on a device with little memory */
const outgoing = { messages: 256, bytes: 2 * 1_048_576 };
const incoming = { messages: 256, bytes: 2 * 1_048_576 };

/** The terminal's bus over MQTT. */
export class TerminalBus implements MessageBus {
  readonly #identity: TerminalIdentity;
  readonly #link: MqttLink;
  readonly #failed: (error: unknown) => void;
  #inbox: Inbox<DownMessage> | undefined;

  constructor({ identity, will, failed, ...options }: TerminalBusOptions) {
    this.#identity = identity;
    this.#failed = failed;
    this.#link = new MqttLink({
      ...options,
      username: brokerUsername(identity),
      filter: downFilter(identity),
      limits: outgoing,
      ...(will && { will: { topic: upTopic(identity, will.kind), payload: will.payload } }),
    });
  }

  async start({ received, changed }: BusHandlers): Promise<void> {
    const inbox = new Inbox<DownMessage>({
      take: async ([message]) => message && received(message),
      failed: this.#failed,
      mostInBatch: 1,
      limits: incoming,
      bytesOf: ({ payload }) => payload.length,
    });
    this.#inbox = inbox;
    this.#link.start({
      received: async ({ topic, payload }) => {
        const told = parseDownTopic(topic);
        // another's message would be the broker's mistake; who signed it is asked of every message anyway
        if (told && brokerUsername(told.to) === brokerUsername(this.#identity)) {
          await inbox.put({ kind: told.kind, payload });
        }
      },
      changed,
    });
  }

  async stop(): Promise<void> {
    await this.#link.stop();
    await this.#inbox?.close();
  }

  async publish({ kind, payload }: UpMessage): Promise<PublishOutcome> {
    return this.#link.publish(upTopic(this.#identity, kind), payload, false);
  }
}
