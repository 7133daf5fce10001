import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Kysely, sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SystemClock } from '#adapters/os/clock.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { type DatabaseSource, Databases } from '#issuance/storage/databases.ts';
import { Ledger } from '#issuance/storage/ledger.ts';
import { migrate } from '#issuance/storage/migrate.ts';
import { permissionsMigrations } from '#issuance/storage/migrations.ts';
import type { Migration } from '#issuance/storage/tables.ts';
import type { DatabasePlace } from '#ports/database-place.ts';
import { databaseRigs, type StartedRig } from './database-rigs.ts';

const city = { id: 'city', number: 1 };
const university = { id: '大学', number: 2 };
const actor = { id: 'admin', via: 'command-line' } as const;
const parts = { clock: new SystemClock(), entropy: new SystemEntropy() };

describe.each(databaseRigs)('databases of the server on $name', ({ start }) => {
  let rig: StartedRig;
  let databases: Databases;
  beforeAll(async () => {
    rig = await start();
    databases = new Databases({ source: rig.source() });
  });
  afterAll(async () => {
    await databases.stop();
    await rig.stop();
  });

  const holder = (holder_id: string) => ({
    holder_id,
    status: 'active' as const,
    valid_from_ms: null,
    valid_until_ms: 253_402_300_799_999,
    group_list: ';職員;',
    change_number: 1,
  });

  it('keeps text, whole numbers, bytes and nothing as they were given', async () => {
    const db = await databases.permissions(city);
    await db.insertInto('holders').values(holder('値')).execute();
    expect(await db.selectFrom('holders').selectAll().where('holder_id', '=', '値').execute()).toEqual([
      holder('値'),
    ]);
    const raw = new Uint8Array([0, 1, 254, 255]);
    await db.insertInto('audit_checkpoints').values({ sequence: 1, raw, signature: raw }).execute();
    const [kept] = await db.selectFrom('audit_checkpoints').selectAll().execute();
    expect([...(kept?.raw ?? [])]).toEqual([...raw]);
    await db.deleteFrom('audit_checkpoints').execute();
    await db.deleteFrom('holders').execute();
  });

  it('orders text byte by byte', async () => {
    const db = await databases.permissions(city);
    const ids = ['a', 'B', 'Z', 'é', 'あ', 'a-b', 'ab', 'a_b'];
    await db.insertInto('holders').values(ids.map(holder)).execute();
    const rows = await db.selectFrom('holders').select('holder_id').orderBy('holder_id').execute();
    const bytes = (text: string) => Buffer.from(text);
    expect(rows.map((row) => row.holder_id)).toEqual(
      [...ids].sort((a, b) => Buffer.compare(bytes(a), bytes(b))),
    );
    await db.deleteFrom('holders').execute();
  });

  it('refuses what does not fit a column', async () => {
    const db = await databases.permissions(city);
    const wrong = { ...holder('x'), change_number: 'many' as unknown as number };
    await expect(db.insertInto('holders').values(wrong).execute()).rejects.toThrow();
    await expect(
      db
        .insertInto('holders')
        .values([holder('twice'), holder('twice')])
        .execute(),
    ).rejects.toThrow();
    expect(await db.selectFrom('holders').selectAll().execute()).toEqual([]);
  });

  it('takes back all of a transaction that fails', async () => {
    const db = await databases.permissions(city);
    const failing = db.transaction().execute(async (transaction) => {
      await transaction.insertInto('holders').values(holder('gone')).execute();
      throw new Error('stop');
    });
    await expect(failing).rejects.toThrow('stop');
    expect(await db.selectFrom('holders').selectAll().execute()).toEqual([]);
  });

  it('gives each organization a database of its own', async () => {
    const [ours, theirs] = [await databases.permissions(city), await databases.permissions(university)];
    await ours.insertInto('holders').values(holder('ours')).execute();
    expect(await theirs.selectFrom('holders').selectAll().execute()).toEqual([]);
    await theirs.insertInto('holders').values(holder('theirs')).execute();
    const ids = await ours.selectFrom('holders').select('holder_id').execute();
    expect(ids).toEqual([{ holder_id: 'ours' }]);
    await ours.deleteFrom('holders').execute();
    await theirs.deleteFrom('holders').execute();
  });

  it('numbers changes made by several processes at once without a gap or a number twice', async () => {
    const other = new Databases({ source: rig.source() });
    const ledgers = [
      new Ledger({ db: await databases.permissions(city), ...parts }),
      new Ledger({ db: await other.permissions(city), ...parts }),
    ];
    const numbers = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        ledgers[index % 2]?.change(actor, async ({ changeNumber, audit }) => {
          await audit({ action: 'tried', body: { index } });
          return changeNumber;
        }),
      ),
    );
    const sorted = numbers.map(Number).sort((a, b) => a - b);
    expect(sorted).toEqual(Array.from({ length: 40 }, (_, index) => (sorted[0] ?? 0) + index));
    await other.stop();
  });

  it('refuses a change that leaves no trace in the audit journal', async () => {
    const db = await databases.permissions(city);
    const ledger = new Ledger({ db, ...parts });
    const silent = ledger.change(actor, async (change) => {
      await change.db.insertInto('holders').values(holder('silent')).execute();
    });
    await expect(silent).rejects.toThrow('without an audit entry');
    expect(await db.selectFrom('holders').selectAll().execute()).toEqual([]);
  });

  it('is made once by processes that start at the same time, and opened again with what it holds', async () => {
    const place = { id: 'ward', number: 3 };
    const several = Array.from({ length: 4 }, () => new Databases({ source: rig.source() }));
    await Promise.all(several.map((one) => one.permissions(place)));
    await (await several[0]?.permissions(place))?.insertInto('holders').values(holder('kept')).execute();
    for (const one of several) await one.stop();
    const again = new Databases({ source: rig.source() });
    const rows = await (await again.permissions(place)).selectFrom('holders').select('holder_id').execute();
    expect(rows).toEqual([{ holder_id: 'kept' }]);
    await again.stop();
  });

  it('leaves a database of a newer program, or of another kind, as it is', async () => {
    const place: DatabasePlace = { kind: 'permissions', organization: { id: 'newer', number: 4 } };
    const db = await databases.permissions(place.organization);
    await sql`update database_format set version = 99`.execute(db);
    const other = new Databases({ source: rig.source() });
    await expect(other.permissions(place.organization)).rejects.toMatchObject({ code: 'database-newer' });
    await sql`update database_format set version = ${permissionsMigrations.length}, kind = 'journal'`.execute(
      db,
    );
    await expect(other.permissions(place.organization)).rejects.toMatchObject({ code: 'database-invalid' });
    await sql`update database_format set kind = 'permissions'`.execute(db);
    // one that could not be opened is tried again
    await expect(other.permissions(place.organization)).resolves.toBeDefined();
    await other.stop();
  });

  it('takes a step of migration whole or not at all', async () => {
    const place: DatabasePlace = { kind: 'journal', organization: { id: 'half', number: 5 } };
    const opened = await rig.source().open(place);
    const db = new Kysely<unknown>({ dialect: opened.dialect });
    const first: Migration = (tables) => tables.table('first', { a: 'integer' }, ['a']);
    const cut: Migration = async () => {
      throw new Error('power cut');
    };
    const failing = migrate(db, opened, { kind: 'journal', migrations: [first, cut] });
    await expect(failing).rejects.toThrow('power cut');
    const good = { kind: 'journal', migrations: [first] } as const;
    await migrate(db, opened, good);
    await sql`insert into first values (1)`.execute(db);
    await migrate(db, opened, good);
    expect((await sql`select * from first`.execute(db)).rows).toEqual([{ a: 1 }]);
    await db.destroy();
  });
});

describe('files of SQLite', () => {
  const [sqlite] = databaseRigs;
  it('are refused when they are something else, or belong to another program', async () => {
    const rig = await sqlite?.start();
    const folder = join(rig?.directory ?? '', 'organizations', 'city');
    mkdirSync(folder, { recursive: true });
    writeFileSync(
      join(folder, 'permissions.sqlite'),
      'not a database, but long enough to have a header'.repeat(9),
    );
    const databases = new Databases({ source: rig?.source() as DatabaseSource });
    await expect(databases.permissions(city)).rejects.toMatchObject({ code: 'database-invalid' });
    await databases.journal(city);
    await databases.stop();
    copyFileSync(join(folder, 'journal.sqlite'), join(folder, 'permissions.sqlite'));
    await expect(databases.permissions(city)).rejects.toMatchObject({ code: 'database-invalid' });
    await rig?.stop();
  });
});

it('says that the disk is full where SQLite has taken the transaction back by itself', async () => {
  const rig = await databaseRigs[0]?.start();
  const databases = rig && new Databases({ source: rig.source() });
  const db = await databases?.permissions(city);
  const filling = db?.transaction().execute(async (change) => {
    const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(change);
    await sql`pragma max_page_count = ${sql.lit(rows[0]?.page_count)}`.execute(change);
    for (let at = 0; at < 1_000; at += 1) {
      // as rows are inserted that nothing takes back alone
      await sql`insert or fail into holders (holder_id, status, group_list, change_number)
        values (${`${at} ${'x'.repeat(1_000)}`}, 'active', '', 1)`.execute(change);
    }
  });
  await expect(filling).rejects.toMatchObject({
    code: 'database-unavailable',
    cause: { code: 'SQLITE_FULL' },
  });
  expect(await db?.selectFrom('holders').selectAll().execute()).toEqual([]);
  await databases?.stop();
  await rig?.stop();
});
