import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection } from 'rabbitmq-client';
import { SystemClock } from '#adapters/os/clock.ts';
import { Authorization } from '#adapters/rabbitmq/authorization.ts';
import { AuthorizationListener } from '#adapters/rabbitmq/authorization-listener.ts';
import { upQueue } from '#adapters/rabbitmq/names.ts';
import { RabbitIntake } from '#adapters/rabbitmq/rabbit-intake.ts';
import { rabbitConfig } from '#adapters/rabbitmq/rabbitmq-config.ts';
import { endSession } from '#adapters/rabbitmq/session-end.ts';
import { revocationListPem } from '#adapters/x509/pem.ts';
import { revocationListName } from '#adapters/x509/revocation-list-name.ts';
import { brokerUsername, issuanceUsername, type TerminalIdentity } from '#core/sync/terminal-identity.ts';
import type { RevokedCertificate } from '#ports/certificates.ts';
import { freePort } from '../free-port.ts';
import type { TestPki } from '../trust/test-pki.ts';

const programs = '/usr/lib/rabbitmq/bin';
const epmd = '/usr/bin/epmd';

export interface RabbitNodeFiles {
  readonly folder: string;
  readonly name: string;
  readonly epmdPort: number;
  /** absent: that in `folder`, its home */
  readonly cookie?: string;
  /** its `rabbitmq-env.conf`; absent: the configuration is in `folder` */
  readonly environmentFile?: string;
  /** whose account it runs under; absent: that of the test */
  readonly account?: string;
}

/** One node of Debian's rabbitmq-server, in a folder of its own, with the configuration made here. */
export class RabbitNode {
  readonly #files: RabbitNodeFiles;
  #process: ChildProcess | undefined;
  said = '';

  constructor(files: RabbitNodeFiles) {
    this.#files = files;
  }

  /** Resolves when it serves, at once where it does already. */
  async start(): Promise<void> {
    if (this.#process) return;
    const { account } = this.#files;
    const [program = '', ...words] = [
      ...(account ? ['setpriv', `--reuid=${account}`, `--regid=${account}`, '--init-groups'] : []),
      join(programs, 'rabbitmq-server'),
    ];
    const child = spawn(program, words, {
      env: { ...this.environment(), RABBITMQ_DIST_PORT: `${await freePort()}` },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    this.#process = child;
    this.said = '';
    await new Promise<void>((resolve, reject) => {
      child.once('exit', () => reject(new Error(`RabbitMQ ended: ${this.said}`)));
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text: string) => {
          this.said = (this.said + text).slice(-20_000);
          if (/Server startup complete/.test(this.said)) resolve();
        });
      }
    });
  }

  /** What it, and commands to it, find in their environment. */
  environment(): Readonly<Record<string, string | undefined>> {
    return environment(this.#files);
  }

  /** Dies with all that it has not written. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child?.pid || child.exitCode !== null || child.signalCode !== null) return;
    const over = once(child, 'exit');
    // the script that starts the machine, and the machine
    process.kill(-child.pid, 'SIGKILL');
    await over;
  }
}

function environment({ folder, name, epmdPort, cookie, environmentFile }: RabbitNodeFiles) {
  const at = (file: string) => join(folder, file);
  return {
    PATH: `${programs}:${process.env.PATH}`,
    HOME: folder,
    LANG: 'C.UTF-8',
    RABBITMQ_NODENAME: name,
    RABBITMQ_CONF_ENV_FILE: environmentFile ?? '/dev/null',
    ...(environmentFile === undefined && {
      RABBITMQ_CONFIG_FILE: at('rabbitmq.conf'),
      RABBITMQ_ADVANCED_CONFIG_FILE: at('advanced.config'),
      RABBITMQ_ENABLED_PLUGINS_FILE: at('enabled_plugins'),
    }),
    RABBITMQ_MNESIA_BASE: at('mnesia'),
    RABBITMQ_LOG_BASE: at('log'),
    ERL_EPMD_PORT: `${epmdPort}`,
    ERL_EPMD_ADDRESS: '127.0.0.1',
    // two schedulers are what the machines of tests have
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: `+S 2:2 +sbwt none ${cookie ? `-setcookie ${cookie} ` : ''}-kernel inet_dist_use_interface {127,0,0,1}`,
  };
}

/** The name service of Erlang, for the nodes of one test. */
export class Epmd {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.#process = child;
  }

  static async start(): Promise<Epmd> {
    const port = await freePort();
    const child = spawn(epmd, ['-port', `${port}`, '-address', '127.0.0.1', '-debug'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    await once(child.stderr, 'data');
    child.stderr.resume();
    return new Epmd(port, child);
  }

  async stop(): Promise<void> {
    const over = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await over;
  }
}

const password = randomBytes(32).toString('hex');

/** A broker of one node, with what an issuance server does beside it. */
export class RabbitRig {
  readonly #pki: TestPki;
  readonly #folder = mkdtempSync(join(tmpdir(), 'kazasu-rabbitmq-'));
  readonly #revoked = new Map<string, RevokedCertificate[]>();
  readonly #shut = new Set<string>();
  readonly #authorization: AuthorizationListener;
  #epmd: Epmd | undefined;
  #node: RabbitNode | undefined;
  #ports = { mqtt: 0, amqp: 0 };
  #lists = 0;

  constructor(pki: TestPki) {
    this.#pki = pki;
    this.#authorization = new AuthorizationListener({
      authorization: new Authorization({
        admits: (identity) => !this.#shut.has(brokerUsername(identity)),
        password: Buffer.from(password),
      }),
      host: '127.0.0.1',
      port: 0,
    });
  }

  async start(): Promise<void> {
    if (!this.#node) await this.#prepare();
    await this.#node?.start();
  }

  port(): number {
    return this.#ports.mqtt;
  }

  intake(): RabbitIntake {
    return new RabbitIntake({
      nodes: [{ host: 'localhost', port: this.#ports.amqp }],
      credentials: this.#pki.issuance,
      password,
      clock: new SystemClock(),
      failed: () => undefined,
      retry: { firstMs: 20, mostMs: 200 },
    });
  }

  /** Starts it where it does not run, and forgets what waits for a server. */
  async empty(): Promise<void> {
    await this.start();
    const { issuance } = this.#pki;
    const connection = new Connection({
      hosts: [`localhost:${this.#ports.amqp}`],
      username: issuanceUsername,
      password,
      tls: { cert: issuance.certificates, key: issuance.privateKey, ca: issuance.authorities },
    });
    connection.on('error', () => undefined);
    // there is none before the first server
    await connection.queuePurge(upQueue).catch(() => undefined);
    await connection.close();
  }

  async kill(): Promise<void> {
    await this.#node?.kill();
  }

  async stop(): Promise<void> {
    await this.kill();
    await this.#epmd?.stop();
    await this.#authorization.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  log(): string {
    return this.#node?.said ?? '';
  }

  async #prepare(): Promise<void> {
    await this.#authorization.start();
    this.#epmd = await Epmd.start();
    this.#ports = { mqtt: await freePort(), amqp: await freePort() };
    const { server, authorities } = this.#pki;
    const at = (name: string): string => join(this.#folder, name);
    const file = (name: string, content: string): string => {
      writeFileSync(at(name), content);
      return at(name);
    };
    mkdirSync(at('revoked'));
    await this.#writeLists();
    const config = rabbitConfig({
      address: '127.0.0.1',
      mqttPort: this.#ports.mqtt,
      amqpPort: this.#ports.amqp,
      certificates: file('server.pem', server.certificates),
      privateKey: file('server.key', server.privateKey),
      authorities: file('platform.pem', authorities),
      revocationLists: at('revoked'),
      definitions: at('definitions.json'),
      authorization: `http://127.0.0.1:${this.#authorization.port()}`,
      nodes: [],
    });
    for (const [name, text] of Object.entries(config)) file(name, text);
    const cookie = randomBytes(16).toString('hex');
    const name = `kazasu-${randomBytes(4).toString('hex')}@localhost`;
    this.#node = new RabbitNode({ folder: this.#folder, name, epmdPort: this.#epmd.port, cookie });
  }

  async #writeLists(): Promise<void> {
    const { services, organizations } = this.#pki;
    this.#lists += 1;
    const authorities = [
      ['', services] as const,
      ...[...organizations].map(([organization, { authority }]) => [organization, authority] as const),
    ];
    for (const [name, authority] of authorities) {
      const list = await authority.issueRevocationList({
        revoked: this.#revoked.get(name) ?? [],
        number: this.#lists,
        thisUpdateMs: Date.now() - 60_000,
        nextUpdateMs: Date.now() + 86_400_000,
      });
      const [certificate] = authority.chain();
      writeFileSync(join(this.#folder, 'revoked', revocationListName(certificate)), revocationListPem(list));
    }
  }

  async revoke({
    serialNumber,
    identity,
  }: {
    readonly serialNumber: string;
    readonly identity: TerminalIdentity;
  }): Promise<void> {
    const list = this.#revoked.get(identity.organization) ?? [];
    list.push({ serialNumber, revokedAtMs: Date.now(), reason: 'key-compromise' });
    this.#revoked.set(identity.organization, list);
    this.#shut.add(brokerUsername(identity));
    await this.#writeLists();
    const nodes = [{ host: 'localhost', port: this.#ports.mqtt }];
    await endSession({ nodes, credentials: this.#pki.issuance }, brokerUsername(identity));
  }
}
