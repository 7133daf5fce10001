import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { percentile } from './figures.ts';
import { importHolders, writeHolders } from './holders.ts';

/**
 * `node test/bench/start.ts [--short]`: from the start of the terminal's own program to "ready", with 1,000,000 holders
 * and the journal's space taken by an earlier start, and the memory it takes by then. Its reader and its GPIO chip are
 * absent here, which it reports.
 */
const short = process.argv.includes('--short');
const starts = short ? 2 : 10;
const limitMs = 2_000;
const count = short ? 25_000 : 1_000_000;
/** resident when it is ready, in MB: the terminal's process, then each of its children */
let memory: readonly number[] = [];
const root = resolve(import.meta.dirname, '../..');
const directory = mkdtempSync(join(tmpdir(), 'kazasu-bench-'));
try {
  const config = prepare();
  writeHolders(join(directory, 'holders.csv'), count);
  await importHolders(join(directory, 'holders.csv'), join(directory, 'state/policy.sqlite'));
  const first = await startOnce(config);
  const samples: number[] = [];
  for (let start = 0; start < starts; start += 1) samples.push(await startOnce(config));
  const [p50, worst] = [percentile(samples, 0.5), percentile(samples, 1)];
  const bare = await bareNode();
  console.log(`first start, taking 256 MiB for the journal: ${first.toFixed(0)} ms`);
  console.log(`start to ready: p50 ${p50.toFixed(0)} ms, worst ${worst.toFixed(0)} ms of ${starts}`);
  console.log(`ratio to the start of a bare node (${bare.toFixed(0)} ms): ${(p50 / bare).toFixed(1)}`);
  const [own, ...children] = memory.map((megabytes) => `${megabytes.toFixed(0)} MB`);
  console.log(`resident when ready, with ${count} holders: ${own}; its children ${children.join(', ')}`);
  if (p50 > limitMs) {
    console.error(`above ${limitMs} ms at the median`);
    if (!short) process.exitCode = 1;
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}

function prepare(): string {
  mkdirSync(join(directory, 'state'), { mode: 0o700 });
  writeFileSync(join(directory, 'sealing'), new Uint8Array(32).fill(1), { mode: 0o600 });
  const config = join(directory, 'terminal.yaml');
  writeFileSync(
    config,
    `formatVersion: 1
terminal: bench
stateDirectory: ${directory}/state
cardProfiles: [${root}/device-config/card-profiles/synthetic-type-a.yaml]
keys: { kind: card-keys, directory: ${directory}/state/card-keys, sealing: { credential: sealing } }
readers: [{ id: reader, name: absent, door: door-0 }]
doors: [{ id: door-0, hardware: { strike: { kind: gpio, chip: absent, line: 1 } } }]
`,
  );
  return config;
}

/** Milliseconds from spawning the program to its word that it is ready. */
async function startOnce(config: string): Promise<number> {
  const began = performance.now();
  const child = spawn(process.execPath, [join(root, 'src/terminal/main.ts'), '--config', config], {
    stdio: ['ignore', 'pipe', 'inherit'],
    // as the service runs it (systemd/kazasu-terminal.service)
    env: { ...process.env, CREDENTIALS_DIRECTORY: directory, NODE_OPTIONS: '--max-semi-space-size=1' },
  });
  const exited = once(child, 'exit');
  let ready: number | undefined;
  for await (const line of createInterface(child.stdout)) {
    if ((JSON.parse(line) as { msg?: string }).msg !== 'terminal ready') continue;
    ready = performance.now() - began;
    memory = processesFrom(child.pid ?? 0).map(residentMegabytes);
    child.kill('SIGTERM');
  }
  await exited;
  if (ready === undefined) throw new Error('the terminal ended before it was ready');
  return ready;
}

/** The process and all that came from it. */
function processesFrom(pid: number): readonly number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  return [pid, ...children.flatMap((child) => processesFrom(Number(child)))];
}

function residentMegabytes(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return (Number(kibibytes) * 1024) / 1e6;
}

async function bareNode(): Promise<number> {
  const began = performance.now();
  await once(spawn(process.execPath, ['--eval', '0']), 'exit');
  return performance.now() - began;
}
