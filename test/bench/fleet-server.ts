import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Issuance, openIssuance } from '#issuance/main.ts';
import type { FleetMember } from '#simulators/fleet/bulk-enrolment.ts';
import { enrolFleet } from '#simulators/fleet/bulk-enrolment.ts';
import { enrolDevice, kazasu } from '../enrol-device.ts';

const main = fileURLToPath(new URL('../../src/issuance/main.ts', import.meta.url));
const actor = { id: 'bench', via: 'command-line' } as const;

/** The server and its generator of load each have a core of their own, where the machine has two. */
export const cores = availableParallelism() > 1 ? { server: 0, fleet: 1 } : undefined;

export interface ServerFigures {
  readonly memoryBytes: number;
  /** seconds of processor time since it began */
  readonly cpuSeconds: number;
  /** by name, labels and all */
  readonly metrics: ReadonlyMap<string, number>;
}

/** The real issuance server with the embedded broker, or with mosquitto beside it, in a folder and at ports of its own. */
export class FleetServer {
  readonly #directory = mkdtempSync(join(tmpdir(), 'kazasu-fleet-'));
  readonly #most: number;
  readonly #kind: 'embedded' | 'mosquitto';
  #mosquitto: ChildProcess | undefined;
  #ports = { http: 0, terminals: 0, broker: 0, metrics: 0 };
  #child: ChildProcess | undefined;

  constructor(parts: { readonly most: number; readonly broker?: 'embedded' | 'mosquitto' }) {
    this.#most = parts.most;
    this.#kind = parts.broker ?? 'embedded';
  }

  /** Makes an organization with `count` terminals; `more` does what else is to be there before the server runs. */
  async prepare(
    count: number,
    more: (issuance: Issuance) => Promise<void> = async () => undefined,
  ): Promise<readonly FleetMember[]> {
    const [http, terminals, broker, metrics] = [
      await freePort(),
      await freePort(),
      await freePort(),
      await freePort(),
    ];
    this.#ports = { http, terminals, broker, metrics };
    writeFileSync(
      this.#config(),
      `formatVersion: 1
stateDirectory: ${join(this.#directory, 'state')}
http: { port: ${http} }
terminals:
  listen: 127.0.0.1
  port: ${terminals}
  brokerPort: ${broker}
  most: ${this.#most}
  broker: { kind: ${this.#kind}${this.#kind === 'embedded' ? '' : `, directory: ${this.#folder()}`} }
metrics: { port: ${metrics} }
log: { level: warn }
`,
    );
    const issuance = await openIssuance(this.#config(), () => undefined);
    try {
      const city = await issuance.organizations.create({ id: 'city', name: '市役所' }, actor);
      const members = await enrolFleet(issuance, city, count);
      await more(issuance);
      return members;
    } finally {
      await issuance.databases.stop();
    }
  }

  /** Enrols one more terminal, as a device is, and resolves to the folder of its state. */
  enrol(name: string): Promise<string> {
    return enrolDevice(this.#config(), this.#directory, name);
  }

  /** Kills the broker, with the server where it is in there, and starts it again at once. */
  async restartBroker(): Promise<void> {
    if (this.#kind === 'embedded') {
      await this.end('SIGKILL');
      return this.start();
    }
    await killed(this.#mosquitto, 'SIGKILL');
    await this.#startMosquitto();
  }

  async #startMosquitto(): Promise<void> {
    const config = join(this.#folder(), 'mosquitto.conf');
    if (!existsSync(config)) {
      await kazasu('issuance', 'broker', 'config', '--config', this.#config());
    }
    const own = join(this.#directory, 'mosquitto.conf');
    // started by root it would become another user, who cannot read this folder
    const user = process.getuid?.() === 0 ? 'user root\n' : '';
    writeFileSync(own, `${readFileSync(config, 'utf8')}${user}`);
    const child = spawn('mosquitto', ['-c', own], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#mosquitto = child;
    let said = '';
    await new Promise<void>((resolve, reject) => {
      child.once('exit', () => reject(new Error(`mosquitto ended: ${said}`)));
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        said = (said + text).slice(-4_000);
        if (/running/.test(said)) resolve();
      });
    });
  }

  /** Resolves when it serves. */
  async start(): Promise<void> {
    if (this.#kind === 'mosquitto' && !this.#mosquitto) await this.#startMosquitto();
    const words = [process.execPath, main, '--config', this.#config()];
    const [program = '', ...rest] = cores ? ['taskset', '-c', String(cores.server), ...words] : words;
    const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child = child;
    createInterface(child.stdout).on('line', (line) => {
      const { level } = JSON.parse(line) as { level: number };
      if (level >= 50) console.error(line);
    });
    for (;;) {
      const ready = await fetch(`http://127.0.0.1:${this.#ports.http}/health/ready`).catch(() => undefined);
      if (ready?.ok) return;
      if (child.exitCode !== null) throw new Error(`the server has ended: ${child.exitCode}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    await killed(child, signal);
  }

  async stop(): Promise<void> {
    await this.end('SIGTERM');
    await killed(this.#mosquitto, 'SIGTERM');
    rmSync(this.#directory, { recursive: true, force: true });
  }

  broker(): { readonly host: string; readonly port: number } {
    return { host: 'localhost', port: this.#ports.broker };
  }

  url(): string {
    return `http://127.0.0.1:${this.#ports.http}`;
  }

  /** As another process opens what it keeps. */
  open(): Promise<Issuance> {
    return openIssuance(this.#config(), () => undefined);
  }

  async figures(): Promise<ServerFigures> {
    const text = await (await fetch(`http://127.0.0.1:${this.#ports.metrics}/metrics`)).text();
    const lines = text.split('\n').flatMap((line) => {
      const [, name, value] = /^([^#\s]\S*) (\S+)$/.exec(line) ?? [];
      return name === undefined ? [] : [[name, Number(value)] as const];
    });
    const pid = this.#child?.pid ?? 0;
    // proc_pid_stat(5): fields 14 and 15 are ticks in user and kernel mode; the name before may have spaces
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return {
      memoryBytes: 1_024 * Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN),
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / 100,
      metrics: new Map(lines),
    };
  }

  #folder(): string {
    return join(this.#directory, 'mosquitto');
  }

  #config(): string {
    return join(this.#directory, 'issuance.yaml');
  }
}

async function killed(child: ChildProcess | undefined, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const over = once(child, 'exit');
  child.kill(signal);
  await over;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address ? address.port : 0;
}
