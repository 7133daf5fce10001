import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { withIssuance } from '#cli/issuance-organization.ts';
import { profileFile } from '../contracts/deck.ts';
import { freePort } from '../free-port.ts';
import { enterPeople } from '../issuance/organization-bench.ts';
import { ConnectedDevice } from '../terminal/connected-device.ts';
import { refusalDocument } from './kazasu.ts';
import { done, endPrograms, run } from './programs.ts';

let folder = '';
const at = (name: string): string => join(folder, name);
const server = () => ['--config', at('issuance.yaml')];
const place = () => [...server(), '--organization', 'city'];
const soon = { timeout: 60_000, interval: 20 };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kazasu-restored-'));
  const [port, brokerPort] = [await freePort(), await freePort()];
  writeFileSync(
    at('issuance.yaml'),
    `formatVersion: 1
stateDirectory: ${at('server')}
http: { port: 0 }
terminals: { listen: 127.0.0.1, port: ${port}, brokerPort: ${brokerPort} }
`,
  );
  mkdirSync(at('vault'));
  writeFileSync(
    at('vault.yaml'),
    `formatVersion: 1
terminal: vault
stateDirectory: ${at('vault')}
cardProfiles: [${profileFile('synthetic-type-c')}]
readers: [{ id: r1, name: absent, door: main }]
doors: [{ id: main, hardware: { strike: { kind: gpio, chip: absent, line: 1 } } }]
`,
  );
});
afterAll(async () => {
  await endPrograms();
  rmSync(folder, { recursive: true });
});

it('a server is lost with its machine, brought back from its backup, and its terminals obey it', async () => {
  await done('issuance', 'organization', 'city', ...server());
  let issuance = await run('ready', 'issuance', 'run', ...server());
  await withIssuance(at('issuance.yaml'), async ({ services }) => {
    const city = await services.find('city');
    if (city) await enterPeople(city);
  });
  await done('issuance', 'terminal', 'prepare', 'vault', ...place(), '--out', at('vault.json'));
  await done('terminal', 'enrol', '--config', at('vault.yaml'), '--file', at('vault.json'));
  const vault = await ConnectedDevice.start(at('vault'), 'vault');
  await vi.waitFor(
    async () => expect(await vault.tap('USER0001')).toMatchObject({ result: 'granted' }),
    soon,
  );

  // while the server runs
  const { backup } = JSON.parse(
    await done('issuance', 'backup', ...server(), '--to', at('backups'), '--keep', '3', '--json'),
  ) as { backup: string };
  expect(await done('issuance', 'restore', '--from', backup, '--verify', ...server())).toMatch(/^sound/);
  // what the backup does not know, and the terminal does
  await done('issuance', 'holder', 'suspend', 'hanako', ...place());
  await vi.waitFor(
    async () => expect(await vault.tap('USER0001')).toMatchObject({ reason: 'holder-suspended' }),
    soon,
  );
  expect(await refusalDocument('issuance', 'restore', '--from', backup, ...server())).toMatchObject({
    fault: 'argument-invalid',
  });

  await issuance.end('SIGKILL');
  rmSync(at('server'), { recursive: true });
  const restored = await done('issuance', 'restore', '--from', backup, ...server());
  expect(restored).toContain('suspend again whoever was suspended since');
  await done('issuance', 'holder', 'suspend', 'hanako', ...place());
  await done('issuance', 'holder', 'suspend', 'taro', ...place());
  issuance = await run('ready', 'issuance', 'run', ...server());
  // the terminal knows the server by the same keys, and believes what comes after the backup
  await vi.waitFor(
    async () => expect(await vault.tap('USER0002')).toMatchObject({ reason: 'holder-suspended' }),
    soon,
  );
  expect(await vault.tap('USER0001')).toMatchObject({ reason: 'holder-suspended' });
  await done('issuance', 'holder', 'resume', 'taro', ...place());
  await vi.waitFor(
    async () => expect(await vault.tap('USER0002')).toMatchObject({ result: 'granted' }),
    soon,
  );
  const { journals } = JSON.parse(await done('issuance', 'audit', ...server(), '--json'));
  for (const { report } of journals) expect(report.sound).toBe(true);
  // what it had sent after the backup comes again, and fits what the backup has
  const own = new Database(join(at('vault'), 'journal.sqlite'), { readonly: true });
  const [entries] = own.prepare('select count(*) from entries').pluck().all() as number[];
  own.close();
  await withIssuance(at('issuance.yaml'), async ({ services }) => {
    const journals = await (await services.find('city'))?.journals();
    await vi.waitFor(async () => {
      const report = await journals?.verify('vault');
      expect(report).toMatchObject({ sound: true, findings: [] });
      expect(report?.entries).toBeGreaterThanOrEqual(entries ?? 1);
    }, soon);
    expect((await journals?.entries.alarms({}, { limit: 10 }))?.alarms).toEqual([]);
  });
  await vault.stop();
  await issuance.end('SIGTERM');
}, 180_000);

it('a disk that is full ends in a fault, and in no half backup', () => {
  const kazasu = resolve(import.meta.dirname, '../../src/cli/main.ts');
  // no file may become larger than 16 KiB
  const command = `trap '' XFSZ; ulimit -f 16; exec '${process.execPath}' '${kazasu}' issuance backup --config '${at('issuance.yaml')}' --to '${at('full')}'`;
  const { status, stderr } = spawnSync('bash', ['-c', command], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({
    status: 1,
    stderr: expect.stringMatching(/^kazasu: backup-failed: /),
  });
  expect(readdirSync(at('full'))).toEqual([]);
});
