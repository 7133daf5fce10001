import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pass } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { JournalReader } from '#adapters/sqlite/journal-reader.ts';
import { PolicyInstaller } from '#adapters/sqlite/policy-installer.ts';
import { siteRulesSchema } from '#core/access/site-rules.ts';
import { parseYaml } from '#core/config/yaml-document.ts';
import { parseEntry } from '#core/journal/entry.ts';
import { verifyJournal } from '#core/journal/verify.ts';
import type { DoorObservation } from '#simulators/door/simulated-door.ts';
import { DoorProcess } from '../contracts/door-rigs.ts';
import { eventId, eventsOfARun, JournalledMemory } from './kill-memory.ts';

const root = new URL('../../', import.meta.url).pathname;
const nowUs = () => Number(process.hrtime.bigint() / 1_000n);

export interface KillReport {
  readonly kills: number;
  /** kills that found the strike unlocked */
  readonly whileUnlocked: number;
  /** from the kill to the strike's relock, in milliseconds, ascending */
  readonly relockMs: readonly number[];
  readonly openingsSeen: number;
  /** taps that opened the door without a decision in the journal */
  readonly unrecorded: readonly string[];
  readonly entries: number;
  /** grants into the zone where the holder was already, to an event a second time, or of a use counted before */
  readonly forgotten: readonly string[];
  /** denials and counts without a grant in the journal that would explain them */
  readonly invented: readonly string[];
  /** whether facts on the disk and journal say the same of position, people inside, uses and admissions */
  readonly consistent: boolean;
  readonly uses: number;
  readonly admissions: number;
  readonly sound: boolean;
  readonly findings: readonly unknown[];
}

/**
 * Kills a terminal under continuous taps `kills` times, each at a random moment of its first 600 ms of tapping, while
 * the door and its record live in another process; then compares what the door saw with what the journal says.
 */
export async function runKills(
  kills: number,
  progress: (done: number) => void = () => {},
): Promise<KillReport> {
  const doors = new DoorProcess();
  await doors.start();
  try {
    await prepare(doors.directory, kills);
    const tail = new RecordTail(doors.recordPath);
    const relockMs: number[] = [];
    let whileUnlocked = 0;
    for (let kill = 1; kill <= kills; kill += 1) {
      const after = await killOnce(doors, tail, kill);
      if (after.unlocked) whileUnlocked += 1;
      if (after.relockMs !== undefined) relockMs.push(after.relockMs);
      progress(kill);
    }
    relockMs.sort((a, b) => a - b);
    return { kills, whileUnlocked, relockMs, ...(await compare(doors)) };
  } finally {
    await doors.stop();
  }
}

async function prepare(directory: string, kills: number): Promise<void> {
  const shipped = readFileSync(join(root, 'src/simulators/site/deck/rules-never.yaml'), 'utf8');
  const events = Array.from({ length: (kills + 1) * eventsOfARun }, (_, index) => eventId(index));
  const rules = `${shipped}zones: [{ id: street }, { id: hall, passback: { mode: hard } }]
services:
  - { id: lunch, kind: uses, limit: 1000000 }
${events.map((id) => `  - { id: ${id}, kind: once }\n`).join('')}`;
  const installer = new PolicyInstaller({ file: join(directory, 'policy.sqlite') });
  await installer.start();
  await installer.installRules(parseYaml(rules, 'rules', siteRulesSchema, 'config-invalid'), Date.now());
  await installer.importHolders({
    mode: 'complete',
    dryRun: false,
    nowMs: Date.now(),
    confirm: async () => true,
    rows: (async function* () {
      yield [
        {
          line: 1,
          holderId: 'sato',
          profileId: 'synthetic-type-a',
          userNumber: 'E00012345',
          status: 'active',
          groups: ['staff'],
          cardStatus: 'active',
        },
      ];
    })(),
  });
  await installer.stop();
}

/** Starts a terminal, kills it, and waits until nobody holds the door any more. */
async function killOnce(
  doors: DoorProcess,
  tail: RecordTail,
  run: number,
): Promise<{ unlocked: boolean; relockMs?: number }> {
  const child = spawn(
    process.execPath,
    [
      join(root, 'test/faults/kill-terminal.ts'),
      doors.directory,
      JSON.stringify(doors.hardware()),
      String(run),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const exited = once(child, 'exit');
  await Promise.race([once(child.stdout, 'data'), exited]);
  if (child.exitCode !== null) throw new Error(`the terminal ended by itself with code ${child.exitCode}`);
  await pass(Math.random() * 600);
  tail.read();
  const unlocked = !tail.locked;
  const killedUs = nowUs();
  child.kill('SIGKILL');
  await exited;
  const deadlineUs = killedUs + 3_000_000;
  const since: DoorObservation[] = [];
  for (;;) {
    since.push(...tail.read());
    const left = since.some(({ what, connected }) => what === 'client' && connected === false);
    if (left && tail.locked) {
      const relock = since.findLast(({ what, locked }) => what === 'strike' && locked === true);
      return relock ? { unlocked, relockMs: (relock.atUs - killedUs) / 1_000 } : { unlocked };
    }
    if (nowUs() > deadlineUs) throw new Error('the strike is still unlocked, or held, 3 s after the kill');
    await pass(5);
  }
}

/** Follows a door's record, reading only what is new. */
class RecordTail {
  readonly #path: string;
  #offset = 0;
  locked = true;

  constructor(path: string) {
    this.#path = path;
  }

  read(): readonly DoorObservation[] {
    const bytes = readFileSync(this.#path).subarray(this.#offset);
    const whole = bytes.subarray(0, bytes.lastIndexOf(10) + 1);
    this.#offset += whole.length;
    const lines = whole.toString().split('\n').slice(0, -1);
    const observed = lines.map((line) => JSON.parse(line) as DoorObservation);
    for (const { what, locked } of observed)
      if (what === 'strike' && locked !== undefined) this.locked = locked;
    return observed;
  }
}

async function compare(doors: DoorProcess) {
  const opened = doors
    .record()
    .filter(({ what, locked }) => what === 'command' && locked === false)
    .map(({ cause }) => cause ?? 'an opening without a tap');
  const reader = new JournalReader({ file: join(doors.directory, 'journal.sqlite') });
  await reader.start();
  const memory = new JournalledMemory();
  let entries = 0;
  for await (const item of reader.items()) {
    if (item.kind !== 'entry') continue;
    entries += 1;
    const entry = parseEntry(item.raw);
    if (entry?.kind === 'decision' && entry.tapId) memory.take(entry.tapId, entry.body);
  }
  const report = await verifyJournal(reader.items(), {
    publicKeys: [],
    heads: [],
    personalIncluded: true,
    checkpointEveryEntries: 50,
  });
  await reader.stop();
  return {
    forgotten: memory.forgotten,
    invented: memory.invented,
    consistent: memory.agreesWith(join(doors.directory, 'journal.sqlite')),
    ...memory.counts(),
    openingsSeen: new Set(opened).size,
    unrecorded: opened.filter((tapId) => !memory.granted.has(tapId)),
    entries,
    sound: report.sound,
    findings: report.findings,
  };
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { kills: { type: 'string', default: '1000' } } });
  const report = await runKills(Number(values.kills), (done) => {
    if (done % 50 === 0) process.stderr.write(`${done} kills\n`);
  });
  const { relockMs, ...rest } = report;
  const at = (share: number) =>
    relockMs[Math.min(relockMs.length - 1, Math.floor(relockMs.length * share))]?.toFixed(1);
  process.stdout.write(
    `${JSON.stringify({ ...rest, relockMs: { n: relockMs.length, p50: at(0.5), p99: at(0.99), max: at(1) } }, null, 2)}\n`,
  );
  const late = relockMs.filter((ms) => ms >= 1_000).length;
  const { sound, unrecorded, forgotten, invented, consistent } = report;
  const wrong = unrecorded.length + forgotten.length + invented.length;
  if (!sound || !consistent || wrong > 0 || late > 0) process.exitCode = 1;
}
