import { maxPayloadBytes } from '#core/sync/topics.ts';

/** Where a node of RabbitMQ finds what it needs; absolute paths, readable by the user it runs as. */
export interface RabbitFiles {
  readonly address: string;
  /** of terminals */
  readonly mqttPort: number;
  /** of issuance servers */
  readonly amqpPort: number;
  /** certificate of the node with the authorities below the root, and its key; PEM */
  readonly certificates: string;
  readonly privateKey: string;
  /** the platform's authority alone: those of the organizations come with each terminal's certificate; PEM */
  readonly authorities: string;
  /** folder of the revocation lists of every authority that issues certificates to clients, by {@link revocationListName} */
  readonly revocationLists: string;
  /** where an issuance server on the same machine says who may do what; `http://127.0.0.1:PORT` */
  readonly authorization: string;
  /** `definitions.json` */
  readonly definitions: string;
  /** the nodes of the cluster, such as `rabbit@one`; none where there is one node */
  readonly nodes: readonly string[];
}

/** A file of a node's configuration, by its name. */
export type RabbitConfig = Readonly<
  Record<'rabbitmq.conf' | 'advanced.config' | 'definitions.json' | 'enabled_plugins', string>
>;

/** what waits for one terminal in each of its two queues, in bytes; beyond it the oldest is let go of */
const mostWaitingBytes = 4 * 1_048_576;

/**
 * Configuration of a node of RabbitMQ (3.10). The certificate is the whole identity: its subject is the name. Who may
 * connect, by which client id, and what to publish and hear is asked of an issuance server beside the node.
 */
export function rabbitConfig(files: RabbitFiles): RabbitConfig {
  const settings: readonly (readonly [string, string | number])[] = [
    ['listeners.tcp', 'none'],
    ['listeners.ssl.default', `${files.address}:${files.amqpPort}`],
    ['mqtt.listeners.tcp', 'none'],
    ['mqtt.listeners.ssl.default', `${files.address}:${files.mqttPort}`],
    ['ssl_cert_login_from', 'distinguished_name'],
    ['mqtt.ssl_cert_login', 'true'],
    ['mqtt.allow_anonymous', 'false'],
    ['mqtt.vhost', '/'],
    ['mqtt.exchange', 'amq.topic'],
    // what a terminal has not answered yet; the rest waits in its queue, which ends with its connection
    ['mqtt.prefetch', 100],
    ['mqtt.login_timeout', 10_000],
    ['max_message_size', maxPayloadBytes],
    ['load_definitions', files.definitions],
    ['auth_mechanisms.1', 'PLAIN'],
    ['auth_backends.1', 'http'],
    // a password stands in a body, never in an address that is logged
    ['auth_http.http_method', 'post'],
    ['auth_http.user_path', `${files.authorization}/user`],
    ['auth_http.vhost_path', `${files.authorization}/vhost`],
    ['auth_http.resource_path', `${files.authorization}/resource`],
    ['auth_http.topic_path', `${files.authorization}/topic`],
    ['auth_http.request_timeout', 5_000],
    ['auth_http.connection_timeout', 5_000],
    // the smaller side of a network that is cut takes nothing, so that nothing is confirmed on both
    ['cluster_partition_handling', 'pause_minority'],
    ['log.console', 'true'],
    ['log.console.level', 'info'],
    ['log.file', 'false'],
    ...clusterOf(files.nodes),
  ];
  return {
    'rabbitmq.conf': `${settings.map(([name, value]) => `${name} = ${value}`).join('\n')}\n`,
    'advanced.config': advanced(files),
    'definitions.json': `${JSON.stringify(definitions)}\n`,
    enabled_plugins: '[rabbitmq_mqtt,rabbitmq_auth_backend_http].\n',
  };
}

/**
 * What the plugin of MQTT has no setting for: a queue of a terminal that takes nothing must not fill the node. Nothing is
 * lost by it for good: documents are said again, commands repeated and positions acknowledged anew. A node that is given
 * definitions makes no host by itself, nor the usual user `guest`.
 */
const definitions = {
  vhosts: [{ name: '/' }],
  policies: [
    {
      vhost: '/',
      name: 'kazasu-down',
      pattern: '^mqtt-subscription-',
      'apply-to': 'queues',
      definition: { 'max-length-bytes': mostWaitingBytes, overflow: 'drop-head' },
      priority: 0,
    },
  ],
};

function clusterOf(nodes: readonly string[]): (readonly [string, string])[] {
  if (nodes.length === 0) return [];
  return [
    ['cluster_formation.peer_discovery_backend', 'classic_config'],
    ...nodes.map((node, i) => [`cluster_formation.classic_config.nodes.${i + 1}`, node] as const),
  ];
}

/** What the plainer file has no words for: lists are looked for at each connection, so that a changed one counts at once. */
function advanced(files: RabbitFiles): string {
  const text = (value: string): string => `"${value.replaceAll(/["\\]/g, '\\$&')}"`;
  return `[{rabbit, [{ssl_options, [
  {cacertfile, ${text(files.authorities)}},
  {certfile, ${text(files.certificates)}},
  {keyfile, ${text(files.privateKey)}},
  {versions, ['tlsv1.3']},
  {verify, verify_peer},
  {fail_if_no_peer_cert, true},
  {depth, 2},
  {crl_check, peer},
  {crl_cache, {ssl_crl_hash_dir, {internal, [{dir, ${text(files.revocationLists)}}]}}}
]}]},
 {rabbitmq_mqtt, [{ignore_colons_in_username, true}]}].
`;
}
