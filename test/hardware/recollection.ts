import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { openDatabase } from '#adapters/sqlite/database.ts';
import { FactsReader } from '#adapters/sqlite/facts.ts';
import { JournalFile } from '#adapters/sqlite/journal-file.ts';
import { journalFormat } from '#adapters/sqlite/journal-format.ts';
import { readKeys, readPage } from '#adapters/sqlite/journal-pages.ts';
import { PolicyReader } from '#adapters/sqlite/policy-reader.ts';
import { readRememberedHead } from '#adapters/sqlite/remembered-head.ts';
import { partsSchema, total } from '#core/access/counting.ts';
import { type JournalEntry, parseEntry, type StoredEntry } from '#core/journal/entry.ts';
import { type JournalItem, verifyJournal } from '#core/journal/verify.ts';
import { holders, profileId, userNumberOf } from './cards.ts';
import { readers } from './configuration.ts';
import { count, type Sight } from './witness.ts';

/** the group of everybody in a list of holders */
type Group = 'old' | 'new';

interface Decided {
  readonly tapId: string | undefined;
  readonly reader: string;
  readonly userNumber: string;
  readonly result: string;
  readonly reason: string | undefined;
  readonly policyVersion: number;
}

/** What a state directory remembers after the power went. Throws where it contradicts itself, or what was seen. */
export class Recollection {
  /** of the journal */
  readonly entries: number;
  /** how many of them a checkpoint of the device's own key proves */
  readonly signed: number;
  /** the group of everybody in the policy, which tells the list before from the list after */
  readonly group: Group;
  readonly #decided: readonly Decided[];

  private constructor(parts: {
    entries: number;
    signed: number;
    group: Group;
    decided: readonly Decided[];
  }) {
    this.entries = parts.entries;
    this.signed = parts.signed;
    this.group = parts.group;
    this.#decided = parts.decided;
  }

  /** Why holders were denied, once for each time. */
  get denied(): readonly string[] {
    return this.#decided.filter(({ result }) => result === 'denied').map(({ reason }) => reason ?? '');
  }

  /** Of a state directory, which holds the public key of the device as well. */
  static async of(state: string): Promise<Recollection> {
    const publicKey = readFileSync(join(state, 'device-key.pub.pem'), 'utf8');
    const file = join(state, 'journal.sqlite');
    const items = itemsOf(file);
    const report = await verifyJournal(items, {
      publicKeys: [publicKey],
      heads: [],
      personalIncluded: true,
      checkpointEveryEntries: 20,
    });
    if (!report.sound) throw new Error(`the journal does not verify: ${JSON.stringify(report.findings)}`);
    const decided: Decided[] = [];
    const notOpened = new Set<string | undefined>();
    let entries = 0;
    for (const item of items) {
      if (item.kind !== 'entry') continue;
      entries += 1;
      const entry = parseEntry(item.raw);
      const decision = entry && decisionOf(entry, item);
      if (decision) decided.push(decision);
      if (entry?.kind === 'actuation' && /^(failed|not-opened)$/.test(String(entry.body.result)))
        notOpened.add(entry.tapId);
    }
    // a door that did not obey: the grant counts for nothing, and the holder may come again
    remembersOnce(
      file,
      decided.filter(({ tapId }) => !notOpened.has(tapId)),
    );
    const group = groupOf(join(state, 'policy.sqlite'), decided);
    const segments = report.chains.flatMap((chain) => chain.segments);
    const signed = Math.max(0, ...segments.map(({ signedThrough = 0 }) => signedThrough));
    return new Recollection({ entries, signed, group, decided });
  }

  /** Throws where a lamp had shown a grant, a strike had opened or a list was installed, and nothing of it is kept. */
  holdAgainst(sights: readonly Sight[]): void {
    const left = [...this.#decided];
    for (const sight of sights) {
      if (sight.kind !== 'grant') continue;
      const { id } = readers[sight.slot] ?? {};
      const number = userNumberOf(sight.holder);
      const at = left.findIndex(
        (it) => it.reader === id && it.userNumber === number && it.result === 'granted',
      );
      if (at < 0) throw new Error(`${sight.holder} was granted at ${id}, and no entry says so`);
      left.splice(at, 1);
    }
    for (const [slot, { id, door }] of readers.entries()) {
      const granted = this.#decided.filter((it) => it.reader === id && it.result === 'granted').length;
      const openings = count(sights, 'opening', slot);
      if (openings > granted)
        throw new Error(`${openings} openings of ${door}, and ${granted} grants in the journal`);
    }
    if (count(sights, 'import') > 0 && this.group === 'old')
      throw new Error('the list was installed, and the policy is the one before');
  }
}

/** The keys, entries and checkpoints of a journal, read here: a thread for each of many would take longer than its reading. */
function itemsOf(file: string): readonly JournalItem[] {
  const db = openDatabase(file, journalFormat, { readonly: true });
  try {
    const items = [...readKeys(db)];
    for (let after: number | undefined = 0; after !== undefined; ) {
      const page = readPage(db, after);
      items.push(...page.items);
      after = page.next;
    }
    return items;
  } finally {
    db.close();
  }
}

/** What an entry says about a holder; undefined where it is about something else. */
function decisionOf(entry: JournalEntry, { personal }: StoredEntry): Decided | undefined {
  const userNumber = personal.find(({ field }) => field === 'userNumber')?.value;
  if (entry.kind !== 'decision' || userNumber === undefined) return undefined;
  const { reader, result, reason, basis } = entry.body;
  const { policyVersion } = basisSchema.parse(basis);
  return {
    tapId: entry.tapId,
    reader: String(reader),
    userNumber,
    result: String(result),
    reason: reason?.toString(),
    policyVersion,
  };
}

const basisSchema = z.object({ policyVersion: z.number() });

/** Opens the journal of a state directory as the terminal does when it starts; throws where it would not go on where it was. */
export async function goesOn(state: string): Promise<void> {
  const file = join(state, 'journal.sqlite');
  const remembered = await readRememberedHead(`${file}.head`);
  const journal = JournalFile.open({ file, terminal: 'emulated', create: false, reserveMiB: 16, remembered });
  journal.close();
  if (journal.started) throw new Error(`the journal is taken for another one: ${journal.started.reason}`);
}

/** The facts beside the journal say the same as its entries: meals counted, and who was admitted, once. */
function remembersOnce(file: string, decided: readonly Decided[]): void {
  const facts = new FactsReader(file);
  for (const holder of holders) {
    const own = decided.filter(({ userNumber }) => userNumber === userNumberOf(holder));
    const grants = (reader: string) =>
      own.filter((it) => it.reader === reader && it.result === 'granted').length;
    const known = facts.of(holder);
    const meals = known.get('uses/meal') as { readonly parts: unknown } | undefined;
    const counted = total(partsSchema.parse(meals?.parts ?? []));
    if (counted !== grants('entrance'))
      throw new Error(`${holder}: ${counted} meals, ${grants('entrance')} in the journal`);
    const admitted = [...known.keys()].some((key) => key.startsWith('once/')) ? 1 : 0;
    if (admitted !== grants('event'))
      throw new Error(`${holder}: admitted ${admitted} times, ${grants('event')} in the journal`);
  }
}

/**
 * The group of everybody; throws unless all have the same, as either list says, and where a decision was made by a policy
 * that is not there.
 */
function groupOf(policy: string, decided: readonly Decided[]): Group {
  const reader = new PolicyReader(policy);
  try {
    const groups =
      reader.withRecords((records) =>
        holders.flatMap((it) => records.find(profileId, userNumberOf(it)).holder?.groups.join() ?? []),
      ) ?? [];
    const group = groups[0] === 'new' ? 'new' : 'old';
    if (groups.length !== holders.length || groups.some((other) => other !== group)) {
      throw new Error(
        `half a policy: ${groups.length} of ${holders.length} holders, ${[...new Set(groups)].join(' and ')}`,
      );
    }
    const installed = reader.version()?.number ?? 0;
    const latest = Math.max(0, ...decided.map(({ policyVersion }) => policyVersion));
    if (latest > installed) throw new Error(`decided by policy ${latest}, and ${installed} is installed`);
    return group;
  } finally {
    reader.close();
  }
}
