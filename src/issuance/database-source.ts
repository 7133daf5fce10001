import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PostgresDatabases } from '#adapters/postgres/issuance-databases.ts';
import { readSecretFile } from '#adapters/process/secret-file.ts';
import { SqliteDatabases } from '#adapters/sqlite/issuance-databases.ts';
import type { IssuanceConfig } from './config.ts';
import type { DatabaseSource } from './storage/databases.ts';

/** Where the configuration says that databases are. Rejects with `file-unreadable`. */
export async function databaseSource({
  database,
  stateDirectory,
}: Pick<IssuanceConfig, 'database' | 'stateDirectory'>): Promise<DatabaseSource> {
  if (database.kind === 'sqlite')
    return new SqliteDatabases({ directory: join(stateDirectory, 'databases') });
  const { host, port, user, connections, passwordFile, tls } = database;
  return new PostgresDatabases({
    access: {
      host,
      port,
      database: database.database,
      user,
      connections,
      ...(passwordFile !== undefined && { password: () => passwordIn(passwordFile) }),
      ...(tls && { tls: { ca: await readFile(tls.ca, 'utf8'), caFile: tls.ca } }),
    },
  });
}

/** Read at each connection, so that a password changed in the file is the one that counts. */
async function passwordIn(file: string): Promise<string> {
  const bytes = await readSecretFile(file);
  const password = Buffer.from(bytes).toString('utf8').trimEnd();
  bytes.fill(0);
  return password;
}
