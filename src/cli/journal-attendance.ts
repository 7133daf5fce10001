import { type Command, Option } from 'commander';
import { JournalReader } from '#adapters/sqlite/journal-reader.ts';
import { PolicyReader } from '#adapters/sqlite/policy-reader.ts';
import type { Stay } from '#core/access/attendance-stays.ts';
import {
  type AttendanceHolders,
  type HolderStays,
  RecordedAttendance,
} from '#core/access/recorded-attendance.ts';
import type { SiteRules } from '#core/access/site-rules.ts';
import { Fault } from '#core/fault.ts';
import { parseEntry } from '#core/journal/entry.ts';
import { type Language, languages, type Text } from '#core/texts/language.ts';
import { localTime, timeLimit } from './local-time.ts';
import { createOutput } from './output.ts';

interface AttendanceOptions {
  readonly database: string;
  readonly policy: string;
  readonly service: string;
  readonly from?: string;
  readonly to?: string;
  readonly language: Language;
  readonly json?: boolean;
}

const headings = {
  holder: { ja: '利用者', en: 'holder' },
  in: { ja: '出勤', en: 'in' },
  out: { ja: '退勤', en: 'out' },
  minutes: { ja: '分', en: 'minutes' },
  doubles: { ja: '重複', en: 'doubles' },
  remarks: { ja: '備考', en: 'remarks' },
  entries: { ja: 'ログ番号', en: 'entries' },
} as const satisfies { readonly [column: string]: Text };

const remarkTexts = {
  'in-missing': { ja: '出勤なし（要訂正）', en: 'in is missing: to be corrected' },
  'out-missing': { ja: '退勤なし（要訂正）', en: 'out is missing: to be corrected' },
  'no-out-yet': { ja: '退勤前', en: 'no out yet' },
  corrected: { ja: '訂正あり', en: 'corrected by command' },
  'clock-unknown': { ja: '?は時計が未確認', en: '?: the clock was not known to be right' },
  'not-in-policy': { ja: '許可にない利用者', en: 'not in the policy' },
  erased: { ja: '消去済み', en: 'erased' },
} as const satisfies { readonly [remark: string]: Text };
type Remark = keyof typeof remarkTexts;

/** One stay as it is listed; milliseconds UTC. */
interface AttendanceRow {
  /** null where it has lawfully been erased */
  readonly holder: string | null;
  readonly inMs?: number;
  readonly outMs?: number;
  /** whole minutes that really passed */
  readonly minutes?: number;
  readonly doublesMs: readonly number[];
  readonly remarks: readonly Remark[];
  /** sequence numbers of the entries it rests on */
  readonly entries: readonly number[];
  /** of `inMs` and `outMs`, those whose clock was not known to be right */
  readonly uncertain: readonly ('in' | 'out')[];
}

/** `journal attendance`: stays of holders, from taps and corrections. */
export function registerJournalAttendance(journal: Command): void {
  journal
    .command('attendance')
    .description('List who came and went at an attendance service (CSV): a line for each stay')
    .requiredOption('--service <id>', 'Id of the attendance service')
    .requiredOption('--database <file>', 'Journal database, in use or not')
    .requiredOption('--policy <file>', 'Policy database, which tells whose a card is')
    .option('--from <time>', 'First day or minute, such as 2026-04-01 or "2026-04-01 18:00"')
    .option('--to <time>', 'Last day, or the minute before which the list ends')
    .addOption(new Option('--language <language>', 'Language').choices([...languages]).default('ja'))
    .addHelpText(
      'after',
      '\nA stay is listed where it begins. Times are of the policy’s time zone; one marked "?" was taken while the clock was not\nknown to be right. "holder attendance HOLDER SERVICE in|out --at MOMENT" sets right what a tap told wrongly: it takes the\nplace of what was recorded in that minute. The list names people: keep it as you keep the list of holders.',
    )
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<AttendanceOptions>();
      const policy = new PolicyReader(options.policy);
      try {
        const rules = policy.rules();
        if (!rules) throw new Fault('policy-absent', `no policy is installed in ${options.policy}`);
        const { timeZone } = rules;
        const rows = await list(options, policy, rules);
        createOutput(options.json === true).result(
          { service: options.service, timeZone, stays: rows },
          csv(rows, timeZone, options.language),
        );
      } finally {
        policy.close();
      }
    });
}

async function list(
  { service, database, from, to }: AttendanceOptions,
  policy: PolicyReader,
  rules: SiteRules,
): Promise<readonly AttendanceRow[]> {
  const doublesMs = doublesOf(service, rules);
  const fromMs = timeLimit(from, 'from', rules.timeZone) ?? Number.NEGATIVE_INFINITY;
  const toMs = timeLimit(to, 'until', rules.timeZone) ?? Number.POSITIVE_INFINITY;
  const attendance = new RecordedAttendance({ service, holders: holdersOf(policy, rules.organization) });
  const reader = new JournalReader({ file: database });
  await reader.start();
  try {
    for await (const item of reader.items()) {
      const entry = item.kind === 'entry' ? parseEntry(item.raw) : undefined;
      if (!entry || item.kind !== 'entry') continue;
      attendance.take(entry, Object.fromEntries(item.personal.map(({ field, value }) => [field, value])));
    }
  } finally {
    await reader.stop();
  }
  return attendance.stays(doublesMs).flatMap((holder) =>
    holder.stays.flatMap((stay, at) => {
      const beginsMs = (stay.in ?? stay.out)?.atMs ?? 0;
      return beginsMs >= fromMs && beginsMs < toMs ? [rowOf(holder, stay, at)] : [];
    }),
  );
}

function doublesOf(service: string, { services }: SiteRules): number {
  const known = services.flatMap((one) => (one.kind === 'attendance' ? [one] : []));
  const found = known.find(({ id }) => id === service);
  if (found) return found.doubles;
  const ids = known.map(({ id }) => id).join(', ');
  throw new Fault(
    'argument-invalid',
    `the policy has no attendance service "${service}"; it has ${ids === '' ? 'none' : ids}`,
  );
}

/** Who has left is named as a list without a column of holders would name them. */
function holdersOf(policy: PolicyReader, own: string): AttendanceHolders {
  const byCard = new Map<string, string | undefined>();
  return {
    ofCard: ({ organization, profile, userNumber }) => {
      const card = JSON.stringify([profile, userNumber]);
      if (!byCard.has(card)) {
        const found = policy.withRecords((records) => records.find(profile, userNumber));
        byCard.set(card, found?.holder?.holderId);
      }
      const holderId = byCard.get(card);
      if (holderId !== undefined) return { holderId, known: true };
      return { holderId: organization === own ? userNumber : `${organization}/${userNumber}`, known: false };
    },
    ofId: (holderId) => ({ holderId, known: policy.hasHolder(holderId) }),
  };
}

function rowOf({ holder, stays }: HolderStays, stay: Stay, at: number): AttendanceRow {
  const punches = [stay.in, stay.out].filter((one) => one !== undefined);
  const doubles = punches.flatMap((one) => one.doubles);
  const [inMs, outMs] = [stay.in?.atMs, stay.out?.atMs];
  const uncertain = (['in', 'out'] as const).filter((way) => stay[way]?.trusted === false);
  const remarks: Remark[] = [];
  if (!holder) remarks.push('erased');
  else if (!stay.in) remarks.push('in-missing');
  else if (!stay.out) remarks.push(at === stays.length - 1 ? 'no-out-yet' : 'out-missing');
  if (punches.some(({ by }) => by === 'command')) remarks.push('corrected');
  if (uncertain.length > 0) remarks.push('clock-unknown');
  if (holder?.known === false) remarks.push('not-in-policy');
  const isWhole = inMs !== undefined && outMs !== undefined && outMs >= inMs;
  return {
    holder: holder?.holderId ?? null,
    ...(inMs === undefined ? {} : { inMs }),
    ...(outMs === undefined ? {} : { outMs }),
    ...(isWhole && { minutes: Math.floor((outMs - inMs) / 60_000) }),
    doublesMs: doubles.map(({ atMs }) => atMs),
    remarks,
    entries: [...punches, ...doubles].map(({ sequence }) => sequence).toSorted((a, b) => a - b),
    uncertain,
  };
}

/** No cell needs quotes: an id has letters, digits and a few signs, and begins with none that a spreadsheet calculates. */
function csv(rows: readonly AttendanceRow[], timeZone: string, language: Language): string {
  const time = (ms: number) => localTime(ms, timeZone);
  const lines = rows.map((row) => {
    const shown = (way: 'in' | 'out', ms: number | undefined) =>
      ms === undefined ? '' : `${time(ms)}${row.uncertain.includes(way) ? '?' : ''}`;
    return [
      row.holder ?? `(${remarkTexts.erased[language]})`,
      shown('in', row.inMs),
      shown('out', row.outMs),
      row.minutes ?? '',
      row.doublesMs.map(time).join('; '),
      row.remarks.map((remark) => remarkTexts[remark][language]).join('; '),
      row.entries.join(' '),
    ];
  });
  const first = Object.values(headings).map((heading) => heading[language]);
  return [first, ...lines].map((cells) => cells.join(',')).join('\n');
}
