import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PostgresDatabases } from '#adapters/postgres/issuance-databases.ts';
import { SqliteDatabases } from '#adapters/sqlite/issuance-databases.ts';
import type { DatabaseSource } from '#issuance/storage/databases.ts';
import { type PostgresCluster, startPostgres } from './postgres-cluster.ts';

/** One kind of database to run a suite on. `start` yields an empty place each time. */
export interface DatabaseRig {
  readonly name: 'SQLite' | 'PostgreSQL';
  start(): Promise<StartedRig>;
}

export interface StartedRig {
  /** as another process would open the same place */
  source(): DatabaseSource;
  readonly cluster?: PostgresCluster;
  readonly directory?: string;
  stop(): Promise<void>;
}

export const databaseRigs: readonly DatabaseRig[] = [
  {
    name: 'SQLite',
    start: async () => {
      const directory = mkdtempSync(join(tmpdir(), 'kazasu-issuance-'));
      return {
        directory,
        source: () => new SqliteDatabases({ directory }),
        stop: async () => rmSync(directory, { recursive: true }),
      };
    },
  },
  {
    name: 'PostgreSQL',
    start: async () => {
      const cluster = await startPostgres();
      return {
        cluster,
        source: () => new PostgresDatabases({ access: { ...cluster.access, connections: 4 } }),
        stop: () => cluster.stop(),
      };
    },
  },
];
