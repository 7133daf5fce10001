import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { percentile } from './figures.ts';
import { importHolders, writeHolders } from './holders.ts';
import { configureTerminal, memoryOf, memoryText, startTerminal } from './terminal-process.ts';

/**
 * `node test/bench/start.ts [--short]`: from the start of the command that the service runs to "ready", with 1,000,000 holders
 * and the journal's space taken by an earlier start, and the memory it takes by then. Its reader and its GPIO chip are
 * absent here, which it reports.
 */
const short = process.argv.includes('--short');
const starts = short ? 2 : 10;
const limitMs = 2_000;
const count = short ? 25_000 : 1_000_000;
let memory = '';
const directory = mkdtempSync(join(tmpdir(), 'kazasu-bench-'));
try {
  const config = configureTerminal(directory);
  writeHolders(join(directory, 'holders.csv'), count);
  await importHolders(join(directory, 'holders.csv'), join(directory, 'policy.sqlite'));
  const first = await startOnce(config);
  const samples: number[] = [];
  for (let start = 0; start < starts; start += 1) samples.push(await startOnce(config));
  const [p50, worst] = [percentile(samples, 0.5), percentile(samples, 1)];
  const bare = await bareNode();
  console.log(`first start, taking 256 MiB for the journal: ${first.toFixed(0)} ms`);
  console.log(`start to ready: p50 ${p50.toFixed(0)} ms, worst ${worst.toFixed(0)} ms of ${starts}`);
  console.log(`ratio to the start of a bare node (${bare.toFixed(0)} ms): ${(p50 / bare).toFixed(1)}`);
  console.log(`resident when ready, with ${count} holders: ${memory}`);
  if (p50 > limitMs) {
    console.error(`above ${limitMs} ms at the median`);
    if (!short) process.exitCode = 1;
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}

/** Starts the terminal once, notes what it takes when it is ready, and gives the milliseconds that took. */
async function startOnce(config: string): Promise<number> {
  const terminal = await startTerminal(config);
  memory = memoryText(memoryOf(terminal));
  await terminal.stop();
  return terminal.readyMs;
}

async function bareNode(): Promise<number> {
  const began = performance.now();
  await once(spawn(process.execPath, ['--eval', '0']), 'exit');
  return performance.now() - began;
}
