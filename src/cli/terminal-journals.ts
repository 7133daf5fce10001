import { Fault } from '#core/fault.ts';
import type { EntryFilter } from '#issuance/journal/journal-entries.ts';
import type { JournalState } from '#issuance/journal/journal-states.ts';
import type { Journals } from '#issuance/journal/journals.ts';
import type { RetentionRule } from '#issuance/journal/letting-go.ts';
import { readTextFile } from '#terminal/text-file.ts';
import { writeEvidence } from './evidence-file.ts';
import { commandActor, withIssuance } from './issuance-organization.ts';
import { reportText } from './journal-verify.ts';
import { createOutput } from './output.ts';

interface PlaceOptions {
  readonly config: string;
  readonly organization: string;
  readonly json?: boolean;
}

const alarmsShown = 100;

export async function showStates(options: PlaceOptions): Promise<void> {
  await withJournals(options, async (journals) => {
    const states = await journals.states();
    const { alarms } = await journals.entries.alarms({}, { limit: alarmsShown });
    const lines = [
      ...states.map(stateText),
      ...alarms.map(
        ({ terminal, kind, fromSequence, toSequence, raisedAtMs, incarnation }) =>
          `ALARM ${dateOf(raisedAtMs)} ${terminal} ${kind} ${fromSequence} to ${toSequence} of ${incarnation}`,
      ),
    ];
    createOutput(options.json === true).result({ terminals: states, alarms }, lines.join('\n'));
  });
}

function stateText(state: JournalState): string {
  const { terminal, sequence, signedThrough, lastAtMs, missing, alarms, comparing } = state;
  const parts = [terminal, `entry ${sequence}`, `signed through ${signedThrough}`];
  if (lastAtMs !== undefined) parts.push(`last ${dateOf(lastAtMs)}`);
  if (missing > 0) parts.push(`${missing} MISSING`);
  if (comparing) parts.push('compared again');
  parts.push(alarms === 0 ? 'nothing wrong' : `${alarms} ALARMS`);
  return parts.join('\t');
}

export async function listEntries(
  options: PlaceOptions & {
    readonly terminal?: string;
    readonly kind?: string;
    readonly door?: string;
    readonly tap?: string;
    readonly holder?: string;
    readonly from?: number;
    readonly until?: number;
    readonly limit: number;
  },
): Promise<void> {
  const { terminal, kind, door, tap, holder, from, until, limit } = options;
  await withJournals(options, async (journals) => {
    const filter: EntryFilter = {
      ...(terminal !== undefined && { terminal }),
      ...(kind !== undefined && { kind }),
      ...(door !== undefined && { door }),
      ...(tap !== undefined && { tapId: tap }),
      ...(from !== undefined && { fromMs: from }),
      ...(until !== undefined && { untilMs: until }),
      ...(holder !== undefined && {
        about: {
          field: 'userNumber',
          values: await journals.lookFor({ holderId: holder }, commandActor()),
        },
      }),
    };
    const { entries } = await journals.entries.page(filter, { limit });
    // personal values are shown by the interface alone, which knows who may see them
    const shown = entries.map(({ personal: _, ...one }) => one);
    const lines = shown.map(({ terminal: name, sequence, atMs, kind: what, entry }) =>
      [dateOf(atMs), name, sequence, what, entry?.tapId ?? '', JSON.stringify(entry?.body ?? null)].join(
        '\t',
      ),
    );
    createOutput(options.json === true).result({ entries: shown }, lines.join('\n'));
  });
}

export async function verifyJournals(
  options: PlaceOptions & { readonly terminal?: readonly string[] },
): Promise<void> {
  await withJournals(options, async (journals) => {
    const known = (await journals.states()).map(({ terminal }) => terminal);
    const unknown = options.terminal?.find((terminal) => !known.includes(terminal));
    if (unknown !== undefined)
      throw new Fault('argument-invalid', `nothing is stored of a terminal ${unknown}`);
    const reports = [];
    for (const terminal of options.terminal ?? known) {
      reports.push({ terminal, report: await journals.verify(terminal) });
    }
    const text = reports.map(({ terminal, report }) => `${terminal}: ${reportText(report, true)}`);
    createOutput(options.json === true).result({ journals: reports }, text.join('\n'));
    if (reports.some(({ report }) => !report.sound)) process.exitCode = 1;
  });
}

export async function exportJournal(
  terminal: string,
  options: PlaceOptions & { readonly out: string; readonly withPersonal?: boolean },
): Promise<void> {
  const personal = options.withPersonal === true;
  await withJournals(options, async (journals) => {
    const state = (await journals.states()).find((one) => one.terminal === terminal);
    if (!state) throw new Fault('argument-invalid', `nothing is stored of a terminal ${terminal}`);
    if (personal) await journals.recordExport(terminal, commandActor());
    const lines = await journals.exported(terminal, personal);
    await writeEvidence(options.out, async (append) => {
      for await (const line of lines) await append(line);
    });
    const { incarnation, sequence, hash } = state;
    createOutput(options.json === true).result(
      { file: options.out, head: { terminal, incarnation, sequence, hash } },
      `${options.out}: head ${sequence}:${hash}`,
    );
  });
}

export async function erasePerson(
  options: PlaceOptions & { readonly holder?: string; readonly userNumberFile?: string },
): Promise<void> {
  const { holder, userNumberFile } = options;
  if (holder === undefined && userNumberFile === undefined) {
    throw new Fault('argument-invalid', 'name a holder, or a file with user numbers');
  }
  const text = userNumberFile === undefined ? '' : await readTextFile(userNumberFile);
  const userNumbers = text.split(/\s+/).filter((one) => one !== '');
  await withJournals(options, async (journals) => {
    const person = { ...(holder !== undefined && { holderId: holder }), userNumbers };
    const erased = await journals.erase(person, commandActor());
    createOutput(options.json === true).result(
      erased,
      `${erased.values} values of ${erased.entries} entries are erased`,
    );
  });
}

export async function changeRetention(
  options: PlaceOptions & {
    readonly entries?: number;
    readonly personal?: number;
    readonly unlimited?: boolean;
  },
): Promise<void> {
  const { entries, personal, unlimited } = options;
  await withJournals(options, async ({ lettingGo }) => {
    const changes: RetentionRule = {
      ...(entries !== undefined && { entries }),
      ...(personal !== undefined && { personal }),
    };
    if (Object.values(changes).some((days) => days < 1)) {
      throw new Fault('argument-invalid', 'a number of days is at least 1');
    }
    if (unlimited) await lettingGo.setRule({}, commandActor());
    else if (Object.keys(changes).length > 0) {
      await lettingGo.setRule({ ...(await lettingGo.rule()), ...changes }, commandActor());
    }
    const rule = await lettingGo.rule();
    const kept = (days: number | undefined) => (days === undefined ? 'without limit' : `${days} days`);
    createOutput(options.json === true).result(
      rule,
      `entries are kept ${kept(rule.entries)}, personal values ${kept(rule.personal ?? rule.entries)}`,
    );
  });
}

async function withJournals(
  { config, organization }: PlaceOptions,
  action: (journals: Journals) => Promise<void>,
): Promise<void> {
  await withIssuance(config, async ({ services }) => {
    const found = await services.find(organization);
    if (!found) throw new Fault('argument-invalid', `there is no organization "${organization}"`);
    await action(await found.journals());
  });
}

function dateOf(ms: number): string {
  return new Date(ms).toISOString();
}
