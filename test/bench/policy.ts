import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PolicyReader } from '#adapters/sqlite/policy-reader.ts';
import { PolicyStore } from '#adapters/sqlite/policy-store.ts';
import { blankState } from '#core/access/access-state.ts';
import { decide } from '#core/access/decide.ts';
import type { PolicySlice } from '#core/access/policy.ts';
import type { Reading } from '#core/card/reading.ts';
import type { PolicyQuery } from '#ports/policy-lookup.ts';
import { latencies, nowUs, percentile } from './figures.ts';
import { importHolders, userNumber, writeHolders } from './holders.ts';

/** `node test/bench/policy.ts [--short]`: look-up and decision with 250,000 holders; fails above 1 ms at p99. */
const short = process.argv.includes('--short');
const count = short ? 25_000 : 250_000;
const rounds = short ? 2_000 : 20_000;
const limitUs = 1_000;
const directory = mkdtempSync(join(tmpdir(), 'kazasu-bench-'));
try {
  const list = join(directory, 'holders.csv');
  const file = join(directory, 'policy.sqlite');
  writeHolders(list, count);
  await importHolders(list, file);

  const reader = new PolicyReader(file);
  const inWorker = measure((query) => reader.slice(query));
  reader.close();
  console.log(`slice() where the database is read: ${latencies(inWorker)}`);

  const store = new PolicyStore({ file, journal: join(directory, 'journal.sqlite') });
  await store.start();
  const seen: number[] = [];
  const decided: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const query = randomQuery();
    const start = nowUs();
    const { slice } = await store.lookUp(query);
    const found = nowUs();
    check(query, slice);
    seen.push(found - start);
    decided.push(nowUs() - start);
  }
  await store.stop();
  console.log(`slice() as the terminal waits for it: ${latencies(seen)}`);
  console.log(`look-up and decision together: ${latencies(decided)}`);
  if (percentile(decided, 0.99) > limitUs) {
    console.error(`p99 above ${limitUs / 1_000} ms`);
    if (!short) process.exitCode = 1;
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}

function measure(slice: (query: PolicyQuery) => PolicySlice): readonly number[] {
  const samples: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const query = randomQuery();
    const start = nowUs();
    slice(query);
    samples.push(nowUs() - start);
  }
  return samples;
}

/** A holder anywhere in the list, so that caches help as little as they do in life. */
function randomQuery(): PolicyQuery {
  const index = Math.floor(Math.random() * count);
  return {
    doorId: `door-${index % 20}`,
    organization: 'city',
    profileId: 'type-a',
    userNumber: userNumber(index),
    diversifier: index.toString(16).padStart(16, '0').toUpperCase(),
  };
}

/** A measurement of look-ups that find nothing would be worth nothing. */
function check(query: PolicyQuery, slice: PolicySlice): void {
  const reading: Reading = {
    organization: query.organization,
    profileId: query.profileId,
    method: 'type-a',
    userNumber: query.userNumber,
    assurance: ['mutual-authentication', 'message-authentication', 'pin'],
    timings: { connectUs: 0, selectUs: 0, authenticateUs: 0, authenticateCardUs: 0, readUs: 0, exchanges: 0 },
  };
  const time = {
    utcMs: Date.parse('2026-06-01T00:00:00Z'),
    floorMs: 0,
    trusted: true,
    monotonicMs: 0,
    bootId: '',
  };
  const request = { doorId: query.doorId, readerId: 'reader', tapId: 'tap' };
  const decision = decide({ reading, request, slice, state: blankState, time });
  if (decision.kind !== 'granted') throw new Error(`not granted: ${JSON.stringify(decision)}`);
}
