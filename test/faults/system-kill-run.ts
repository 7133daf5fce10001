import 'reflect-metadata';
import { join } from 'node:path';
import { setTimeout as pass } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import Database from 'better-sqlite3';
import { withIssuance } from '#cli/issuance-organization.ts';
import { commandPrincipal } from '#cli/organization-services.ts';
import { isFault } from '#core/fault.ts';
import { parseEntry } from '#core/journal/entry.ts';
import type { OrganizationServices } from '#issuance/services.ts';
import { seededRandom } from '#simulators/fleet/random.ts';
import { enterPeople } from '../issuance/organization-bench.ts';
import { type Backend, SystemRig } from './system-rig.ts';

const names = ['lobby', 'vault'] as const;
const healWithinMs = 180_000;
const { actor } = commandPrincipal();

export interface SystemKillReport {
  /** how often each part was killed, and the network cut or silenced */
  readonly kills: Readonly<Record<string, number>>;
  /** entries of all terminals */
  readonly entries: number;
  /** entries that the server has not, or not as the terminal has them */
  readonly missing: readonly string[];
  /** entries of the server that no terminal has */
  readonly strange: readonly string[];
  /** whether the journals verify at the server */
  readonly sound: boolean;
  readonly alarms: readonly unknown[];
  readonly commands: number;
  /** commands that a terminal did more than once */
  readonly repeated: readonly string[];
  /** suspensions and their ends that the server has confirmed */
  readonly suspensions: number;
  /** to the holder whom the server has suspended last, by each terminal, as soon as it has heard of that */
  readonly answers: readonly unknown[];
  /** from the last healing until everything was at the server, in milliseconds */
  readonly settledMs: number;
}

/**
 * Kills terminals, broker, server and database `kills` times in any combination, cuts and silences the network, while
 * cards are held up, a holder is suspended and not, and doors are unlocked by command; then heals everything and compares
 * what the terminals recorded with what the server has.
 */
export async function runSystemKills(
  backend: Backend,
  kills: number,
  { seed, reserveMiB }: { readonly seed: number; readonly reserveMiB: number },
  progress: (done: number) => void = () => {},
): Promise<SystemKillReport> {
  const rig = new SystemRig(backend);
  try {
    await rig.start(names, () => atServer(rig, enterPeople), reserveMiB);
    const random = seededRandom(seed);
    const counts: Record<string, number> = {};
    const done = { commands: 0, suspensions: 0 };
    let ended = false;
    const administering = (async () => {
      for (let suspend = true; !ended; suspend = !suspend) {
        await administer(rig, suspend, done);
        await pass(200 + random() * 800);
      }
    })();
    for (let kill = 1; kill <= kills; kill += 1) {
      await harm(rig, random, counts);
      progress(kill);
    }
    ended = true;
    await administering;
    for (const network of rig.networks) network.open = true;
    await atServer(rig, (city) => city.holders.suspend('hanako', 'last', actor));
    for (const name of names) rig.rest(name);
    const healedMs = performance.now();
    const compared = await settled(rig);
    const settledMs = performance.now() - healedMs;
    const answers: unknown[] = [];
    for (const name of names) answers.push(await answered(rig, name));
    return { kills: counts, ...done, ...compared, answers, settledMs };
  } finally {
    await rig.stop();
  }
}

/** What a terminal answers to the suspended holder once it has heard of it, which all being stored does not say. */
async function answered(rig: SystemRig, name: string): Promise<{ readonly result: string }> {
  for (const end = performance.now() + healWithinMs; ; await pass(200)) {
    const answer = await rig.tap(name, 'USER0001');
    if (answer.result !== 'granted' || performance.now() > end) return answer;
  }
}

/** Kills one to three parts, perhaps cuts the network, and mends all of it after a while. */
async function harm(rig: SystemRig, random: () => number, counts: Record<string, number>): Promise<void> {
  const count = (what: string) => {
    counts[what] = (counts[what] ?? 0) + 1;
  };
  const parts = [...rig.parts].sort(() => random() - 0.5).slice(0, 1 + Math.floor(random() * 1.6));
  const networked = random();
  await pass(random() * 1_500);
  if (networked < 0.15) {
    for (const network of rig.networks) network.open = false;
    count('network cut');
  } else if (networked < 0.3) {
    for (const network of rig.networks) network.pass({ kind: 'silent' }, 0.5, random);
    count('network silent');
  }
  for (const part of parts) {
    await rig.kill(part);
    count(part.replace(/ \d+$/, ''));
  }
  await pass(random() * 700);
  for (const network of rig.networks) network.open = true;
  // what stands below comes back first
  for (const part of ['database', 'broker', 'server']) if (parts.includes(part)) await rig.revive(part);
  for (const part of parts) if (part.startsWith('terminal ')) await rig.revive(part);
}

async function atServer<T>(
  rig: SystemRig,
  action: (city: OrganizationServices) => Promise<T>,
): Promise<void> {
  await withIssuance(rig.config, async ({ services }) => {
    const city = await services.find('city');
    if (!city) throw new Error('the organization is gone');
    await action(city);
  });
}

/** What an administrator does meanwhile; where the database is away it is not done. */
async function administer(
  rig: SystemRig,
  suspend: boolean,
  done: { commands: number; suspensions: number },
): Promise<void> {
  try {
    await atServer(rig, async (city) => {
      if (suspend) await city.holders.suspend('hanako', 'now and then', actor);
      else await city.holders.liftSuspension('hanako', commandPrincipal());
      done.suspensions += 1;
      const action = { kind: 'unlock-once', door: 'main' } as const;
      const to = { terminals: [names[done.commands % names.length] ?? names[0]] };
      const outcome = await city.commands.give({ action, reason: 'test', to }, commandPrincipal());
      if (outcome.kind === 'given') done.commands += 1;
    });
  } catch (error) {
    if (!isFault(error, 'database-unavailable')) throw error;
  }
}

type Compared = Pick<SystemKillReport, 'entries' | 'missing' | 'strange' | 'sound' | 'alarms' | 'repeated'>;

/** Compares until everything has arrived. */
async function settled(rig: SystemRig): Promise<Compared> {
  const deadlineMs = performance.now() + healWithinMs;
  for (;;) {
    const compared = await compare(rig);
    if (compared.missing.length === 0 || performance.now() > deadlineMs) return compared;
    await pass(500);
  }
}

async function compare(rig: SystemRig): Promise<Compared> {
  const stored = new Map<string, string>();
  const repeated: string[] = [];
  let sound = true;
  let alarms: readonly unknown[] = [];
  await withIssuance(rig.config, async ({ services, databases }) => {
    const city = await services.find('city');
    if (!city) throw new Error('the organization is gone');
    const journals = await city.journals();
    for (const name of names) sound &&= (await journals.verify(name)).sound;
    ({ alarms } = await journals.entries.alarms({}, { limit: 100 }));
    const rows = await (await databases.journal(city.organization))
      .selectFrom('entries')
      .innerJoin('chains', 'chains.chain', 'entries.chain')
      .select(['chains.terminal', 'chains.incarnation', 'entries.sequence', 'entries.raw'])
      .execute();
    for (const { terminal, incarnation, sequence, raw } of rows) {
      const key = `${terminal} ${incarnation} ${sequence}`;
      if (stored.has(key)) repeated.push(key);
      stored.set(key, Buffer.from(raw).toString('base64'));
    }
  });
  // after what the server has: a terminal records first
  const own = new Map(names.flatMap((name) => entriesOf(rig.directory(name), name)));
  const taken = new Set<string>();
  for (const [key, raw] of own) {
    const entry = parseEntry(Buffer.from(raw, 'base64'));
    if (entry?.kind !== 'command' || entry.body.outcome !== 'accepted') continue;
    const command = `${key.split(' ')[0]} ${entry.body.id}`;
    if (taken.has(command)) repeated.push(command);
    taken.add(command);
  }
  return {
    entries: own.size,
    missing: [...own].filter(([key, raw]) => stored.get(key) !== raw).map(([key]) => key),
    strange: [...stored.keys()].filter((key) => !own.has(key)),
    ...{ sound, alarms, repeated },
  };
}

function entriesOf(directory: string, name: string): (readonly [key: string, raw: string])[] {
  const db = new Database(join(directory, 'journal.sqlite'), { readonly: true });
  const rows = db.prepare<[], { raw: Buffer }>('select raw from entries').all();
  db.close();
  return rows.map(({ raw }) => {
    const entry = parseEntry(raw);
    return [`${name} ${entry?.incarnation} ${entry?.sequence}`, raw.toString('base64')] as const;
  });
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      kills: { type: 'string', default: '300' },
      backend: { type: 'string', default: 'embedded' },
      seed: { type: 'string', default: '1' },
    },
  });
  const report = await runSystemKills(
    values.backend as Backend,
    Number(values.kills),
    { seed: Number(values.seed), reserveMiB: 128 },
    (done) => process.stderr.write(`\r${done} of ${values.kills}`),
  );
  process.stderr.write('\n');
  process.stdout.write(
    `${JSON.stringify({ backend: values.backend, seed: values.seed, ...report }, null, 2)}\n`,
  );
  const { missing, strange, sound, alarms, repeated } = report;
  const wrong = missing.length + strange.length + alarms.length + repeated.length;
  process.exitCode = sound && wrong === 0 ? 0 : 1;
}
