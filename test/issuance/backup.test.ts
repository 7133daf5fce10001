import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { commandPrincipal } from '#cli/organization-services.ts';
import { makeBackup, removeOldBackups } from '#issuance/backup/backup.ts';
import { backupAge } from '#issuance/backup/last-backup.ts';
import { type RestoreParts, readBackup, restoreBackup, tryBackup } from '#issuance/backup/restore.ts';
import { newCommand } from '#issuance/commands/command-orders.ts';
import type { IssuanceConfig } from '#issuance/config.ts';
import { databaseSource } from '#issuance/database-source.ts';
import { type Issuance, openConfigured, readIssuanceConfig } from '#issuance/main.ts';
import { databaseRigs, type StartedRig } from './database-rigs.ts';
import { commissioner, rulesDocument, staffWith } from './organization-bench.ts';

const open = (config: IssuanceConfig) => openConfigured(config, () => undefined);
const clean = staffWith('USER0001');

describe.each(databaseRigs)('a backup on $name', ({ start, name }) => {
  let rig: StartedRig;
  let folder: string;
  let config: IssuanceConfig;
  let parts: RestoreParts;
  let issuance: Issuance;
  const at = (...path: string[]) => join(folder, ...path);

  beforeEach(async () => {
    rig = await start();
    folder = mkdtempSync(join(tmpdir(), 'kazasu-backup-'));
    config = await configured(rig, folder);
    parts = { config, sourceOf: databaseSource, open };
    issuance = await open(config);
    await issuance.organizations.create({ id: 'city', name: '市' }, commissioner);
    const city = await issuance.services.find('city');
    await city?.rules.make({ document: rulesDocument }, commissioner);
    await city?.holders.put('hanako', clean, undefined, commandPrincipal());
  }, 60_000);
  afterEach(async () => {
    await issuance.databases.stop();
    await rig.stop();
    rmSync(folder, { recursive: true });
  });

  const backup = async () =>
    makeBackup(at('backups'), {
      issuance,
      source: await databaseSource(config),
      program: '1.2.3',
      tryOut: (draft, scratch) => tryBackup(draft, scratch, parts),
    });
  /** The machine is gone, with all that was on it but its configuration. */
  const wipe = async () => {
    await issuance.databases.stop();
    rmSync(config.stateDirectory, { recursive: true });
    if (rig.cluster)
      await rig.cluster.administer('drop database kazasu', 'create database kazasu owner kazasu');
  };
  const changeNumber = async () => {
    const db = await issuance.databases.permissions({ id: 'city', number: 1 });
    const row = await db.selectFrom('server_state').select('change_number').executeTakeFirstOrThrow();
    return row.change_number;
  };

  it('brings everything back on an empty machine, and counts on beyond what terminals may know', async () => {
    const key = issuance.signing.keyId();
    const made = await backup();
    expect(readdirSync(at('backups'))).toEqual([made.split('/').at(-1)]);
    expect(statSync(made).mode & 0o077).toBe(0);
    expect(await backupAge(config.stateDirectory, issuance.clock)).toBeLessThan(60);
    const before = await changeNumber();
    await wipe();
    const { auditEntries, manifest } = await restoreBackup(made, commissioner, parts);
    expect(auditEntries).toBeGreaterThan(2);
    expect(manifest).toMatchObject({
      program: '1.2.3',
      organizations: [{ id: 'city', number: 1, name: '市' }],
    });
    issuance = await open(config);
    const city = await issuance.services.find('city');
    expect(await city?.holders.find('hanako')).toMatchObject({ state: clean });
    expect(issuance.signing.keyId()).toBe(key);
    expect(await changeNumber()).toBeGreaterThan(before + 100_000);
    const [raised, restored] = (await city?.audit.page({ before: 1_000, limit: 2 })) ?? [];
    expect(raised?.body).toMatchObject({ action: 'counters-raised' });
    expect(restored?.body).toMatchObject({ action: 'backup-restored', by: 'commissioner' });
    // what was signed last is still followed by what came since
    expect(await city?.audit.seal({ ...issuance, heads: issuance.sealedHeads })).toBe(true);
    expect(await city?.audit.verify([issuance.signing.publicKey()])).toMatchObject({ sound: true });
  }, 120_000);

  it('has conditions told no more that waited for a terminal', async () => {
    const place = { id: 'city', number: 1 };
    const order = { everywhere: 1, issued_by: 'tanaka', reason: '訓練', valid_ms: 60_000, made_at_ms: 0 };
    const signed = { document: new Uint8Array(), issued_at_ms: 0, expires_at_ms: 60_000 };
    const db = await issuance.databases.permissions(place);
    const rows = [
      { order_id: '000000000000001', condition: 'lockdown', action: '{"kind":"lockdown"}' },
      { order_id: '000000000000002', condition: '', action: '{"kind":"diagnostics"}' },
    ];
    for (const row of rows) {
      await db
        .insertInto('command_orders')
        .values({ ...order, ...row })
        .execute();
      await db
        .insertInto('commands')
        .values(newCommand(row.order_id, 'lobby', { ...signed, command_id: row.order_id }))
        .execute();
    }
    const made = await backup();
    await wipe();
    await restoreBackup(made, commissioner, parts);
    issuance = await open(config);
    const restored = await issuance.databases.permissions(place);
    expect(await restored.selectFrom('commands').select('state').orderBy('order_id').execute()).toEqual([
      { state: 'unanswered' },
      { state: 'waiting' },
    ]);
  }, 120_000);

  it('is of one moment of each database, while changes go on', async () => {
    const city = await issuance.services.find('city');
    let ended = false;
    let done = 0;
    const changing = (async () => {
      while (!ended) {
        await city?.holders.put(`holder-${done}`, { ...clean, cards: [] }, undefined, commandPrincipal());
        await city?.audit.seal({ ...issuance, heads: issuance.sealedHeads });
        done += 1;
      }
    })();
    const made = await backup();
    ended = true;
    await changing;
    await wipe();
    await restoreBackup(made, commissioner, parts);
    issuance = await open(config);
    const restored = await issuance.services.find('city');
    expect(await restored?.audit.verify([issuance.signing.publicKey()])).toMatchObject({ sound: true });
    expect(await restored?.audit.seal({ ...issuance, heads: issuance.sealedHeads })).toBe(true);
  }, 120_000);

  it('is restored nowhere but where nothing is', async () => {
    const made = await backup();
    await expect(restoreBackup(made, commissioner, parts)).rejects.toMatchObject({
      code: 'argument-invalid',
    });
    expect(await (await issuance.services.find('city'))?.holders.find('hanako')).toBeDefined();
    if (name === 'PostgreSQL') {
      // the state is gone, the database is not
      await issuance.databases.stop();
      rmSync(config.stateDirectory, { recursive: true });
      await expect(restoreBackup(made, commissioner, parts)).rejects.toMatchObject({
        code: 'argument-invalid',
      });
      expect(existsSync(config.stateDirectory)).toBe(false);
      issuance = await open(config);
    }
  }, 60_000);

  it('that was changed, or is not whole, restores nothing', async () => {
    const made = await backup();
    const { files } = await readBackup(made);
    await wipe();
    for (const { path } of files.filter((_, index) => index % 3 === 0)) {
      appendFileSync(join(made, path), 'x');
      await expect(restoreBackup(made, commissioner, parts)).rejects.toMatchObject({
        code: 'backup-invalid',
      });
      expect(existsSync(config.stateDirectory)).toBe(false);
      break;
    }
    rmSync(join(made, 'backup.json'));
    await expect(restoreBackup(made, commissioner, parts)).rejects.toMatchObject({ code: 'backup-invalid' });
    issuance = await open(config);
  }, 60_000);

  it('whose records do not verify restores nothing', async () => {
    const db = await issuance.databases.permissions({ id: 'city', number: 1 });
    await db
      .updateTable('audit')
      .set({ raw: Buffer.from('{}') })
      .where('sequence', '=', 1)
      .execute();
    const made = makeBackup(at('backups'), {
      issuance,
      source: await databaseSource(config),
      program: '1.2.3',
      tryOut: async (draft, scratch) => {
        await tryBackup(draft, scratch, parts);
        if (name === 'PostgreSQL') {
          await wipe();
          await restoreBackup(draft, commissioner, parts);
        }
      },
    });
    await expect(made).rejects.toMatchObject({ code: 'backup-invalid' });
    expect(readdirSync(at('backups'))).toEqual([]);
    if (name === 'PostgreSQL') {
      expect(existsSync(config.stateDirectory)).toBe(false);
      issuance = await open(config);
    }
  }, 60_000);
});

it('the newest are kept, and what is no backup is left alone', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kazasu-backups-'));
  const names = ['kazasu-20260101T000000Z', 'kazasu-20260102T000000Z', 'kazasu-20260103T000000Z'];
  for (const name of [...names, 'my-notes']) mkdirSync(join(folder, name));
  expect(await removeOldBackups(folder, 2)).toEqual(names.slice(0, 1));
  expect(readdirSync(folder).sort()).toEqual([...names.slice(1), 'my-notes']);
  rmSync(folder, { recursive: true });
});

async function configured(rig: StartedRig, folder: string): Promise<IssuanceConfig> {
  let database = '{ kind: sqlite }';
  if (rig.cluster) {
    const { host, port, user, database: name, password } = rig.cluster.access;
    writeFileSync(join(folder, 'password'), await password(), { mode: 0o600 });
    database = `{ kind: postgres, host: ${host}, port: ${port}, database: ${name}, user: ${user}, passwordFile: password }`;
  }
  const file = join(folder, 'issuance.yaml');
  writeFileSync(file, `formatVersion: 1\nstateDirectory: ${join(folder, 'server')}\ndatabase: ${database}\n`);
  return readIssuanceConfig(file);
}
