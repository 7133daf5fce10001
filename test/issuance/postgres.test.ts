import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PostgresDatabases, schemaOf } from '#adapters/postgres/issuance-databases.ts';
import { parseIssuanceConfig } from '#issuance/config.ts';
import { databaseSource } from '#issuance/database-source.ts';
import { Databases, type PermissionsDatabase } from '#issuance/storage/databases.ts';
import { type PostgresCluster, startPostgres } from './postgres-cluster.ts';

const city = { id: 'city', number: 1 };
const university = { id: 'university', number: 2 };
const theirs = sql.raw(`${schemaOf({ kind: 'permissions', organization: university })}.holders`);
const theirHolder = {
  holder_id: 'professor',
  status: 'active' as const,
  valid_from_ms: null,
  valid_until_ms: null,
  group_list: '',
  change_number: 1,
};

describe('boundaries between organizations on PostgreSQL', () => {
  let cluster: PostgresCluster;
  let databases: Databases;
  let ours: PermissionsDatabase;
  const open = () =>
    new Databases({
      source: new PostgresDatabases({
        access: { ...cluster.access, connections: 2 },
      }),
    });

  beforeAll(async () => {
    cluster = await startPostgres();
    databases = open();
    await databases.platform();
    await databases.journal(university);
    ours = await databases.permissions(city);
    const other = await databases.permissions(university);
    await other.insertInto('holders').values(theirHolder).execute();
  });
  afterAll(async () => {
    await databases.stop();
    await cluster.stop();
  });

  it.each([
    ['read', sql`select * from ${theirs}`],
    ['change', sql`update ${theirs} set status = 'ended'`],
    ['add to', sql`insert into ${theirs} values ('intruder', 'active', null, null, '', 1)`],
    ['remove from', sql`delete from ${theirs}`],
    ['empty', sql`truncate ${theirs}`],
    ['drop', sql`drop table ${theirs}`],
    ['switch the protection off of', sql`alter table ${theirs} disable row level security`],
  ])('refuses to %s a table of another', async (_, statement) => {
    await expect(statement.execute(ours)).rejects.toMatchObject({ code: '42501' });
  });

  it.each([
    ['the platform', 'kazasu_platform.organizations'],
    ['the journal of another', 'kazasu_2_journal.database_format'],
  ])('refuses tables of %s', async (_, table) => {
    await expect(sql`select * from ${sql.raw(table)}`.execute(ours)).rejects.toMatchObject({
      code: '42501',
    });
  });

  it('keeps its role where a statement resets it', async () => {
    await sql`reset role`.execute(ours);
    const { rows } = await sql<{ role: string }>`select current_user as role`.execute(ours);
    expect(rows).toEqual([{ role: 'kazasu_1_permissions' }]);
  });

  it('gives the account that connects no rights of its own', async () => {
    const client = new pg.Client(cluster.access);
    await client.connect();
    for (const table of ['kazasu_1_permissions.holders', 'kazasu_platform.organizations']) {
      await expect(client.query(`select * from ${table}`)).rejects.toMatchObject({ code: '42501' });
    }
    await client.end();
  });

  it('shows no row of another whatever is granted by mistake', async () => {
    const [schema, role] = ['kazasu_2_permissions', 'kazasu_1_permissions'];
    const granting = new pg.Client({ ...cluster.access, user: 'owner' });
    await granting.connect();
    await granting.query(`grant usage on schema ${schema} to ${role}`);
    await granting.query(`grant all on all tables in schema ${schema} to ${role}`);
    expect((await sql`select * from ${theirs}`.execute(ours)).rows).toEqual([]);
    await sql`update ${theirs} set status = 'ended'`.execute(ours);
    await sql`delete from ${theirs}`.execute(ours);
    const adding = sql`insert into ${theirs} values ('intruder', 'active', null, null, '', 1)`.execute(ours);
    await expect(adding).rejects.toMatchObject({ code: '42501' });
    await granting.query(`revoke all on all tables in schema ${schema} from ${role}`);
    await granting.query(`revoke usage on schema ${schema} from ${role}`);
    await granting.end();
    const kept = await (await databases.permissions(university)).selectFrom('holders').selectAll().execute();
    expect(kept).toEqual([theirHolder]);
  });

  it('protects every table there is', async () => {
    const client = new pg.Client({ ...cluster.access, user: 'owner' });
    await client.connect();
    const { rows } = await client.query(
      `select n.nspname || '.' || c.relname as name, c.relrowsecurity and c.relforcerowsecurity as protected
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where n.nspname like 'kazasu%' and c.relkind = 'r'`,
    );
    await client.end();
    expect(rows.length).toBeGreaterThan(20);
    expect(rows.filter((row) => !row.protected)).toEqual([]);
  });

  it('says that the server is away while it is, and serves again by itself', async () => {
    await cluster.crash();
    const asking = () => ours.selectFrom('holders').selectAll().execute();
    await expect(asking()).rejects.toMatchObject({ code: 'database-unavailable' });
    await expect(open().permissions(city)).rejects.toMatchObject({ code: 'database-unavailable' });
    await cluster.restart();
    expect(await asking()).toEqual([]);
  });

  it('says so, and goes on, where its connection ends while it makes its place', async () => {
    const way = createServer((client) => {
      const onward = connect(`${cluster.access.host}/.s.PGSQL.${cluster.access.port}`);
      for (const end of [client, onward]) end.on('error', () => undefined);
      onward.pipe(client);
      client.on('data', (bytes) => {
        if (bytes.includes('create schema')) client.resetAndDestroy();
        else onward.write(bytes);
      });
      client.on('close', () => onward.destroy());
    });
    await new Promise<void>((listening) => way.listen(0, '127.0.0.1', listening));
    const { port } = way.address() as AddressInfo;
    const access = { ...cluster.access, host: '127.0.0.1', port, connections: 2 };
    const disturbed = new Databases({ source: new PostgresDatabases({ access }) });
    await expect(disturbed.permissions(city)).rejects.toMatchObject({ code: 'database-unavailable' });
    await disturbed.stop();
    way.close();
  });

  it('frees what a client holds that has fallen silent, and says of a standby that it does not serve', async () => {
    // the machine of another process has died within a change: nothing ends its connection
    const silent = new pg.Client({ ...cluster.access, user: 'owner' });
    silent.on('error', () => undefined);
    await silent.connect();
    // as a connection of ours is, with the bounds that its own pool gave it
    const { rows: bounds } = await sql<{ name: string; setting: string; unit: string }>`
      select name, setting, unit from pg_settings where name in
      ('idle_in_transaction_session_timeout', 'lock_timeout', 'statement_timeout')`.execute(ours);
    const milliseconds = Object.fromEntries(bounds.map(({ name, setting }) => [name, Number(setting)]));
    expect(milliseconds).toEqual({
      idle_in_transaction_session_timeout: 10_000,
      lock_timeout: 20_000,
      statement_timeout: 60_000,
    });
    for (const { name, setting } of bounds) await silent.query(`set ${name} = ${setting}`);
    await silent.query('begin');
    await silent.query('update kazasu_1_permissions.server_state set change_number = change_number + 1');
    const changing = () =>
      ours.updateTable('server_state').set({ audit_sequence: 0 }).executeTakeFirstOrThrow();
    const impatient = ours.transaction().execute(async (db) => {
      await sql`set local lock_timeout = '100ms'`.execute(db);
      await db.updateTable('server_state').set({ audit_sequence: 0 }).execute();
    });
    await expect(impatient).rejects.toMatchObject({ code: 'database-unavailable' });
    const slow = ours.transaction().execute(async (db) => {
      await sql`set local statement_timeout = '100ms'`.execute(db);
      await sql`select pg_sleep(60)`.execute(db);
    });
    await expect(slow).rejects.toMatchObject({ code: 'database-unavailable' });
    const standby = ours.transaction().execute(async (db) => {
      await sql`set transaction read only`.execute(db);
      await db.updateTable('server_state').set({ audit_sequence: 0 }).execute();
    });
    await expect(standby).rejects.toMatchObject({ code: 'database-unavailable' });
    // within the bounds of the silent one, and before this one gives up itself
    expect(Number((await changing()).numUpdatedRows)).toBe(1);
    await silent.end().catch(() => undefined);
  }, 40_000);

  it('is told where its change was ended for that of another', async () => {
    const began = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
    const tables = ['server_state', 'group_state'] as const;
    const change = (mine: 0 | 1) =>
      ours.transaction().execute(async (db) => {
        await sql`update ${sql.table(tables[mine])} set one = one`.execute(db);
        began[mine].resolve();
        const others = mine === 0 ? 1 : 0;
        await began[others].promise;
        await sql`update ${sql.table(tables[others])} set one = one`.execute(db);
      });
    const ended = await Promise.allSettled([change(0), change(1)]);
    expect(ended.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))).toMatchObject([
      { code: 'database-unavailable' },
    ]);
  });

  it('is told where it was silent for too long within a change itself', async () => {
    const idle = ours.transaction().execute(async (db) => {
      await sql`set local idle_in_transaction_session_timeout = '50ms'`.execute(db);
      const others = new pg.Client({ ...cluster.access, user: 'owner' });
      await others.connect();
      await others.query('select pg_sleep(0.3)');
      await others.end();
      await db.selectFrom('holders').selectAll().execute();
    });
    await expect(idle).rejects.toMatchObject({ code: 'database-unavailable' });
    expect(await ours.selectFrom('sites').selectAll().execute()).toEqual([]);
  });

  it('is reached as a configuration says, with the password in its file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'kazasu-config-'));
    const { host, port, password } = cluster.access;
    writeFileSync(join(folder, 'password'), `${await password()}\n`, { mode: 0o600 });
    const text = `formatVersion: 1\ndatabase: { kind: postgres, host: ${host}, port: ${port}, passwordFile: password }\n`;
    const config = parseIssuanceConfig(text, join(folder, 'issuance.yaml'));
    const configured = new Databases({ source: await databaseSource(config) });
    expect(await (await configured.permissions(city)).selectFrom('sites').selectAll().execute()).toEqual([]);
    await configured.stop();
    chmodSync(join(folder, 'password'), 0o644);
    const open = new Databases({ source: await databaseSource(config) });
    await expect(open.permissions(city)).rejects.toMatchObject({ code: 'key-file-invalid' });
    writeFileSync(join(folder, 'password'), 'wrong');
    chmodSync(join(folder, 'password'), 0o600);
    await expect(open.permissions(city)).rejects.toMatchObject({ code: 'database-unavailable' });
    rmSync(folder, { recursive: true });
  });

  it('says that the account is refused', async () => {
    const unknown = new Databases({
      source: new PostgresDatabases({ access: { ...cluster.access, user: 'nobody', connections: 1 } }),
    });
    await expect(unknown.platform()).rejects.toMatchObject({ code: 'database-unavailable' });
    const elsewhere = new Databases({
      source: new PostgresDatabases({ access: { ...cluster.access, port: 1, connections: 1 } }),
    });
    await expect(elsewhere.platform()).rejects.toMatchObject({ code: 'database-unavailable' });
  });
});
