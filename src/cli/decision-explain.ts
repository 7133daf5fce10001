import { type Command, Option } from 'commander';
import { JournalReader } from '#adapters/sqlite/journal-reader.ts';
import { type RecordedDecision, recordedDecision } from '#core/access/recorded-tap.ts';
import { isTimeZone } from '#core/access/time-zone.ts';
import { Fault } from '#core/fault.ts';
import { type JournalEntry, parseEntry } from '#core/journal/entry.ts';
import { ruleTexts, verdictTexts } from '#core/texts/decision-path.ts';
import { reasonText } from '#core/texts/decisions.ts';
import { type Language, languages, type Text } from '#core/texts/language.ts';
import { localTime } from './local-time.ts';
import { createOutput } from './output.ts';

interface ExplainOptions {
  readonly journal: string;
  readonly language: Language;
  readonly timeZone: string;
  readonly json?: boolean;
}

/** `decision explain EVENT`: says in words why a tap was granted or denied. */
export function registerDecisionExplain(decision: Command): void {
  decision
    .command('explain')
    .description(
      'Say in words why a tap was decided as it was: each rule that had something to say, and what it used',
    )
    .argument('<event>', 'Sequence number of the entry, or identity of the tap')
    .requiredOption('--journal <file>', 'Journal database, in use or not')
    .addOption(new Option('--language <language>', 'Language').choices([...languages]).default('ja'))
    .option('--time-zone <name>', 'Time zone of the times shown', 'Asia/Tokyo')
    .action(async (event: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<ExplainOptions>();
      if (!isTimeZone(options.timeZone)) {
        throw new Fault(
          'argument-invalid',
          `"${options.timeZone}" is no time zone; write one such as Asia/Tokyo`,
        );
      }
      const entry = await findEntry(options.journal, event);
      const decided = recordedDecision(entry);
      if (!decided)
        throw new Fault(
          'argument-invalid',
          `entry ${entry.sequence} records no decision but "${entry.kind}"`,
        );
      const { sequence, atMs, tapId } = entry;
      createOutput(options.json === true).result(
        { sequence, atMs, tapId, ...decided },
        explanation(entry, decided, options).join('\n'),
      );
    });
}

async function findEntry(journal: string, event: string): Promise<JournalEntry> {
  const reader = new JournalReader({ file: journal });
  await reader.start();
  try {
    if (/^\d{1,15}$/.test(event)) {
      const sequence = Number(event);
      const [view] = await reader.list({ fromSequence: sequence, limit: 1 });
      if (view?.entry.sequence === sequence) return view.entry;
    } else if (/^[0-9a-f]{32}$/i.test(event)) {
      for await (const item of reader.items()) {
        const entry = item.kind === 'entry' ? parseEntry(item.raw) : undefined;
        if (entry?.kind === 'decision' && entry.tapId === event.toLowerCase()) return entry;
      }
    } else {
      throw new Fault(
        'argument-invalid',
        `"${event}" is neither a sequence number nor the identity of a tap`,
      );
    }
  } finally {
    await reader.stop();
  }
  throw new Fault('argument-invalid', `${journal} has no such entry: ${event}`);
}

const words = {
  granted: { ja: '許可', en: 'granted' },
  denied: { ja: '拒否', en: 'denied' },
  waits: { ja: '待機', en: 'waits' },
  'hold-again': {
    ja: '読取り中にカードが離れた（拒否ではない）',
    en: 'the card left while it was read; no denial',
  },
  door: { ja: '扉', en: 'door' },
  reader: { ja: 'リーダー', en: 'reader' },
  why: { ja: '理由', en: 'because' },
  fault: { ja: '障害コード', en: 'fault' },
  policy: { ja: '許可の版', en: 'policy version' },
  timeUsed: { ja: '判定に使った時刻', en: 'time used' },
  untrusted: { ja: '（時計が未確認のため下限を適用）', en: ' (the clock was not known to be right)' },
  demanded: { ja: '扉が求めた認証強度', en: 'assurance the door demanded' },
  had: { ja: 'カードの認証強度', en: 'assurance of the reading' },
  none: { ja: 'なし', en: 'none' },
  path: { ja: 'ルールの判定（優先順）', en: 'what the rules said, in the order of precedence' },
  noPath: {
    ja: 'ルールの判定前に終わった（カード・読取り・障害による）',
    en: 'it ended before any rule was asked: the card, the reading or a fault',
  },
  changes: { ja: '記憶した事実', en: 'facts changed' },
  forgotten: { ja: '消去', en: 'forgotten' },
} as const satisfies { readonly [word: string]: Text };

function explanation(
  entry: JournalEntry,
  decided: RecordedDecision,
  { language, timeZone }: ExplainOptions,
): readonly string[] {
  const say = (word: keyof typeof words) => words[word][language];
  const { basis, card, reason, fault, changes = [] } = decided;
  const list = (names: readonly string[]) => (names.length === 0 ? say('none') : names.join(', '));
  const lines = [
    `${entry.sequence}  ${localTime(entry.atMs, timeZone)}  ${say(decided.result)}`,
    `${say('door')}: ${decided.door}  ${say('reader')}: ${decided.reader}${direction(decided)}`,
  ];
  if (reason) lines.push(`${say('why')}: ${reasonText(reason, language, 'operator')} [${reason}]`);
  if (fault !== undefined) lines.push(`${say('fault')}: ${fault}`);
  if (!basis) return lines;
  if (basis.policyVersion > 0) lines.push(`${say('policy')}: ${basis.policyVersion}`);
  const clock = basis.clock === 'trusted' ? '' : say('untrusted');
  lines.push(`${say('timeUsed')}: ${localTime(basis.timeMs, timeZone)} ${timeZone}${clock}`);
  lines.push(`${say('demanded')}: ${list(basis.demanded)}`);
  if (card) lines.push(`${say('had')}: ${list(card.assurance)}`);
  lines.push(basis.path.length === 0 ? say('noPath') : `${say('path')}:`);
  for (const step of basis.path) lines.push(`  ${stepText(step, language)}`);
  if (changes.length > 0) lines.push(`${say('changes')}:`);
  for (const { key, about, value } of changes) {
    lines.push(`  ${key} (${about}): ${value === undefined ? say('forgotten') : JSON.stringify(value)}`);
  }
  return lines;
}

function direction({ from, to }: RecordedDecision): string {
  return from === undefined && to === undefined ? '' : `  ${from ?? '-'} → ${to ?? '-'}`;
}

/** Rules and verdicts that a newer version wrote are shown by their names. */
function stepText(
  { rule, verdict, used = {} }: NonNullable<RecordedDecision['basis']>['path'][number],
  language: Language,
): string {
  const rules: { readonly [rule: string]: Text } = ruleTexts;
  const verdicts: { readonly [verdict: string]: Text } = verdictTexts;
  const details = Object.entries(used).map(
    ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  const using = details.length === 0 ? '' : `  (${details.join(', ')})`;
  return `${rules[rule]?.[language] ?? rule} [${rule}]: ${verdicts[verdict]?.[language] ?? verdict}${using}`;
}
