import 'reflect-metadata';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MqttIntake } from '#adapters/mqtt/mqtt-intake.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { SqliteDatabases } from '#adapters/sqlite/issuance-databases.ts';
import { parseDevicePublicKey } from '#core/crypto/device-signature.ts';
import { BatchStoring } from '#issuance/journal/batch-storing.ts';
import { JournalIngestion } from '#issuance/journal/journal-ingestion.ts';
import { JournalStore } from '#issuance/journal/journal-store.ts';
import { Databases } from '#issuance/storage/databases.ts';
import { EmbeddedBrokerRig } from '../contracts/embedded-broker-rig.ts';
import { makePki, terminalCredentials } from '../trust/test-pki.ts';

/**
 * The server's half of the benchmark of a backlog: a broker over TLS, and what stores journals in SQLite. Told the key of
 * the device (SubjectPublicKeyInfo), it answers with how to connect; told `report`, with what it has stored.
 */
const city = { id: 'city', number: 1 };
const directory = mkdtempSync(join(tmpdir(), 'kazasu-bench-'));
const databases = new Databases({ source: new SqliteDatabases({ directory }) });
const clock = new SystemClock();
const pki = await makePki();
const broker = new EmbeddedBrokerRig(pki);
await broker.start();
const intake = new MqttIntake({
  address: { host: 'localhost', port: broker.port() },
  credentials: async () => pki.issuance,
  clock,
  random: Math.random,
  failed: (error) => console.error(error),
});
let key: Uint8Array = new Uint8Array();
let entries = 0;
const alarms: unknown[] = [];
const storing = new BatchStoring({
  journalOf: async () => {
    const parsed = parseDevicePublicKey(key);
    const keys = new Map(parsed ? [[parsed.keyId, parsed]] : []);
    const store = new JournalStore({
      db: await databases.journal(city),
      clock,
      entropy: new SystemEntropy(),
    });
    return { store, deviceKeys: async () => keys };
  },
  clock,
});
const ingestion = new JournalIngestion({
  store: async (organization, batches, committed) => {
    for await (const one of storing.store(organization, batches)) committed(one);
  },
  publish: (message) => intake.publish(message),
  committed: (_organization, committed) => {
    entries += committed.entries;
    alarms.push(...committed.alarms, ...committed.refusals);
  },
  failed: (_organization, error) => console.error(error),
  patience: async () => undefined,
});
await intake.start({
  consume: (messages) => ingestion.take(messages.filter(({ kind }) => kind === 'journal')),
  changed: () => undefined,
});

process.on('message', async (told: 'report' | Uint8Array) => {
  if (told === 'report') {
    process.send?.({ entries, alarms });
    return;
  }
  key = new Uint8Array(told);
  const identity = { organization: 'city', terminal: 'bench' };
  process.send?.({ port: broker.port(), credentials: await terminalCredentials(pki, identity) });
});
process.once('disconnect', () => {
  rmSync(directory, { recursive: true, force: true });
  process.exit();
});
process.send?.('ready');
