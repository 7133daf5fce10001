import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { profileFile } from '../contracts/deck.ts';
import { freePort } from '../free-port.ts';
import { type PostgresCluster, startPostgres } from '../issuance/postgres-cluster.ts';

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/brokers.md'), 'utf8');
const running = new Set<ChildProcess>();
let folder = '';
let ports = { https: 0, broker: 0 };
let cluster: PostgresCluster;
const at = (name: string): string => join(folder, name);

/** The text of the page's blocks between two headings, with folders and ports of this test. */
function blocks(heading: string, language: 'sh' | 'yaml'): string {
  const section = page.split(/^## /m).find((one) => one.startsWith(`${heading}\n`)) ?? '';
  const found = [...section.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))];
  return found
    .map(([, text = '']) => text)
    .join('')
    .replaceAll('/var/lib/kazasu-issuance', at('server'))
    .replaceAll('/etc/mosquitto/kazasu', at('mosquitto'))
    .replaceAll('/run/mosquitto/', at('run/'))
    .replaceAll('/run/postgresql', cluster.access.host)
    .replaceAll('/etc/kazasu/', `${folder}/`)
    .replaceAll(/(?<= )(root-1|enrolment.json)\b/g, (name) => at(name))
    .replaceAll('8443', '0')
    .replaceAll('8444', `${ports.https}`)
    .replaceAll('8883', `${ports.broker}`);
}

/** Runs one line of the page; resolves when it has ended or, where it stays, when it has said `ready`. */
async function run(line: string, ready?: string): Promise<{ child: ChildProcess; said: string[] }> {
  const child = spawn('bash', ['-c', `exec ${line.replace(/&$/, '')}`], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  const said: string[] = [];
  const waiting = Promise.withResolvers<void>();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on('line', (text) => {
      said.push(text);
      if (ready !== undefined && text.includes(ready)) waiting.resolve();
    });
  }
  child.once('close', (code) => {
    if (ready === undefined && code === 0) waiting.resolve();
    else waiting.reject(new Error(`${line} ended with ${code}:\n${said.join('\n')}`));
  });
  await waiting.promise;
  return { child, said };
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<unknown> {
  child.kill(signal);
  return (await once(child, 'exit'))[0];
}

/** The first root of the organization: the ceremony of docs/trust.md in its shortest form. */
async function makeRoot(): Promise<void> {
  const trust = (...words: string[]) => run(`scripts/kazasu issuance trust ${words.join(' ')}`);
  for (const role of ['root', 'policy', 'command']) await trust('key', at(role));
  const keys = ['root', 'policy', 'command'].map((role) => `--${role}-key ${at(role)}.pub.pem`);
  const platform = at('server/authorities/platform.pem');
  await trust('root', '--organization city', `--authority ${platform}`, ...keys, '--out', at('root-1'));
  await trust('sign', at('root-1'), '--key', at('root'));
}

async function listed() {
  const config = `--config ${at('issuance.yaml')} --organization city --json`;
  const { said } = await run(`scripts/kazasu issuance terminal list ${config}`);
  const { terminals } = JSON.parse(said.join('')) as {
    terminals: { presence?: { online: boolean; heardAtMs: number } }[];
  };
  return terminals[0]?.presence;
}

const saidTwice = (said: readonly string[], message: string) =>
  vi.waitFor(
    () => expect(said.filter((line) => line.includes(`"${message}"`)).length).toBeGreaterThanOrEqual(2),
    { timeout: 60_000, interval: 100 },
  );

/** Resolves when the server has heard of the terminal after `sinceMs`. */
const heard = (sinceMs: number) =>
  vi.waitFor(async () => expect((await listed())?.heardAtMs ?? 0).toBeGreaterThan(sinceMs), {
    timeout: 60_000,
    interval: 300,
  });

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kazasu-brokers-'));
  chmodSync(folder, 0o711);
  ports = { https: await freePort(), broker: await freePort() };
  cluster = await startPostgres();
  writeFileSync(at('database.password'), await cluster.access.password(), { mode: 0o600 });
  mkdirSync(at('device'));
  writeFileSync(
    at('terminal.yaml'),
    `formatVersion: 1
terminal: lobby
stateDirectory: ${at('device')}
cardProfiles: [${profileFile('synthetic-type-c')}]
readers: [{ id: reader, name: absent, door: door }]
doors: [{ id: door, hardware: { strike: { kind: gpio, chip: absent, line: 1 } } }]
journal: { reserveMiB: 8 }
`,
  );
  writeFileSync(at('issuance.yaml'), blocks('Mosquitto with PostgreSQL', 'yaml'));
  // where the system's own mosquitto has its process id
  mkdirSync(at('run'));
  chmodSync(at('run'), 0o777);
}, 60_000);
afterAll(async () => {
  await Promise.all([...running].map((child) => ended(child, 'SIGKILL')));
  await cluster.stop();
  rmSync(folder, { recursive: true });
});

it('Mosquitto with PostgreSQL as docs/brokers.md says, and whoever is shut out', async () => {
  const lines = blocks('Mosquitto with PostgreSQL', 'sh').trim().split('\n');
  expect(lines).toHaveLength(8);
  const [install = '', organization = '', config = '', broker = '', server = ''] = lines;
  const [prepare = '', enrol = '', terminal = ''] = lines.slice(5);
  await run(install);
  await run(organization);
  await run(config);
  expect(statSync(at('mosquitto/server.key')).mode & 0o777).toBe(0o640);
  let mosquitto = await run(broker, 'running');
  const issuance = await run(server, '"msg":"ready"');
  await makeRoot();
  await run(prepare);
  await run(enrol);
  let sinceMs = Date.now();
  let device = await run(terminal, 'connected to the server');
  await heard(sinceMs);

  // the broker dies, with all it had in memory: both find it again
  await ended(mosquitto.child, 'SIGKILL');
  mosquitto = await run(broker, 'running');
  await Promise.all([
    saidTwice(issuance.said, 'the broker is reached'),
    saidTwice(device.said, 'connected to the server'),
  ]);

  // the database dies: the server serves again by itself
  await cluster.crash();
  await cluster.restart();
  await ended(device.child, 'SIGKILL');
  sinceMs = Date.now();
  device = await run(terminal, 'connected to the server');
  await heard(sinceMs);

  // a command beside the server shuts the terminal out: the server tells the broker
  const name = `--config ${at('issuance.yaml')} --organization city`;
  await run(`scripts/kazasu issuance terminal shut lobby ${name}`);
  await vi.waitFor(() => expect(readFileSync(at('mosquitto/access'), 'utf8')).toContain('CN=lobby,O=city'), {
    timeout: 20_000,
  });
  await vi.waitFor(() => expect(mosquitto.said.join('\n')).toContain('Reloading config'), {
    timeout: 10_000,
  });
  // neither the one that is connected nor a new connection is heard any more
  expect(await ended(device.child, 'SIGKILL')).toBeNull();
  const again = await run(terminal, 'broker-refused');
  await ended(again.child, 'SIGTERM');
  expect(await ended(issuance.child, 'SIGTERM')).toBe(0);
}, 180_000);
