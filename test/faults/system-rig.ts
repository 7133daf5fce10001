import { type ChildProcess, fork, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { NetworkFaults } from '#simulators/fleet/network-faults.ts';
import { Epmd, RabbitNode } from '../contracts/rabbitmq-rig.ts';
import { ended, enrolDevice, kazasu } from '../enrol-device.ts';
import { freePort } from '../free-port.ts';
import { type PostgresCluster, startPostgres } from '../issuance/postgres-cluster.ts';

const root = new URL('../../', import.meta.url).pathname;

/** What a site stands on: everything in one process and SQLite, or another broker and PostgreSQL. */
export type Backend = 'embedded' | 'mosquitto' | 'rabbitmq';

/** A site of real programs, each of which can be killed and started again, and the network between them. */
export class SystemRig {
  readonly config: string;
  readonly #backend: Backend;
  readonly #folder: string;
  readonly #children = new Map<string, ChildProcess>();
  /** by the port that stands behind each */
  readonly #networks = new Map<number, { readonly network: NetworkFaults; readonly port: number }>();
  #cluster: PostgresCluster | undefined;
  #rabbit: { readonly epmd: Epmd; readonly node: RabbitNode } | undefined;

  constructor(backend: Backend) {
    this.#backend = backend;
    this.#folder = mkdtempSync(join(tmpdir(), 'kazasu-system-'));
    chmodSync(this.#folder, 0o711);
    this.config = join(this.#folder, 'issuance.yaml');
  }

  get networks(): readonly NetworkFaults[] {
    return [...this.#networks.values()].map(({ network }) => network);
  }

  /** What there is to be killed. */
  get parts(): readonly string[] {
    const behind = this.#backend === 'embedded' ? [] : ['broker', 'database'];
    return [
      'server',
      ...behind,
      ...[...this.#children.keys()].filter((name) => name.startsWith('terminal ')),
    ];
  }

  directory(terminal: string): string {
    return join(this.#folder, terminal);
  }

  /** Makes the site: the server runs, `terminals` are enrolled. `enter` gives it people and rules. */
  async start(terminals: readonly string[], enter: () => Promise<void>, reserveMiB: number): Promise<void> {
    const ports = [await freePort(), await freePort()] as const;
    const [database, broker] = await this.#behind(ports[1]);
    writeFileSync(
      this.config,
      `formatVersion: 1
stateDirectory: ${join(this.#folder, 'server')}
database: ${database}
http: { port: 0 }
terminals: { listen: 127.0.0.1, port: ${ports[0]}, brokerPort: ${ports[1]}, broker: ${broker} }
`,
    );
    await kazasu('issuance', 'organization', 'city', '--config', this.config);
    if (this.#backend !== 'embedded') await kazasu('issuance', 'broker', 'config', '--config', this.config);
    await this.revive('broker');
    await this.revive('server');
    await enter();
    for (const port of ports) {
      const network = new NetworkFaults({ target: { host: '127.0.0.1', port } });
      this.#networks.set(port, { network, port: await network.start() });
    }
    for (const name of terminals) {
      await this.#enrol(name);
      await this.revive(`terminal ${name} ${reserveMiB}`);
    }
  }

  async stop(): Promise<void> {
    for (const name of [...this.#children.keys()]) await this.kill(name);
    for (const network of this.networks) await network.stop();
    await this.#rabbit?.node.kill();
    await this.#rabbit?.epmd.stop();
    await this.#cluster?.stop();
    rmSync(this.#folder, { recursive: true });
  }

  /** Ends a part as a power cut does. */
  async kill(part: string): Promise<void> {
    if (part === 'database') return this.#cluster?.crash();
    if (part === 'broker' && this.#rabbit) return this.#rabbit.node.kill();
    const child = this.#children.get(part);
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const over = once(child, 'exit');
    child.kill('SIGKILL');
    await over;
  }

  /** Starts a part that was killed; resolves when it runs. One that needs another which is dead is begun again. */
  async revive(part: string): Promise<void> {
    if (part === 'database') return this.#cluster?.restart();
    if (part === 'broker') {
      if (this.#backend === 'embedded') return;
      if (this.#rabbit) return this.#rabbit.node.start();
      const file = join(this.#folder, 'mosquitto/mosquitto.conf');
      return this.#run(part, spawn('mosquitto', ['-c', file]), 'running');
    }
    if (part === 'server') {
      const words = [join(root, 'src/cli/main.ts'), 'issuance', 'run', '--config', this.config];
      return this.#run(part, spawn(process.execPath, words), '"msg":"ready"');
    }
    const [, name = '', reserveMiB = ''] = part.split(' ');
    const child = fork(join(root, 'test/faults/connected-terminal.ts'), [
      ...[this.directory(name), name, reserveMiB],
    ]);
    this.#children.set(part, child);
    const gone = once(child, 'exit').then(() => 'gone');
    if ((await Promise.race([once(child, 'message'), gone])) === 'gone')
      throw new Error(`the terminal ${name} ended by itself`);
  }

  /** Ends the tapping at a terminal, which stays connected. */
  rest(terminal: string): void {
    this.#childOf(terminal).send('rest');
  }

  /** What one more card comes to. */
  async tap(terminal: string, userNumber: string): Promise<{ readonly result: string }> {
    const child = this.#childOf(terminal);
    child.send({ tap: userNumber });
    return (await once(child, 'message'))[0];
  }

  #childOf(terminal: string): ChildProcess {
    for (const [part, child] of this.#children) if (part.startsWith(`terminal ${terminal} `)) return child;
    throw new Error(`there is no ${terminal}`);
  }

  async #behind(brokerPort: number): Promise<readonly [database: string, broker: string]> {
    if (this.#backend === 'embedded') return ['{ kind: sqlite }', '{ kind: embedded }'];
    this.#cluster = await startPostgres();
    const { access } = this.#cluster;
    const password = join(this.#folder, 'database.password');
    writeFileSync(password, await access.password(), { mode: 0o600 });
    const directory = join(this.#folder, this.#backend);
    const broker =
      this.#backend === 'rabbitmq'
        ? await this.#besideRabbit(directory, brokerPort)
        : `directory: ${directory}`;
    if (this.#backend === 'mosquitto')
      await ended(spawn('bash', ['-c', `install -d -g mosquitto -m 2750 '${directory}'`]));
    return [
      `{ kind: postgres, host: ${access.host}, port: ${access.port}, user: ${access.user}, database: ${access.database}, passwordFile: ${password} }`,
      `{ kind: ${this.#backend}, ${broker} }`,
    ];
  }

  async #besideRabbit(folder: string, mqttPort: number): Promise<string> {
    mkdirSync(folder);
    const [amqpPort, authorizationPort] = [await freePort(), await freePort()];
    const name = 'n1@localhost';
    const epmd = await Epmd.start();
    const cookie = randomBytes(16).toString('hex');
    this.#rabbit = { epmd, node: new RabbitNode({ folder, name, epmdPort: epmd.port, cookie }) };
    const node = `{ name: ${name}, host: localhost, mqttPort: ${mqttPort}, amqpPort: ${amqpPort} }`;
    return `directory: ${folder}, amqpPort: ${amqpPort}, authorizationPort: ${authorizationPort}, nodes: [${node}]`;
  }

  async #enrol(name: string): Promise<void> {
    const directory = await enrolDevice(this.config, this.#folder, name);
    // from now on it reaches the server through the network of the test
    const identity = join(directory, 'identity/identity.json');
    let text = readFileSync(identity, 'utf8');
    for (const [behind, { port }] of this.#networks) text = text.replaceAll(String(behind), String(port));
    writeFileSync(identity, text);
  }

  async #run(part: string, child: ChildProcess, ready: string): Promise<void> {
    this.#children.set(part, child);
    const said: string[] = [];
    const waiting = Promise.withResolvers<void>();
    for (const stream of [child.stdout, child.stderr]) {
      if (!stream) continue;
      createInterface(stream).on('line', (line) => {
        if (said.push(line) > 50) said.shift();
        if (line.includes(ready)) waiting.resolve();
      });
    }
    child.once('close', () => waiting.reject(new Error(`the ${part} ended:\n${said.join('\n')}`)));
    await waiting.promise;
  }
}
