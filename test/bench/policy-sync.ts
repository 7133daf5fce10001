import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { deflateRawSync } from 'node:zlib';
import Database from 'better-sqlite3';
import { pino } from 'pino';
import { SystemClock } from '#adapters/os/clock.ts';
import { PolicyReader } from '#adapters/sqlite/policy-reader.ts';
import { PolicyStore } from '#adapters/sqlite/policy-store.ts';
import { PolicySyncStore } from '#adapters/sqlite/policy-sync-store.ts';
import { AccessMemory } from '#core/access/access-memory.ts';
import type { BucketHolder } from '#core/sync/bucket.ts';
import { encodeSigned } from '#core/sync/signed.ts';
import type { PolicyQuery } from '#ports/policy-lookup.ts';
import { DistributionTrust } from '#terminal/distribution-trust.ts';
import { PolicySyncing } from '#terminal/policy-sync.ts';
import { rootContent, signRoot } from '../core/sync/keys.ts';
import { PolicyIssuer } from '../policy-issuer.ts';
import { latencies, nowUs, percentile } from './figures.ts';
import { benchRules, userNumber } from './holders.ts';

/**
 * `node test/bench/policy-sync.ts [--holders N] [--short]`: what a policy that a server distributes costs a terminal, from the
 * manifest to a look-up that sees it, without a network: the first install, look-ups against the bare SQLite in them,
 * a change of one holder, a revocation, and a change of every holder while look-ups go on. Fails above 1 ms at p99 of
 * look-ups (2 ms during the switch), above three times the bare look-ups, and above 250 ms until one change is seen.
 */
const { values } = parseArgs({
  options: { holders: { type: 'string', default: '250000' }, short: { type: 'boolean', default: false } },
});
const count = values.short ? 5_000 : Number(values.holders);
const limits = { p99Us: 1_000, switchP99Us: 2_000, changeP99Us: 250_000, ratio: 3 };
const rounds = values.short ? 2_000 : 20_000;
const failures: string[] = [];
const directory = mkdtempSync(join(tmpdir(), 'kazasu-bench-'));
const file = join(directory, 'policy.sqlite');
const clock = new SystemClock();

const memory = new AccessMemory({ terminal: 'lobby', sharedChanged: () => undefined });
const trust = new DistributionTrust({ terminal: 'lobby' });
const issuer = new PolicyIssuer({ terminal: 'lobby', rules: benchRules });
const store = new PolicyStore({ file, journal: join(directory, 'journal.sqlite'), trust });
const syncing = await prepared();
try {
  await syncing.start();
  await store.start();
  await firstInstall();
  report('look-up of a tap', await lookUps(rounds), limits.p99Us);
  compareWithBare();
  await singleChanges();
  await revocations();
  await changeOfAll();
} finally {
  await store.stop();
  await syncing.stop();
  rmSync(directory, { recursive: true, force: true });
}
for (const failure of failures) console.error(failure);
if (failures.length > 0 && !values.short) process.exitCode = 1;

async function prepared(): Promise<PolicySyncing> {
  const log = pino({ level: 'silent' });
  const roots = [encodeSigned(await signRoot(rootContent()))];
  const kept = { load: async () => roots, save: async () => undefined };
  return new PolicySyncing({
    terminal: 'lobby',
    sync: new PolicySyncStore({ file }),
    source: issuer,
    trust,
    roots: kept,
    memory,
    journal: { note: ({ facts }) => facts?.durable(), floorMs: () => 0 },
    clock,
    log,
    chance: Math.random,
    changed: () => undefined,
  });
}

async function firstInstall(): Promise<void> {
  for (let index = 0; index < count; index += 1) issuer.put(holderOf(index, 'active'));
  const issued = await issuer.issue(Date.now());
  const start = nowUs();
  await syncing.manifestReceived(issuer.bare(issued));
  await seen(() => (syncing.status().installed ? true : undefined));
  const seconds = (nowUs() - start) / 1e6;
  const chunks = issuer.asked.map(({ hash }) => issuer.chunks.get(hash) ?? new Uint8Array());
  const bytes = chunks.reduce((sum, { length }) => sum + length, 0);
  const sent = chunks.reduce((sum, chunk) => sum + deflateRawSync(chunk).length, 0);
  console.log(
    `${count} holders installed in ${seconds.toFixed(1)} s: ${issuer.asked.length} chunks, ${megabytes(bytes)}, each deflated ${megabytes(sent)}; the database has ${megabytes(statSync(file).size)}`,
  );
}

async function singleChanges(): Promise<void> {
  const samples: number[] = [];
  let bytes = 0;
  let fetched = 0;
  for (let round = 0; round < 50; round += 1) {
    const index = Math.floor(Math.random() * count);
    for (const status of ['suspended', 'active'] as const) {
      issuer.put(holderOf(index, status));
      const { message } = await issuer.issue(Date.now());
      issuer.asked.length = 0;
      const start = nowUs();
      await syncing.manifestReceived(message);
      await seen(async () => (await statusOf(index)) === status || undefined);
      samples.push(nowUs() - start);
      bytes = Math.max(bytes, message.length);
      fetched += issuer.asked.length;
    }
  }
  console.log(`a change of one holder: one message of at most ${bytes} bytes, ${fetched} chunks fetched`);
  report('from the message until a look-up sees it', samples, limits.changeP99Us);
}

async function revocations(): Promise<void> {
  const counts: number[] = [];
  const durable: number[] = [];
  for (let round = 0; round < 50; round += 1) {
    const index = round * 7;
    const document = await issuer.revoke([`holder-${index}`]);
    const start = nowUs();
    const done = syncing.revocationReceived(document);
    await seen(async () => (await statusOf(index)) === 'suspended' || undefined);
    counts.push(nowUs() - start);
    await done;
    durable.push(nowUs() - start);
  }
  report('a revocation, until a look-up refuses', counts, limits.changeP99Us);
  report('the same, until it is on the disk', durable, limits.changeP99Us);
}

async function changeOfAll(): Promise<void> {
  for (let index = 0; index < count; index += 1) issuer.put(holderOf(index, 'active', 2));
  const issued = await issuer.issue(Date.now());
  const start = nowUs();
  await syncing.manifestReceived(issuer.bare(issued));
  const samples: number[] = [];
  while (syncing.status().installed?.version !== issued.manifest.version) {
    samples.push(await timed());
    await new Promise((resolve) => setImmediate(resolve));
  }
  console.log(`every holder changed in ${((nowUs() - start) / 1e6).toFixed(1)} s`);
  report('look-ups meanwhile', samples, limits.switchP99Us);
}

/** The work of the look-up thread, against nothing but the SQLite statements that it runs. */
function compareWithBare(): void {
  const reader = new PolicyReader(file, { vouch: (document) => trust.vouch(document) });
  const whole = sampled((query) => {
    if (!reader.slice(query).holder) throw new Error('not as prepared');
  });
  reader.close();
  const db = new Database(file, { readonly: true });
  const manifest = db.prepare('SELECT document, installed_at_ms FROM manifest');
  const bucket = db
    .prepare('SELECT DISTINCT bucket FROM bucket_cards WHERE profile_id = ? AND user_number = ?')
    .pluck();
  const index = db.prepare('SELECT hashes FROM bucket_index ORDER BY page').pluck().all() as Buffer[];
  const hashes = Buffer.concat(index);
  const chunk = db.prepare('SELECT bytes FROM chunks WHERE hash = ?').pluck();
  const transaction = db.transaction(({ profileId, userNumber: number }: PolicyQuery) => {
    manifest.get();
    const [at] = bucket.all(profileId, number) as number[];
    return chunk.get(hashes.subarray(32 * (at ?? 0), 32 * (at ?? 0) + 32));
  });
  const bare = sampled((query) => transaction.deferred(query));
  db.close();
  const ratio = percentile(whole, 0.5) / percentile(bare, 0.5);
  console.log(`the same on one thread: ${latencies(whole)}`);
  console.log(`the bare SQLite look-ups in it: ${latencies(bare)}; ratio ${ratio.toFixed(2)}`);
  if (ratio > limits.ratio) failures.push(`more than ${limits.ratio} times the bare look-ups`);
}

function sampled(action: (query: PolicyQuery) => void): readonly number[] {
  return Array.from({ length: rounds }, () => {
    const query = queryOf(Math.floor(Math.random() * count));
    const start = nowUs();
    action(query);
    return nowUs() - start;
  });
}

async function lookUps(times: number): Promise<readonly number[]> {
  const samples: number[] = [];
  for (let round = 0; round < times; round += 1) samples.push(await timed());
  return samples;
}

async function timed(): Promise<number> {
  const query = queryOf(Math.floor(Math.random() * count));
  const start = nowUs();
  const { slice } = await store.lookUp(query);
  if (!slice.holder) throw new Error('not as prepared');
  return nowUs() - start;
}

async function statusOf(index: number): Promise<string | undefined> {
  return (await store.lookUp(queryOf(index))).slice.holder?.status;
}

async function seen<T>(look: () => Promise<T | undefined> | T | undefined): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function holderOf(index: number, status: 'active' | 'suspended', keyVersion = 1): BucketHolder {
  const diversifier = index.toString(16).padStart(16, '0').toUpperCase();
  const cards = [
    {
      profileId: 'type-a',
      userNumber: userNumber(index),
      status: 'active' as const,
      keyVersion,
      diversifier,
    },
  ];
  return { holderId: `holder-${index}`, status, groups: ['cleaning', 'staff'], cards };
}

function queryOf(index: number): PolicyQuery {
  return {
    doorId: `door-${index % 20}`,
    organization: 'city',
    profileId: 'type-a',
    userNumber: userNumber(index),
    diversifier: index.toString(16).padStart(16, '0').toUpperCase(),
  };
}

function report(what: string, samples: readonly number[], limitUs: number): void {
  console.log(`${what}: ${latencies(samples)}, ${samples.length} times`);
  if (percentile(samples, 0.99) > limitUs) failures.push(`${what}: p99 above ${limitUs / 1_000} ms`);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
