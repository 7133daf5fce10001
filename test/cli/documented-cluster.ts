import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Epmd, RabbitNode } from '../contracts/rabbitmq-rig.ts';
import { freePort } from '../free-port.ts';
import { type PostgresCluster, startPostgres } from '../issuance/postgres-cluster.ts';
import { blocksOf, endLines, type RunningLine, runLine, sectionOf } from './documented-commands.ts';

const names = ['one', 'two', 'three'] as const;
export type MachineName = (typeof names)[number];

interface Ports {
  readonly https: number;
  readonly mqtt: number;
  readonly amqp: number;
  readonly authorization: number;
}

/** A line of the page, and the machines that it is run on, in order. */
interface Line {
  readonly on: readonly MachineName[];
  readonly text: string;
}

const section = sectionOf('RabbitMQ: several machines');
const account = 'rabbitmq';

/** What the page says before a block: where it is run. */
function machinesOf(said: string): readonly MachineName[] {
  const [, where = ''] = said.match(/.*\bOn (each machine|`\w+`(?: and `\w+`)?)/s) ?? [];
  const machines = where === 'each machine' ? names : names.filter((name) => where.includes(`\`${name}\``));
  if (machines.length === 0) throw new Error(`nothing says where this is run: ${said}`);
  return machines;
}

/** The commands of the page in their order. */
function linesOfPage(): readonly Line[] {
  const blocks = [...section.matchAll(/(.*?)^```(sh|yaml|ini)\n(.*?)^```\n/gms)];
  return blocks.flatMap(([, said = '', language = '', block = '']) => {
    if (language !== 'sh') return [];
    const on = machinesOf(said);
    const lines = block.trim().split('\n');
    if (said.includes('again with `three.example`'))
      lines.push(...lines.map((text) => text.replaceAll('two.example', 'three.example')));
    // what is done at each machine is done whole there before the next
    return on.flatMap((machine) => lines.map((text) => ({ on: [machine], text })));
  });
}

/**
 * The three machines of docs/brokers.md on this one, each with folders of its own below a temporary one; all commands are
 * those of the page.
 */
export class DocumentedCluster {
  readonly folder: string;
  readonly nodes = new Map<MachineName, RabbitNode>();
  readonly servers = new Map<MachineName, RunningLine>();
  readonly #database: PostgresCluster;
  readonly #epmd: Epmd;
  readonly #ports: ReadonlyMap<MachineName, Ports>;
  readonly #left = [...linesOfPage()];

  private constructor(parts: {
    readonly folder: string;
    readonly database: PostgresCluster;
    readonly epmd: Epmd;
    readonly ports: ReadonlyMap<MachineName, Ports>;
  }) {
    this.folder = parts.folder;
    this.#database = parts.database;
    this.#epmd = parts.epmd;
    this.#ports = parts.ports;
  }

  /** Three machines with the packages of Debian and the configuration of the page, of which nothing has run. */
  static async make(): Promise<DocumentedCluster> {
    const folder = mkdtempSync(join(tmpdir(), 'kazasu-cluster-'));
    chmodSync(folder, 0o711);
    const ports = new Map<MachineName, Ports>();
    for (const name of names) {
      const [https, mqtt] = [await freePort(), await freePort()];
      ports.set(name, { https, mqtt, amqp: await freePort(), authorization: await freePort() });
    }
    const database = await startPostgres();
    const epmd = await Epmd.start();
    const cluster = new DocumentedCluster({ folder, database, epmd, ports });
    for (const name of names) await cluster.#install(name);
    return cluster;
  }

  config(name: MachineName): string {
    return join(this.folder, name, 'etc/kazasu/issuance.yaml');
  }

  mqttPort(name: MachineName): number {
    return this.#portsOf(name).mqtt;
  }

  mqttPorts(): readonly number[] {
    return names.map((name) => this.mqttPort(name));
  }

  /** Runs the next lines of the page, up to the first that begins with `before`. */
  async runUpTo(before: string): Promise<void> {
    for (let line = this.#left[0]; line && !line.text.startsWith(before); line = this.#left[0]) {
      this.#left.shift();
      for (const machine of line.on) await this.#run(machine, line.text);
    }
  }

  async stop(): Promise<void> {
    await endLines();
    await Promise.all([...this.nodes.values()].map((node) => node.kill()));
    await this.#epmd.stop();
    await this.#database.stop();
    rmSync(this.folder, { recursive: true });
  }

  #portsOf(name: MachineName): Ports {
    const ports = this.#ports.get(name);
    if (!ports) throw new Error(`no machine ${name}`);
    return ports;
  }

  /** What is there before the page begins. */
  async #install(name: MachineName): Promise<void> {
    const at = (path: string) => join(this.folder, name, path);
    for (const path of ['etc/kazasu', 'etc/rabbitmq', 'var/lib/rabbitmq', 'bin'])
      mkdirSync(at(path), { recursive: true });
    writeFileSync(at('etc/kazasu/database.password'), await this.#database.access.password(), {
      mode: 0o600,
    });
    writeFileSync(this.config(name), this.#configuration(name));
    writeFileSync(at('etc/rabbitmq/rabbitmq-env.conf'), this.#here(name, blocksOf(section, 'ini')));
    // as Debian's package makes it, another one on each machine
    const cookie = at('var/lib/rabbitmq/.erlang.cookie');
    writeFileSync(cookie, randomBytes(16).toString('hex'), { mode: 0o400 });
    const { uid, gid } = statSync('/var/lib/rabbitmq');
    for (const path of [cookie, at('var/lib/rabbitmq')]) chownSync(path, uid, gid);
    // what is done at another machine is done in its folders
    const there = `sed "s#${this.folder}/[a-z]*/#${this.folder}/\${host%.example}/#g"`;
    const ssh = `#!/bin/sh\nhost=$1; shift\nexec sh -c "$(printf %s "$*" | ${there})"\n`;
    writeFileSync(at('bin/ssh'), ssh, { mode: 0o755 });
    const node = {
      folder: at('var/lib/rabbitmq'),
      name: `${name}@localhost`,
      epmdPort: this.#epmd.port,
      environmentFile: at('etc/rabbitmq/rabbitmq-env.conf'),
      account,
    };
    this.nodes.set(name, new RabbitNode(node));
  }

  /** `text` with the folders of a machine. */
  #here(name: MachineName, text: string): string {
    return text
      .replaceAll(/(?<![\w.])\/(?=(?:etc|var)\/)/g, `${join(this.folder, name)}/`)
      .replaceAll(/(?<= )(root-1|enrolment.json)\b/g, (file) => join(this.folder, file))
      .replace('one.example:8444', `localhost:${this.#portsOf('one').https}`);
  }

  /** That of the page, with ports of its own. The third machine has no server: its node asks that of the second. */
  #configuration(name: MachineName): string {
    const { https, mqtt, amqp } = this.#portsOf(name);
    const { authorization } = this.#portsOf(name === 'three' ? 'two' : name);
    return this.#here(name, blocksOf(section, 'yaml'))
      .replace('host: db.example', `host: ${this.#database.access.host}`)
      .replace(/, tls: \{.*?\}/, '')
      .replace('port: 8443', 'port: 0')
      .replace(
        'hosts: [one.example]',
        `hosts: [localhost]\n  listen: 127.0.0.1\n  port: ${https}\n  brokerPort: ${mqtt}`,
      )
      .replace(
        'kind: rabbitmq',
        `kind: rabbitmq\n    amqpPort: ${amqp}\n    authorizationPort: ${authorization}`,
      )
      .replaceAll(/\{ name: rabbit@(\w+), host: \w+\.example \}/g, (_, other: MachineName) => {
        const there = this.#portsOf(other);
        return `{ name: ${other}@localhost, host: localhost, mqttPort: ${there.mqtt}, amqpPort: ${there.amqp} }`;
      });
  }

  async #run(machine: MachineName, text: string): Promise<void> {
    const node = this.nodes.get(machine);
    if (!node) throw new Error(`no machine ${machine}`);
    const line = this.#here(machine, text);
    if (line === 'systemctl stop rabbitmq-server') return node.kill();
    if (line === 'systemctl start rabbitmq-server') return node.start();
    const { PATH, ...others } = node.environment();
    // commands of RabbitMQ find their node by it; ours have a home of their own
    const env = line.startsWith('rabbitmqctl')
      ? { PATH, ...others }
      : { PATH: `${join(this.folder, machine, 'bin')}:${process.env.PATH}` };
    if (!line.endsWith('&')) await runLine(line, { env });
    else this.servers.set(machine, await runLine(line, { env, ready: 'the broker is reached' }));
  }
}
