import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '#adapters/os/clock.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { decodeAcknowledgement } from '#core/sync/journal-acknowledgement.ts';
import type { IssuanceConfig } from '#issuance/config.ts';
import { databaseSource } from '#issuance/database-source.ts';
import { JournalIngestion } from '#issuance/journal/journal-ingestion.ts';
import { JournalWork } from '#issuance/journal-work.ts';
import { Organizations } from '#issuance/organizations/organizations.ts';
import { Databases } from '#issuance/storage/databases.ts';
import { startPostgres } from '../issuance/postgres-cluster.ts';
import { batchEntries, type MadeBatch } from './ingest-data.ts';
import { type Rows, rawPostgres, rawSqlite, rowsOf } from './ingest-raw.ts';

/**
 * `node test/bench/ingest.ts [--short]`: entries that are stored for good and acknowledged, beside what the database does
 * with the same rows alone, in commits of the same sizes. At least half of that is demanded, into the same tables with
 * their indexes, which auditors search by; what tables without indexes do is told beside it. The generator is a process of
 * its own and sends everything whether it is taken or not.
 */
const short = process.argv.includes('--short');
const terminals = short ? 40 : 200;
const rounds = short ? 4 : 8;
const least = 0.5;
/** what one gate of a ministry is said to have borne in 2016: messages within ten minutes */
const bornePerSecond = 16_000 / 600;

interface Started {
  readonly config: Pick<IssuanceConfig, 'database' | 'stateDirectory'>;
  /** inserts the rows of each commit, and resolves to the seconds that took; `indexed`: beside the keys of the tables */
  raw(commits: readonly Rows[], indexed: boolean): Promise<number>;
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
  const rows = rowsOf(taken, commits, ready.keys);
  const rate = (within: number) => `${Math.round(entries / within)}`;
  const indexed = await raw(rows, true);
  const bare = await raw(rows, false);
  const ratio = indexed / seconds;
  console.log(`${name}: ${entries} entries of ${terminals} terminals in ${commits.length} commits`);
  console.log(
    `${name}: ${rate(seconds)} entries/s durably stored and acknowledged; the 16,000 messages in ten minutes of 2016 are ${bornePerSecond.toFixed(0)}/s`,
  );
  console.log(
    `${name}: the same rows alone, into the same tables ${rate(indexed)}/s: ratio ${ratio.toFixed(2)}, at least ${least}`,
  );
  console.log(
    `${name}: into tables that have keys and no index ${rate(bare)}/s: ratio ${(bare / seconds).toFixed(2)}`,
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

async function startSqlite(): Promise<Started> {
  const stateDirectory = mkdtempSync(join(tmpdir(), 'kazasu-bench-'));
  return {
    config: { database: { kind: 'sqlite' }, stateDirectory },
    raw: (commits, indexed) => rawSqlite(join(stateDirectory, `raw-${indexed}`), commits, indexed),
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
    raw: (commits, indexed) => rawPostgres(access, commits, indexed),
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
