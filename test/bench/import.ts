import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { importHolders, writeHolders } from './holders.ts';

/** `node test/bench/import.ts [--short]`: imports 250,000 holders, first into an empty policy, then unchanged. */
const short = process.argv.includes('--short');
const count = short ? 25_000 : 250_000;
const limitSeconds = 10;
const directory = mkdtempSync(join(tmpdir(), 'kazasu-bench-'));
try {
  const list = join(directory, 'holders.csv');
  const database = join(directory, 'policy.sqlite');
  writeHolders(list, count);
  const first = await importHolders(list, database);
  console.log(`${count} holders into an empty policy: ${first.toFixed(2)} s`);
  console.log(`the same again, unchanged: ${(await importHolders(list, database)).toFixed(2)} s`);
  console.log(`list ${megabytes(list)}, database ${megabytes(database)}`);
  const main = join(import.meta.dirname, '../../src/cli/main.ts');
  const start = performance.now();
  execFileSync(process.execPath, [
    main,
    'policy',
    'import',
    list,
    '--mode',
    'complete',
    '--database',
    database,
  ]);
  const command = (performance.now() - start) / 1_000;
  console.log(`the command as a whole: ${command.toFixed(2)} s`);
  const { maxRSS } = process.resourceUsage();
  console.log(`memory at most: ${Math.round(maxRSS / 1024)} MiB`);
  if (Math.max(first, command) > limitSeconds) {
    console.error(`slower than ${limitSeconds} s`);
    if (!short) process.exitCode = 1;
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}

function megabytes(file: string): string {
  return `${(statSync(file).size / 1e6).toFixed(1)} MB`;
}
