import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { idleReasons, reasons } from '#core/config/parameter-sheet.ts';
import { parseYaml } from '#core/config/yaml-document.ts';
import { Fault } from '#core/fault.ts';
import { signingPurposes } from '#ports/signing-keys.ts';

const path = z.string().min(1).describe('path of a file; a relative one counts from this file');
const loopback = ['127.0.0.1', '::1', 'localhost'];

const sqlite = z.strictObject({ kind: z.literal('sqlite') });
const postgres = z.strictObject({
  kind: z.literal('postgres'),
  host: z.string().min(1).describe('name or address, or the folder of a unix socket'),
  port: z.int().min(1).max(65_535).default(5_432),
  database: z.string().min(1).default('kazasu'),
  user: z.string().min(1).default('kazasu'),
  passwordFile: path.optional(),
  tls: z.strictObject({ ca: path.describe('certificate authority of the database server (PEM)') }).optional(),
  connections: z
    .int()
    .min(1)
    .max(100)
    .default(4)
    .describe('connections at most for each database of each organization'),
});

const passkeys = z
  .strictObject({
    relyingParty: z
      .string()
      .regex(/^[a-z0-9-]+(\.[a-z0-9-]+)*$/, 'must be a domain, such as issuance.example')
      .describe('domain that passkeys are bound to; those made are lost where it changes'),
    origins: z
      .array(
        z
          .url({ protocol: /^https?$/ })
          .regex(/^(https:\/\/[^/]+|http:\/\/localhost(:\d+)?)$/, 'must be https://HOST, without a path'),
      )
      .min(1)
      .max(8)
      .describe('of the pages that use passkeys, such as https://issuance.example'),
  })
  .refine(
    ({ relyingParty, origins }) =>
      origins.every((origin) => {
        const host = URL.canParse(origin) ? new URL(origin).hostname : '';
        return host === relyingParty || host.endsWith(`.${relyingParty}`);
      }),
    { path: ['origins'], error: 'each must be at the domain of relyingParty or below it' },
  )
  .describe('passkeys of administrators (WebAuthn); absent: none are used');

const hostName = z.string().regex(/^[A-Za-z0-9.:-]{1,253}$/, 'must be a name or an address');

const port = z.int().min(0).max(65_535);

const broker = z
  .discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('embedded') }),
    z.strictObject({
      kind: z.literal('mosquitto'),
      directory: path.describe(
        'folder that mosquitto may read; its configuration, certificates and lists are put there',
      ),
      pidFile: path
        .optional()
        .describe('pid_file of mosquitto, where this server is to tell it of changed lists'),
    }),
    z.strictObject({
      kind: z.literal('rabbitmq'),
      directory: path.describe(
        'folder that RabbitMQ may read; the configuration of the node on this machine is put there',
      ),
      amqpPort: port.default(5_671).describe('AMQP of the node on this machine, for issuance servers'),
      authorizationPort: port
        .default(8_446)
        .describe('port of 127.0.0.1 where the node on this machine asks who may do what'),
      nodes: z
        .array(
          z.strictObject({
            name: z.string().regex(/^[a-z0-9_-]+@[A-Za-z0-9.-]+$/, 'must be as rabbit@one'),
            host: hostName.describe('as its certificate says'),
            mqttPort: port.default(8_883),
            amqpPort: port.default(5_671),
          }),
        )
        .min(1)
        .describe('the nodes of the cluster, in the order in which terminals of this server try them'),
    }),
  ])
  .default({ kind: 'embedded' })
  .describe('what carries messages between terminals and server');

const terminals = z
  .strictObject({
    hosts: z
      .array(hostName)
      .min(1)
      .max(8)
      .default(['localhost'])
      .describe('names and addresses by which terminals reach this server; the first is told to them'),
    listen: z.string().min(1).default('0.0.0.0').describe('address of this machine to listen at'),
    port: port.default(8_444).describe('HTTPS: enrolment and renewal'),
    brokerPort: port.default(8_883).describe('MQTT'),
    broker,
    most: z.int().min(1).max(20_000).default(2_000).describe('terminals that are served at once'),
  })
  .describe('what terminals reach; absent where this process serves none');

const keys = z
  .strictObject({
    module: z.string().startsWith('/', 'an absolute path').describe('PKCS#11 library of the token'),
    token: z.string().min(1).max(32).describe('its label'),
    pinFile: path.describe('file with the PIN of its user, for its owner alone'),
    holds: z
      .array(z.enum(signingPurposes))
      .min(1)
      .default([...signingPurposes])
      .describe('which keys of organizations are in it; the others are files'),
    timeoutMs: z.int().min(100).max(60_000).default(5_000).describe('for one signature'),
  })
  .describe('PKCS#11 token for the keys of organizations; absent: files below stateDirectory');

/** device-config/issuance/*.yaml: what one process of the issuance server needs to run. */
export const issuanceConfigSchema = z
  .strictObject({
    formatVersion: z.literal(1),
    stateDirectory: z.string().startsWith('/', 'an absolute path').default('/var/lib/kazasu-issuance'),
    database: z.discriminatedUnion('kind', [sqlite, postgres]).default({ kind: 'sqlite' }),
    http: z
      .strictObject({
        host: z.string().min(1).default('127.0.0.1'),
        port: z.int().min(0).max(65_535).default(8_443),
        tls: z.strictObject({ certificate: path, key: path }).optional(),
        passkeys: passkeys.optional(),
        trustedProxies: z
          .array(z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()], 'must be an address or a network'))
          .max(64)
          .default([])
          .describe('reverse proxies before this server: X-Forwarded-For of theirs says who asks'),
      })
      .prefault({})
      .refine(({ host, tls }) => tls !== undefined || loopback.includes(host), {
        path: ['tls'],
        error: 'is missing; without it the server listens on this machine alone (127.0.0.1)',
      }),
    terminals: terminals.optional(),
    keys: keys.optional(),
    metrics: z
      .strictObject({
        host: z.string().min(1).default('127.0.0.1').describe('address of this machine to listen at'),
        port: port.default(9_464).describe('HTTP, without TLS: GET /metrics for Prometheus'),
      })
      .describe('what this process counts; absent where nobody gathers it')
      .optional(),
    log: z
      .strictObject({ level: z.enum(['fatal', 'error', 'warn', 'info', 'debug']).default('info') })
      .prefault({}),
    reasons,
  })
  .describe('the issuance server');

export type IssuanceConfig = z.output<typeof issuanceConfigSchema>;

/** Parses the text of `file`, with paths counted from its folder. Throws a Fault `config-invalid` with every problem. */
export function parseIssuanceConfig(text: string, file: string): IssuanceConfig {
  const config = parseYaml(text, file, issuanceConfigSchema, 'config-invalid');
  const written = parseYaml(text, file, z.record(z.string(), z.unknown()), 'config-invalid');
  const idle = idleReasons(issuanceConfigSchema, written);
  if (idle.length > 0) throw new Fault('config-invalid', idle.map((text) => `${file}: ${text}`).join('\n'));
  const located = (name: string) => resolve(dirname(resolve(file)), name);
  const { http, database, terminals } = config;
  return {
    ...config,
    ...(config.keys && { keys: { ...config.keys, pinFile: located(config.keys.pinFile) } }),
    terminals: terminals && { ...terminals, broker: brokerAt(terminals.broker, located) },
    http: http.tls
      ? { ...http, tls: { certificate: located(http.tls.certificate), key: located(http.tls.key) } }
      : http,
    database:
      database.kind === 'postgres'
        ? {
            ...database,
            ...(database.passwordFile !== undefined && { passwordFile: located(database.passwordFile) }),
            ...(database.tls && { tls: { ca: located(database.tls.ca) } }),
          }
        : database,
  };
}

/** The token of a server, and where tries of its PIN are noted; undefined where its keys are files. */
export function tokenOf({ keys, stateDirectory }: Pick<IssuanceConfig, 'keys' | 'stateDirectory'>) {
  return keys && { ...keys, directory: join(stateDirectory, 'token') };
}

type BrokerConfig = NonNullable<IssuanceConfig['terminals']>['broker'];

function brokerAt(broker: BrokerConfig, located: (name: string) => string): BrokerConfig {
  if (broker.kind === 'embedded') return broker;
  return {
    ...broker,
    directory: located(broker.directory),
    ...(broker.kind === 'mosquitto' && broker.pidFile !== undefined && { pidFile: located(broker.pidFile) }),
  };
}
