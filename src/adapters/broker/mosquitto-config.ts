import { issuanceUsername } from '#core/sync/terminal-identity.ts';
import { downKinds, maxPacketBytes, maxPayloadBytes, topicPattern, upKinds } from '#core/sync/topics.ts';

/** Where mosquitto finds what it needs; absolute paths, readable by the user it runs as. */
export interface MosquittoFiles {
  readonly address: string;
  readonly port: number;
  /** certificate of the broker with the authorities below the root, and its key; PEM */
  readonly certificates: string;
  readonly privateKey: string;
  /** the platform's authority alone: those of the organizations come with each terminal's certificate; PEM */
  readonly authorities: string;
  /** the revocation lists of every authority that issues certificates to clients, one after another; PEM */
  readonly revocationLists: string;
  /** what {@link mosquittoAccess} wrote */
  readonly access: string;
  /** where its process id is put, for whoever tells it of changed lists */
  readonly pidFile?: string;
}

/** what the broker holds for one client, in bytes: beyond it messages are dropped, and terminals send them again */
const mostQueuedBytes = 64 * 1_048_576;
/** a client that is silent for 1.5 times what it announced is gone */
const longestKeepaliveS = 120;

/**
 * Configuration of mosquitto (2.0.11 or later). The certificate is the whole identity: the subject is the name, and the
 * name the client id, so that nobody takes over the session of another.
 */
export function mosquittoConfig(files: MosquittoFiles): string {
  const settings: readonly (readonly [string, string | number])[] = [
    ['per_listener_settings', 'false'],
    ['listener', `${files.port} ${files.address}`],
    ['protocol', 'mqtt'],
    ['tls_version', 'tlsv1.3'],
    ['certfile', files.certificates],
    ['keyfile', files.privateKey],
    ['cafile', files.authorities],
    ['crlfile', files.revocationLists],
    ['require_certificate', 'true'],
    ['use_subject_as_username', 'true'],
    ['use_username_as_clientid', 'true'],
    ['allow_anonymous', 'false'],
    ['acl_file', files.access],
    // the listener takes all connections, and the broker serves whom it has
    ['max_connections', -1],
    ['max_keepalive', longestKeepaliveS],
    ['max_packet_size', maxPacketBytes],
    ['message_size_limit', maxPayloadBytes],
    ['max_qos', 1],
    ['max_inflight_messages', 1_000],
    // the usual 1,000 messages would be dropped beyond without a word; the bytes are what bounds the memory
    ['max_queued_messages', 0],
    ['max_queued_bytes', mostQueuedBytes],
    ['persistent_client_expiration', '1d'],
    ['retain_available', 'true'],
    ['set_tcp_nodelay', 'true'],
    // whatever is retained is said again whenever the server reaches the broker
    ['persistence', 'false'],
    ['sys_interval', 0],
    ['connection_messages', 'true'],
    ['log_dest', 'stderr'],
    ...(files.pidFile === undefined ? [] : [['pid_file', files.pidFile] as const]),
  ];
  return `${settings.map(([name, value]) => `${name} ${value}`).join('\n')}\n`;
}

/**
 * Access list of mosquitto. `%u` is the name of whoever asks; mosquitto refuses names with "+" or "#" by itself.
 * `shut`: terminals whose certificate is revoked. A revocation list keeps them from connecting; this makes those that
 * are connected deaf and mute, at the next SIGHUP.
 */
export function mosquittoAccess(shut: readonly string[]): string {
  const lines = [
    `user ${issuanceUsername}`,
    `topic read ${topicPattern('+', 'up', '+')}`,
    ...downKinds.map((kind) => `topic write ${topicPattern('+', 'down', kind)}`),
    ...shut.flatMap((username) => ['', `user ${username}`, 'topic deny #']),
    '',
    ...upKinds.map((kind) => `pattern write ${topicPattern('%u', 'up', kind)}`),
    ...downKinds.map((kind) => `pattern read ${topicPattern('%u', 'down', kind)}`),
  ];
  return `${lines.join('\n')}\n`;
}
