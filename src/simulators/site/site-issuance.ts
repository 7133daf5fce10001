import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { HttpsIssuanceClient } from '#adapters/https/issuance-client.ts';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { isMissing } from '#adapters/process/durable-file.ts';
import { Link } from '#adapters/process/link.ts';
import { makeCertificateKey } from '#adapters/x509/certificate-request.ts';
import { Fault } from '#core/fault.ts';
import { Enrolment } from '#terminal/enrolment.ts';
import { identityStores } from '#terminal/server-connection.ts';
import type { RuleSet, RulesView } from '#web/site/api.ts';
import { freePort } from './free-port.ts';
import type { IssuanceOfficeOffer } from './issuance-office.ts';
import type { RuleSwitch } from './site-parts.ts';

/** a first start makes keys, certificates and databases */
const readyWithinMs = 60_000;
const answerWithinMs = 30_000;
const lookEveryMs = 50;

/** Which version of its policy a terminal goes by; 0 before the first. */
type InstalledVersion = (terminal: string) => number;

export interface SiteIssuanceParts {
  readonly directory: string;
  /** folder of the state of a terminal */
  readonly terminals: ReadonlyMap<string, string>;
  /** the server's process has ended by itself */
  readonly lost: (fault: Fault) => void;
}

/**
 * The issuance server of the building, in a process of its own: with the embedded broker, on SQLite, in the folder
 * `server`. Whatever changes there reaches the terminals by it alone.
 */
export class SiteIssuance implements RuleSwitch {
  readonly #parts: SiteIssuanceParts;
  #child: ChildProcess | undefined;
  #link: Link<IssuanceOfficeOffer> | undefined;
  #current: RulesView = { rules: null, policyVersion: 0 };
  #installed: InstalledVersion = () => 0;
  #configured: Promise<void> = Promise.resolve();

  constructor(parts: SiteIssuanceParts) {
    this.#parts = parts;
  }

  configFile(): string {
    return join(this.#parts.directory, 'issuance.yaml');
  }

  /** Rejects with `process-lost` where the server does not come up: its log says why. */
  async start(): Promise<void> {
    this.#configured = this.#configure();
    await this.#configured;
    const log = await open(join(this.#parts.directory, 'server.log'), 'w', 0o600);
    const child = spawn(
      process.execPath,
      [
        '--disable-warning=ExperimentalWarning',
        fileURLToPath(new URL('./issuance-process.ts', import.meta.url)),
        this.configFile(),
      ],
      // a group of its own: Ctrl-C is the site's to handle, whose terminals take leave of the server
      { stdio: ['ignore', log.fd, log.fd, 'ipc'], detached: true },
    );
    this.#child = child;
    const ready = Promise.withResolvers<void>();
    const link = new Link<IssuanceOfficeOffer>(
      { send: (message) => child.send(message as object) },
      { ready: () => ready.resolve() },
    );
    this.#link = link;
    child.on('message', (message) => {
      // besides, it says again and again that it lives
      if (typeof message === 'object') link.receive(message);
    });
    const timer = globalThis.setTimeout(() => ready.reject(this.#lost('says nothing')), readyWithinMs);
    child.once('error', () => ready.reject(this.#lost('could not be started')));
    child.once('exit', () => {
      const fault = this.#lost('has ended');
      link.close(fault);
      ready.reject(fault);
      if (this.#child === child) this.#parts.lost(fault);
    });
    try {
      await ready.promise;
    } finally {
      clearTimeout(timer);
      await log.close();
    }
    await this.#enrol();
    const { rules, version } = await this.#call('rules', undefined as never);
    this.#current = { rules, policyVersion: version };
  }

  /** Whether every terminal is enrolled, once its configuration is as it will be. */
  async areEnrolled(): Promise<boolean> {
    await this.#configured;
    const identities = [...this.#parts.terminals.values()].map((folder) =>
      identityStores(folder).store.identity(),
    );
    return (await Promise.all(identities)).every((identity) => identity !== undefined);
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    this.#link?.notify('stop', undefined as never);
    await ended;
  }

  /** Resolves once every terminal goes by a policy; rejects with `deadline-exceeded`. */
  async awaitPolicies(installed: InstalledVersion): Promise<void> {
    this.#installed = installed;
    if ([...this.#parts.terminals.keys()].every((terminal) => installed(terminal) > 0)) return;
    await this.#reached(0);
  }

  current(): RulesView {
    return this.#current;
  }

  /** Resolves once every terminal goes by them. Rejects with `policy-import-refused` or `deadline-exceeded`. */
  async install(rules: RuleSet): Promise<RulesView> {
    if (this.#current.rules !== rules) {
      const { version, changeNumber } = await this.#call('install', rules);
      await this.#reached(changeNumber);
      this.#current = { rules, policyVersion: version };
    }
    return this.#current;
  }

  async #reached(changeNumber: number): Promise<void> {
    const until = performance.now() + answerWithinMs;
    for (;;) {
      const versions = await this.#call('versions', changeNumber);
      const terminals = [...this.#parts.terminals.keys()];
      if (versions && terminals.every((terminal) => this.#installed(terminal) >= (versions[terminal] ?? 1)))
        return;
      if (performance.now() > until)
        throw new Fault('deadline-exceeded', 'a terminal does not follow its server; server.log may say why');
      await setTimeout(lookEveryMs);
    }
  }

  /** Enrols each terminal that is none yet, as a device is enrolled. */
  async #enrol(): Promise<void> {
    for (const [terminal, stateDirectory] of this.#parts.terminals) {
      const { store, roots } = identityStores(stateDirectory);
      if (await store.identity()) continue;
      const enrolment = new Enrolment({
        store,
        trust: roots,
        client: new HttpsIssuanceClient(),
        makeKey: makeCertificateKey,
        deviceKey: await openDeviceKey(stateDirectory),
      });
      await enrolment.enrol(await this.#call('enrol', terminal));
    }
  }

  /**
   * Ports are chosen once, since terminals are told them when they are enrolled. Where another program has taken one,
   * others are chosen and terminals are enrolled again.
   */
  async #configure(): Promise<void> {
    const { directory, terminals } = this.#parts;
    const isKnown = !(await isMissing(join(directory, 'server')));
    const known = isKnown ? await readFile(this.configFile(), 'utf8').catch(() => '') : '';
    const ports = [...known.matchAll(/[pP]ort: (\d+)/g)].map(([, port]) => Number(port));
    if (ports.length === 3 && (await areFree(ports))) return;
    for (const stateDirectory of terminals.values())
      await rm(join(stateDirectory, 'identity'), { recursive: true, force: true });
    const [http, https, broker] = await freePorts(3);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await writeFile(
      this.configFile(),
      `# The issuance server of the simulated building; docs/issuance.md
formatVersion: 1
stateDirectory: ${JSON.stringify(join(directory, 'server'))}
http: { port: ${http} }
terminals: { listen: 127.0.0.1, port: ${https}, brokerPort: ${broker} }
`,
      { mode: 0o600 },
    );
  }

  #call<M extends keyof IssuanceOfficeOffer & string>(
    method: M,
    argument: Parameters<IssuanceOfficeOffer[M]>[0],
  ) {
    if (!this.#link) throw this.#lost('has not started');
    return this.#link.call<M>(method, argument as never, answerWithinMs);
  }

  #lost(why: string): Fault {
    return new Fault(
      'process-lost',
      `the issuance server ${why}; ${this.#parts.directory}/server.log may say why`,
    );
  }
}

/** Different ports that nobody listens at now. */
async function freePorts(count: number): Promise<readonly number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = await freePort(0);
    if (port !== undefined) ports.add(port);
  }
  return [...ports];
}

/** Whether they are, or will be in a moment: a server of before may be about to end. */
async function areFree(ports: readonly number[]): Promise<boolean> {
  for (let tries = 0; tries < 30; tries += 1) {
    const free = await Promise.all(ports.map((port) => freePort(port)));
    if (!free.includes(undefined)) return true;
    await setTimeout(100);
  }
  return false;
}
