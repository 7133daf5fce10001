import { join } from 'node:path';
import { FactsReader } from '#adapters/sqlite/facts.ts';
import { JournalReader } from '#adapters/sqlite/journal-reader.ts';
import { inspectUser } from '#adapters/sqlite/policy-inspection.ts';
import { partsSchema, total } from '#core/access/counting.ts';
import { parseEntry } from '#core/journal/entry.ts';
import { verifyJournal } from '#core/journal/verify.ts';
import { holders, userNumberOf } from './cards.ts';
import { readers } from './configuration.ts';
import type { Witnessed } from './power-cut.ts';

/** the group of everybody in a list of holders */
type Group = 'old' | 'new';

interface Decided {
  readonly reader: string;
  readonly userNumber: string;
  readonly result: string;
  readonly reason: string | undefined;
  /** a machine as slow as this one may miss a deadline */
  readonly faulty: boolean;
}

/** What a state directory remembers after the power went. Throws where it contradicts itself, or what was seen. */
export class Recollection {
  /** of the journal */
  readonly entries: number;
  /** the group of everybody in the policy, which tells the list before from the list after */
  readonly group: Group;
  readonly #decided: readonly Decided[];

  private constructor(parts: { entries: number; group: Group; decided: readonly Decided[] }) {
    this.entries = parts.entries;
    this.group = parts.group;
    this.#decided = parts.decided;
  }

  static async of(state: string): Promise<Recollection> {
    const file = join(state, 'journal.sqlite');
    const reader = new JournalReader({ file });
    await reader.start();
    try {
      const report = await verifyJournal(reader.items(), {
        publicKeys: [],
        heads: [],
        personalIncluded: true,
        checkpointEveryEntries: 20,
      });
      if (!report.sound) throw new Error(`the journal does not verify: ${JSON.stringify(report.findings)}`);
      const decided: Decided[] = [];
      let entries = 0;
      for await (const item of reader.items()) {
        if (item.kind !== 'entry') continue;
        entries += 1;
        const entry = parseEntry(item.raw);
        const userNumber = item.personal.find(({ field }) => field === 'userNumber')?.value;
        if (entry?.kind !== 'decision' || userNumber === undefined) continue;
        const { reader: at, result, reason, fault } = entry.body;
        decided.push({
          reader: String(at),
          userNumber,
          result: String(result),
          reason: reason?.toString(),
          faulty: fault !== undefined,
        });
      }
      remembersOnce(file, decided);
      return new Recollection({ entries, group: groupOf(join(state, 'policy.sqlite')), decided });
    } finally {
      await reader.stop();
    }
  }

  /**
   * Throws where a lamp had shown a grant, or a strike had opened, and no entry says so. The lamp of denials says
   * nothing: a reader that has a fault shows it as well.
   */
  holdAgainst(witnessed: readonly Witnessed[], opened: readonly number[]): void {
    const left = [...this.#decided];
    for (const { slot, holder, shown } of witnessed) {
      if (shown === 'denied') continue;
      const reader = readers[slot].id;
      const at = left.findIndex(
        (it) => it.reader === reader && it.userNumber === userNumberOf(holder) && it.result === shown,
      );
      if (at < 0) throw new Error(`${holder} was ${shown} at ${reader}, and no entry says so`);
      left.splice(at, 1);
    }
    for (const [slot, { id, door }] of readers.entries()) {
      const granted = this.#decided.filter((it) => it.reader === id && it.result === 'granted').length;
      const openings = opened[slot] ?? 0;
      if (openings > granted)
        throw new Error(`${openings} openings of ${door}, and ${granted} grants in the journal`);
    }
  }
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
    const invented = own.find(({ result, reason }) => result === 'denied' && reason !== 'already-admitted');
    if (invented) throw new Error(`${holder} was denied: ${invented.reason}`);
  }
}

/** The group of everybody; throws unless all have the same, as either list says. */
function groupOf(policy: string): Group {
  const groups = holders.flatMap((holder) => {
    const { holders: found } = inspectUser(policy, {
      userNumber: userNumberOf(holder),
      profileId: undefined,
    });
    return found.map((it) => it.groups.join());
  });
  const group = groups[0] === 'new' ? 'new' : 'old';
  if (groups.length !== holders.length || groups.some((other) => other !== group)) {
    throw new Error(
      `half a policy: ${groups.length} of ${holders.length} holders, ${[...new Set(groups)].join(' and ')}`,
    );
  }
  return group;
}
