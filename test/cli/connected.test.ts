import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { profileFile } from '../contracts/deck.ts';
import { freePort } from '../free-port.ts';
import { kazasu } from './kazasu.ts';
import { done, endPrograms, run } from './programs.ts';

let folder = '';
let port = 0;
const at = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kazasu-connected-'));
  port = await freePort();
  const brokerPort = await freePort();
  writeFileSync(
    at('issuance.yaml'),
    `formatVersion: 1
stateDirectory: ${at('server')}
http: { port: 0 }
terminals: { listen: 127.0.0.1, port: ${port}, brokerPort: ${brokerPort} }
`,
  );
  mkdirSync(at('device'));
  writeFileSync(
    at('rules.yaml'),
    'formatVersion: 1\norganization: city\nprofiles: []\ngroups: []\ndoors: [{ id: door }]\n',
  );
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
});
afterAll(async () => {
  await endPrograms();
  rmSync(folder, { recursive: true });
});

const server = () => ['--config', at('issuance.yaml')];
const place = () => [...server(), '--organization', 'city'];
const runServer = () => run('ready', 'issuance', 'run', ...server());
const runTerminal = () => run('connected to the server', 'terminal', 'run', '--config', at('terminal.yaml'));

interface Listed {
  readonly state: string;
  readonly presence?: { readonly online: boolean; readonly heardAtMs: number; readonly device: object };
}

async function listed(): Promise<Listed | undefined> {
  const { terminals } = JSON.parse(await done('issuance', 'terminal', 'list', ...place(), '--json'));
  return terminals[0];
}

/** Resolves when the server has heard of the terminal after `sinceMs`. */
const heard = (sinceMs: number) =>
  vi.waitFor(
    async () => {
      const one = await listed();
      expect(one?.presence?.online).toBe(true);
      expect(one?.presence?.heardAtMs).toBeGreaterThan(sinceMs);
      return one;
    },
    { timeout: 20_000, interval: 100 },
  );

/** The entries of a journal, by their hashes. */
function entriesOf(file: string): readonly string[] {
  const db = new Database(at(file), { readonly: true });
  try {
    return db.prepare<[], string>('SELECT hex(hash) FROM entries ORDER BY hash').pluck().all();
  } finally {
    db.close();
  }
}

/** The first root of the organization, and the enrolment of its terminal. */
async function prepare(): Promise<void> {
  const keys = ['root', 'policy', 'command'];
  await Promise.all(keys.map((key) => done('issuance', 'trust', 'key', at(key))));
  const platform = ['--authority', at('server/authorities/platform.pem')];
  const roles = keys.flatMap((key) => [`--${key}-key`, at(`${key}.pub.pem`)]);
  await done(
    'issuance',
    'trust',
    'root',
    '--organization',
    'city',
    ...platform,
    ...roles,
    '--out',
    at('root-1'),
  );
  await done('issuance', 'trust', 'sign', at('root-1'), '--key', at('root'));
  const file = ['--root', at('root-1'), '--out', at('enrolment.json')];
  const address = ['--server', `https://localhost:${port}`];
  await done('issuance', 'terminal', 'prepare', 'lobby', ...place(), ...platform, ...address, ...file);
}

it('a terminal is enrolled, connects, is seen, and finds back whoever of the two was killed', async () => {
  await done('issuance', 'organization', 'city', ...server());
  // what is damaged of another organization, the first of them, keeps nothing of this one from being done
  await done('issuance', 'organization', 'annex', ...server());
  writeFileSync(at('server/databases/organizations/annex/permissions.sqlite'), 'no database');
  let issuance = await runServer();
  expect(issuance.faults).toContain('database-invalid');
  await prepare();
  await done('terminal', 'enrol', '--config', at('terminal.yaml'), '--file', at('enrolment.json'));
  expect(await listed()).toEqual(expect.not.objectContaining({ presence: expect.anything() }));
  // before it has ever met its server again
  const imported = await kazasu(
    ...['policy', 'import', at('rules.yaml'), '--database', at('device/policy.sqlite')],
  );
  expect(imported).toMatchObject({ code: 1, err: expect.stringContaining('policy-import-refused') });

  let terminal = await runTerminal();
  expect(await heard(0)).toMatchObject({
    state: 'enrolled',
    presence: { device: { terminal: 'lobby', readers: [{ reader: 'reader', ready: false }] } },
  });

  await terminal.end('SIGKILL');
  let sinceMs = Date.now();
  terminal = await runTerminal();
  await heard(sinceMs);

  await issuance.end('SIGKILL');
  sinceMs = Date.now();
  issuance = await runServer();
  await heard(sinceMs);

  expect(await terminal.end('SIGTERM')).toBe(0);
  // what it wrote before it was killed, since, and when it ended
  terminal = await runTerminal();
  await vi.waitFor(
    () => {
      const [here, there] = ['device/journal.sqlite', 'server/databases/organizations/city/journal.sqlite'];
      expect(entriesOf(here).length).toBeGreaterThan(3);
      expect(entriesOf(there)).toEqual(entriesOf(here));
    },
    { timeout: 20_000, interval: 100 },
  );
  expect(await terminal.end('SIGTERM')).toBe(0);
  await vi.waitFor(async () => expect((await listed())?.presence?.online).toBe(false), { timeout: 10_000 });

  // a command beside the server shuts it out, while it is connected
  terminal = await runTerminal();
  await done('issuance', 'terminal', 'shut', 'lobby', ...place());
  await vi.waitFor(() => expect(terminal.faults).toContain('broker-refused'), { timeout: 20_000 });
  expect(await terminal.end('SIGTERM')).toBe(0);
  expect(await issuance.end('SIGTERM')).toBe(0);
}, 120_000);
