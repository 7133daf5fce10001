import { fork } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import pg from 'pg';
import { SystemClock } from '#adapters/os/clock.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { PostgresDatabases, schemaOf } from '#adapters/postgres/issuance-databases.ts';
import { fromHex } from '#core/bytes/bytes.ts';
import { decodeAcknowledgement } from '#core/sync/journal-acknowledgement.ts';
import { decodeJournalBatch } from '#core/sync/journal-batch.ts';
import type { IssuanceConfig } from '#issuance/config.ts';
import { databaseSource } from '#issuance/database-source.ts';
import { checkBatch } from '#issuance/journal/checked-batch.ts';
import { JournalIngestion } from '#issuance/journal/journal-ingestion.ts';
import { JournalWork } from '#issuance/journal-work.ts';
import { Organizations } from '#issuance/organizations/organizations.ts';
import { Databases } from '#issuance/storage/databases.ts';
import { startPostgres } from '../issuance/postgres-cluster.ts';
import { batchEntries, type MadeBatch } from './ingest-data.ts';

/**
 * `node test/bench/ingest.ts [--short]`: entries that are stored for good and acknowledged, beside what the database does
 * with the same rows alone. The generator is a process of its own and sends everything whether it is taken or not.
 */
const short = process.argv.includes('--short');
const terminals = short ? 40 : 200;
const rounds = short ? 4 : 8;
const least = 0.5;
/** what one gate of a ministry is said to have borne in 2016: messages within ten minutes */
const bornePerSecond = 16_000 / 600;

type Row = readonly (string | number | Uint8Array | null)[];
interface Rows {
  readonly entries: readonly Row[];
  readonly personal: readonly Row[];
  readonly checkpoints: readonly Row[];
}
interface Started {
  readonly config: Pick<IssuanceConfig, 'database' | 'stateDirectory'>;
  /** inserts rows, so many entries in a transaction, and resolves to the seconds that took */
  raw(commits: readonly Rows[]): Promise<number>;
  stop(): Promise<void>;
}

async function measure(name: string, { config, raw }: Started): Promise<void> {
  const generator = fork(
    join(import.meta.dirname, 'ingest-generator.ts'),
    [String(terminals), String(rounds)],
    { serialization: 'advanced' },
  );
  const [ready] = (await once(generator, 'message')) as [
    { keys: { terminal: string; spki: Uint8Array }[]; batches: number },
  ];
  await prepare(config, ready.keys);
  const taken: MadeBatch[] = [];
  const commits: number[] = [];
  const open = new Set(ready.keys.map(({ terminal }) => terminal));
  const done = Promise.withResolvers<void>();
  const work = new JournalWork({
    ...{ config, traced: false, letGo: () => undefined, clockMoved: () => undefined },
    onFault: (_, fault) => done.reject(fault),
  });
  // the threads are there, and the databases open
  await work.store('city', [], () => undefined);
  const ingestion = new JournalIngestion({
    store: (...given) => work.store(...given),
    publish: async ({ to, payload }) => {
      const read = decodeAcknowledgement(payload, to);
      if (read.kind === 'accepted' && read.value.position?.sequence === rounds * batchEntries) {
        open.delete(to.terminal);
      }
      if (open.size === 0) done.resolve();
      return 'taken';
    },
    committed: (_, { entries }) => commits.push(entries),
    failed: (_, error) => done.reject(error),
    patience: async () => undefined,
  });
  generator.on('message', (batch: MadeBatch) => {
    taken.push(batch);
    const from = { organization: 'city', terminal: batch.terminal };
    ingestion.take([{ from, kind: 'journal', payload: batch.payload }]).catch(done.reject);
  });
  const began = performance.now();
  generator.send('go');
  await done.promise;
  const seconds = (performance.now() - began) / 1_000;
  await ingestion.stop();
  await work.stop();
  const entries = ready.batches * batchEntries;
  const rawSeconds = await raw(rowsOf(taken, commits, ready.keys));
  const ratio = rawSeconds / seconds;
  const rate = Math.round(entries / seconds);
  console.log(`${name}: ${entries} entries of ${terminals} terminals in ${commits.length} commits`);
  console.log(
    `${name}: ${rate} entries/s durably stored and acknowledged; the 16,000 messages in ten minutes of 2016 are ${bornePerSecond.toFixed(0)}/s`,
  );
  console.log(
    `${name}: the same rows alone ${Math.round(entries / rawSeconds)} rows/s; ratio ${ratio.toFixed(2)}, at least ${least}`,
  );
  if (ratio < least && !short) process.exitCode = 1;
}

/** The organization, and the devices that sign the journals. */
async function prepare(
  config: Started['config'],
  keys: readonly { readonly terminal: string; readonly spki: Uint8Array }[],
): Promise<void> {
  const databases = new Databases({ source: await databaseSource(config) });
  const organizations = new Organizations({
    ...{ databases, clock: new SystemClock(), entropy: new SystemEntropy() },
  });
  const organization = await organizations.create(
    { id: 'city', name: 'city' },
    { id: 'bench', via: 'command-line' },
  );
  const permissions = await databases.permissions(organization);
  for (const { terminal, spki } of keys) {
    await permissions
      .insertInto('certificates')
      .values({
        ...{ serial_number: terminal, terminal_id: terminal, key_id: terminal, device_key: spki },
        ...{ certificate: new Uint8Array(1), not_before_ms: 0, not_after_ms: 1 },
        ...{ revoked_at_ms: null, reason: null },
      })
      .execute();
  }
  await databases.stop();
}

/** The rows that were stored, in commits of the sizes that there were, under another number of a chain. */
function rowsOf(
  taken: readonly MadeBatch[],
  commits: readonly number[],
  keys: readonly { readonly terminal: string }[],
): readonly Rows[] {
  const chains = new Map(keys.map(({ terminal }) => [terminal, randomInt(2 ** 48 - 1)]));
  const all = taken.map(({ terminal, payload }) => {
    const read = decodeJournalBatch(payload, { organization: 'city', terminal });
    if (read.kind === 'refused') throw new Error(read.reason);
    const chain = chains.get(terminal) ?? 0;
    const checked = checkBatch(read.value, new Map());
    return {
      entries: checked.entries.map((one) => [
        ...[chain, one.sequence, one.raw, fromHex(one.hashText), one.kind ?? '', one.atMs ?? 0],
        ...[one.tapId ?? null, one.door ?? null, 0],
      ]),
      personal: checked.entries.flatMap(({ sequence, personal }) =>
        personal.map(({ field, salt, value }) => [chain, sequence, field, salt, JSON.stringify(value)]),
      ),
      checkpoints: read.value.checkpoints.map(({ raw, signature }) => [
        ...[chain, read.value.first + batchEntries - 1, raw, signature],
      ]),
    };
  });
  let at = 0;
  return commits.map((entries) => {
    const count = Math.round(entries / batchEntries);
    const own = all.slice(at, at + count);
    at += count;
    return {
      entries: own.flatMap((one) => one.entries),
      personal: own.flatMap((one) => one.personal),
      checkpoints: own.flatMap((one) => one.checkpoints),
    };
  });
}

const tables = {
  entries: [9, 'bigint bigint bytea bytea text bigint text text bigint'],
  personal: [5, 'bigint bigint text bytea text'],
  checkpoints: [4, 'bigint bigint bytea bytea'],
} as const;
const tableNames = ['entries', 'personal', 'checkpoints'] as const;

async function startSqlite(): Promise<Started> {
  const stateDirectory = mkdtempSync(join(tmpdir(), 'kazasu-bench-'));
  const elsewhere = join(stateDirectory, 'raw');
  return {
    config: { database: { kind: 'sqlite' }, stateDirectory },
    raw: async (commits) => {
      const config = { database: { kind: 'sqlite' }, stateDirectory: elsewhere } as const;
      await prepare(config, []);
      const db = new Database(join(elsewhere, 'databases/organizations/city/journal.sqlite'));
      db.pragma('synchronous = FULL');
      db.pragma('cache_size = -16000');
      db.pragma('wal_autocheckpoint = 8000');
      const inserts = tableNames.map((name) => {
        const places = Array.from({ length: tables[name][0] }, () => '?').join(', ');
        return [name, db.prepare(`insert into ${name} values (${places})`)] as const;
      });
      const began = performance.now();
      for (const rows of commits) {
        db.transaction(() => {
          for (const [name, insert] of inserts) for (const row of rows[name]) insert.run(...row);
        }).immediate();
      }
      const seconds = (performance.now() - began) / 1_000;
      db.close();
      return seconds;
    },
    stop: async () => rmSync(stateDirectory, { recursive: true }),
  };
}

async function startPostgresql(): Promise<Started> {
  const stateDirectory = mkdtempSync(join(tmpdir(), 'kazasu-bench-'));
  const cluster = await startPostgres();
  const { access } = cluster;
  const passwordFile = join(stateDirectory, 'password');
  writeFileSync(passwordFile, await access.password(), { mode: 0o600 });
  const { host, port, database, user } = access;
  return {
    config: {
      database: { kind: 'postgres', host, port, database, user, passwordFile, connections: 4 },
      stateDirectory,
    },
    raw: async (commits) => {
      // another organization's schema, made as the server makes it
      const place = { kind: 'journal', organization: { id: 'raw', number: 999 } } as const;
      const databases = new Databases({
        source: new PostgresDatabases({ access: { ...access, connections: 1 } }),
      });
      await databases.journal(place.organization);
      await databases.stop();
      const schema = schemaOf(place);
      const client = new pg.Client({
        ...{ host, port, database, user, password: await access.password() },
        options: `-c role=${schema} -c search_path=${schema}`,
      });
      await client.connect();
      const began = performance.now();
      for (const rows of commits) {
        await client.query('begin');
        for (const name of tableNames) {
          const types = tables[name][1].split(' ');
          const arrays = types.map((type, at) => `$${at + 1}::${type}[]`).join(', ');
          const columns = types.map((_, at) => rows[name].map((row) => row[at]));
          await client.query(`insert into ${name} select * from unnest(${arrays})`, columns);
        }
        await client.query('commit');
      }
      const seconds = (performance.now() - began) / 1_000;
      await client.end();
      return seconds;
    },
    stop: async () => {
      await cluster.stop();
      rmSync(stateDirectory, { recursive: true });
    },
  };
}

for (const start of [startSqlite, startPostgresql]) {
  const started = await start();
  try {
    await measure(start === startSqlite ? 'SQLite' : 'PostgreSQL', started);
  } finally {
    await started.stop();
  }
}
