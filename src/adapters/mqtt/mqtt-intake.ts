import { issuanceUsername } from '#core/sync/terminal-identity.ts';
import { downTopic, parseUpTopic, upFilter } from '#core/sync/topics.ts';
import type { Intake, IntakeHandlers, OutgoingMessage, TakenMessage } from '#ports/intake.ts';
import type { PublishOutcome } from '#ports/message-bus.ts';
import { Inbox } from './inbox.ts';
import { MqttLink, type MqttLinkOptions } from './mqtt-link.ts';

export interface MqttIntakeOptions
  extends Pick<MqttLinkOptions, 'address' | 'credentials' | 'clock' | 'random' | 'retry'> {
  /** A batch was not committed: terminals will send again what is in it. */
  readonly failed: (error: unknown) => void;
}

const outgoing = { messages: 10_000, bytes: 64 * 1_048_576 };
const incoming = { messages: 1_000, bytes: 32 * 1_048_576 };
/** of one commit */
const mostInBatch = 500;

/** The server's intake over a subscription at an MQTT broker. What comes while a batch commits is the next batch. */
export class MqttIntake implements Intake {
  readonly #options: MqttIntakeOptions;
  readonly #link: MqttLink;
  #inbox: Inbox<TakenMessage> | undefined;

  constructor(options: MqttIntakeOptions) {
    this.#options = options;
    this.#link = new MqttLink({ ...options, username: issuanceUsername, filter: upFilter, limits: outgoing });
  }

  async start({ consume, changed }: IntakeHandlers): Promise<void> {
    const inbox = new Inbox<TakenMessage>({
      take: consume,
      failed: this.#options.failed,
      mostInBatch,
      limits: incoming,
      bytesOf: ({ payload }) => payload.length,
    });
    this.#inbox = inbox;
    this.#link.start({
      received: async ({ topic, payload, retained }) => {
        const told = parseUpTopic(topic);
        // no terminal has its messages kept: one that is there is old, and brought about by somebody
        if (told && !retained) await inbox.put({ ...told, payload });
      },
      changed,
    });
  }

  async stop(): Promise<void> {
    await this.#link.stop();
    await this.#inbox?.close();
  }

  async publish({ to, kind, payload, retain }: OutgoingMessage): Promise<PublishOutcome> {
    return this.#link.publish(downTopic(to, kind), payload, retain === true);
  }
}
