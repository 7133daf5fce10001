import {
  downFilter,
  downKinds,
  downTopic,
  parseDownTopic,
  upFilter,
  upKinds,
  upTopic,
} from '#core/sync/topics.ts';
import type { Peer } from './peer.ts';

/** What a message says of itself. */
export interface Published {
  readonly topic: string;
  readonly qos: number;
  readonly retain: boolean;
}

/** What each peer may publish and hear; the same that {@link mosquittoAccess} writes for mosquitto. */
export interface PeerPermissions {
  publish(message: Published): boolean;
  subscribe(filter: string): boolean;
  hear(topic: string): boolean;
}

export function permissionsOf(peer: Peer): PeerPermissions {
  if (peer.kind === 'issuance') {
    return {
      publish: ({ topic, qos }) => qos < 2 && parseDownTopic(topic) !== undefined,
      subscribe: (filter) => filter === upFilter,
      hear: (topic) => !topic.startsWith('$'),
    };
  }
  const { identity } = peer;
  const up: ReadonlySet<string> = new Set(upKinds.map((kind) => upTopic(identity, kind)));
  const down: ReadonlySet<string> = new Set(downKinds.map((kind) => downTopic(identity, kind)));
  return {
    publish: ({ topic, qos, retain }) => qos < 2 && !retain && up.has(topic),
    subscribe: (filter) => filter === downFilter(identity) || down.has(filter),
    hear: (topic) => down.has(topic),
  };
}
