import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { freePort } from '../free-port.ts';
import { type PostgresCluster, startPostgres } from '../issuance/postgres-cluster.ts';
import {
  blocksOf,
  ended,
  endLines,
  heard,
  makeRoot,
  runLine,
  sectionOf,
  writeTerminalConfig,
} from './documented-commands.ts';

let folder = '';
let ports = { https: 0, broker: 0 };
let cluster: PostgresCluster;
const at = (name: string): string => join(folder, name);

/** The text of the page's blocks, with folders and ports of this test. */
function blocks(language: 'sh' | 'yaml'): string {
  return blocksOf(sectionOf('Mosquitto with PostgreSQL'), language)
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

const saidTwice = (said: readonly string[], message: string) =>
  vi.waitFor(
    () => expect(said.filter((line) => line.includes(`"${message}"`)).length).toBeGreaterThanOrEqual(2),
    { timeout: 60_000, interval: 100 },
  );

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kazasu-brokers-'));
  chmodSync(folder, 0o711);
  ports = { https: await freePort(), broker: await freePort() };
  cluster = await startPostgres();
  writeFileSync(at('database.password'), await cluster.access.password(), { mode: 0o600 });
  mkdirSync(at('device'));
  writeTerminalConfig(at('terminal.yaml'), at('device'));
  writeFileSync(at('issuance.yaml'), blocks('yaml'));
  // where the system's own mosquitto has its process id
  mkdirSync(at('run'));
  chmodSync(at('run'), 0o777);
}, 60_000);
afterAll(async () => {
  await endLines();
  await cluster.stop();
  rmSync(folder, { recursive: true });
});

it('Mosquitto with PostgreSQL as docs/brokers.md says, and whoever is shut out', async () => {
  const lines = blocks('sh').trim().split('\n');
  expect(lines).toHaveLength(8);
  const [install = '', organization = '', config = '', broker = '', server = ''] = lines;
  const [prepare = '', enrol = '', terminal = ''] = lines.slice(5);
  await runLine(install);
  await runLine(organization);
  await runLine(config);
  expect(statSync(at('mosquitto/server.key')).mode & 0o777).toBe(0o640);
  let mosquitto = await runLine(broker, { ready: 'running' });
  const issuance = await runLine(server, { ready: '"msg":"ready"' });
  await makeRoot(folder, at('server/authorities/platform.pem'));
  await runLine(prepare);
  await runLine(enrol);
  let sinceMs = Date.now();
  let device = await runLine(terminal, { ready: 'connected to the server' });
  await heard(at('issuance.yaml'), sinceMs);

  // the broker dies, with all it had in memory: both find it again
  await ended(mosquitto.child, 'SIGKILL');
  mosquitto = await runLine(broker, { ready: 'running' });
  await Promise.all([
    saidTwice(issuance.said, 'the broker is reached'),
    saidTwice(device.said, 'connected to the server'),
  ]);

  // the database dies: the server serves again by itself
  await cluster.crash();
  await cluster.restart();
  await ended(device.child, 'SIGKILL');
  sinceMs = Date.now();
  device = await runLine(terminal, { ready: 'connected to the server' });
  await heard(at('issuance.yaml'), sinceMs);

  // a command beside the server shuts the terminal out: the server tells the broker
  const name = `--config ${at('issuance.yaml')} --organization city`;
  await runLine(`scripts/kazasu issuance terminal shut lobby ${name}`);
  await vi.waitFor(() => expect(readFileSync(at('mosquitto/access'), 'utf8')).toContain('CN=lobby,O=city'), {
    timeout: 20_000,
  });
  await vi.waitFor(() => expect(mosquitto.said.join('\n')).toContain('Reloading config'), {
    timeout: 10_000,
  });
  // neither the one that is connected nor a new connection is heard any more
  expect(await ended(device.child, 'SIGKILL')).toBeNull();
  const again = await runLine(terminal, { ready: 'broker-refused' });
  await ended(again.child, 'SIGTERM');
  expect(await ended(issuance.child, 'SIGTERM')).toBe(0);
}, 180_000);
