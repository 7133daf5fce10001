import { brokerUsername, parseBrokerUsername, type TerminalIdentity } from './terminal-identity.ts';

/** What a terminal tells the server. Brokers permit exactly these. */
export const upKinds = ['journal', 'live', 'state', 'group', 'result'] as const;
export type UpKind = (typeof upKinds)[number];

/** What the server tells a terminal. */
export const downKinds = ['manifest', 'revocation', 'command', 'ack', 'group'] as const;
export type DownKind = (typeof downKinds)[number];

/** The largest payload either side sends, in bytes. */
export const maxPayloadBytes = 256 * 1024;
/** With topic and header. A broker cuts off whoever sends more. */
export const maxPacketBytes = maxPayloadBytes + 1024;

/** First level of every topic; a change of what topics mean is a new one. */
const era = 'k1';

export function upTopic(terminal: TerminalIdentity, kind: UpKind): string {
  return topicPattern(brokerUsername(terminal), 'up', kind);
}

export function downTopic(terminal: TerminalIdentity, kind: DownKind): string {
  return topicPattern(brokerUsername(terminal), 'down', kind);
}

/** Topics by their parts, any of which may be a wildcard or what a broker replaces. */
export function topicPattern(username: string, direction: 'up' | 'down', kind: string): string {
  return `${era}/${username}/${direction}/${kind}`;
}

/** Everything that is for `terminal`: the one filter that it may subscribe to. */
export function downFilter(terminal: TerminalIdentity): string {
  return topicPattern(brokerUsername(terminal), 'down', '+');
}

/** What every terminal tells: the one filter of the server. */
export const upFilter = topicPattern('+', 'up', '+');

/** Who tells what by a topic; undefined for every topic that {@link upTopic} does not make. */
export function parseUpTopic(
  topic: string,
): { readonly from: TerminalIdentity; readonly kind: UpKind } | undefined {
  const [first, username = '', direction, name, ...more] = topic.split('/');
  const kind = upKinds.find((known) => known === name);
  const from = parseBrokerUsername(username);
  if (first !== era || direction !== 'up' || more.length > 0 || !kind || !from) return undefined;
  return { from, kind };
}

/** What is told to whom by a topic; undefined for every topic that {@link downTopic} does not make. */
export function parseDownTopic(
  topic: string,
): { readonly to: TerminalIdentity; readonly kind: DownKind } | undefined {
  const [first, username = '', direction, name, ...more] = topic.split('/');
  const kind = downKinds.find((known) => known === name);
  const to = parseBrokerUsername(username);
  if (first !== era || direction !== 'down' || more.length > 0 || !kind || !to) return undefined;
  return { to, kind };
}
