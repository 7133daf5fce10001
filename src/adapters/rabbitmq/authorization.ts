import { timingSafeEqual } from 'node:crypto';
import {
  issuanceUsername,
  parseBrokerUsername,
  type TerminalIdentity,
} from '#core/sync/terminal-identity.ts';
import { parseDownTopic, parseUpTopic } from '#core/sync/topics.ts';
import { exchange, toTopic, upQueue } from './names.ts';

/** What is asked of each name and topic. */
export interface AuthorizationParts {
  /** whether some certificate of a terminal is good; the broker has verified which one it shows */
  readonly admits: (terminal: TerminalIdentity) => boolean;
  /** what issuance servers show to speak AMQP */
  readonly password: Uint8Array;
}

/** A question of the plugin `rabbitmq_auth_backend_http`: what it sends, by name. */
export type Question = ReadonlyMap<string, string>;

/** Answers the questions of a node of RabbitMQ, so that it permits what the other brokers do. */
export class Authorization {
  readonly #parts: AuthorizationParts;

  constructor(parts: AuthorizationParts) {
    this.#parts = parts;
  }

  /** Whether what `kind` asks is allowed; never, where it is not understood. */
  allows(kind: string, question: Question): boolean {
    const username = question.get('username') ?? '';
    const terminal = parseBrokerUsername(username);
    if (username !== issuanceUsername && !(terminal && this.#parts.admits(terminal))) return false;
    switch (kind) {
      case 'user':
        return this.#mayEnter(question, terminal);
      case 'vhost':
        return question.get('vhost') === '/' && hasOwnClientId(question, terminal);
      case 'resource':
        return terminal ? terminalMayUse(question, username) : serverMayUse(question);
      case 'topic':
        return terminal ? terminalMayTell(question, username) : serverMayTell(question);
      default:
        return false;
    }
  }

  /** By certificate where no password comes; a password is that of a server that speaks AMQP, and nobody else's. */
  #mayEnter(question: Question, terminal: TerminalIdentity | undefined): boolean {
    const shown = question.get('password');
    if (shown === undefined) return true;
    const bytes = Buffer.from(shown);
    const { password } = this.#parts;
    return !terminal && bytes.length === password.length && timingSafeEqual(bytes, password);
  }
}

/** Sessions are known by client ids. A server may take over any: so it ends that of a terminal that was shut out. */
function hasOwnClientId(question: Question, terminal: TerminalIdentity | undefined): boolean {
  const clientId = question.get('client_id');
  return !terminal || clientId === question.get('username');
}

/** The plugin of MQTT makes a queue for each session, named after its client id. */
function terminalMayUse(question: Question, username: string): boolean {
  const name = question.get('name') ?? '';
  switch (question.get('resource')) {
    case 'queue':
      return [0, 1].some((qos) => name === `mqtt-subscription-${username}qos${qos}`);
    case 'exchange':
      return name === exchange && question.get('permission') !== 'configure';
    default:
      return false;
  }
}

function serverMayUse(question: Question): boolean {
  const name = question.get('name') ?? '';
  switch (question.get('resource')) {
    case 'queue':
      return name === upQueue || name.startsWith('mqtt-subscription-');
    case 'exchange':
      return name === exchange && question.get('permission') !== 'configure';
    default:
      return false;
  }
}

function terminalMayTell(question: Question, username: string): boolean {
  const topic = toTopic(question.get('routing_key') ?? '');
  if (question.get('name') !== exchange) return false;
  const [, name, , kind] = topic.split('/');
  switch (question.get('permission')) {
    case 'write':
      return name === username && parseUpTopic(topic) !== undefined;
    case 'read':
      // the filter of all that is for a terminal, or one kind of it
      return (
        name === username &&
        (kind === '*' || kind === '+'
          ? topic === `k1/${username}/down/${kind}`
          : parseDownTopic(topic) !== undefined)
      );
    default:
      return false;
  }
}

function serverMayTell(question: Question): boolean {
  const topic = toTopic(question.get('routing_key') ?? '');
  return (
    question.get('name') === exchange &&
    (question.get('permission') === 'read' || parseDownTopic(topic) !== undefined)
  );
}
