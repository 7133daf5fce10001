import { type Command, Option } from 'commander';
import { type ConformanceReport, checkCard } from '#core/card/conformance/check-card.ts';
import type { Finding, Verdict } from '#core/card/conformance/finding.ts';
import { exchangeText } from '#core/texts/apdu-words.ts';
import { type Language, languages } from '#core/texts/language.ts';
import type { KeyDerivation } from '#ports/key-derivation.ts';
import { loadCardProfile } from '#terminal/config.ts';
import { withCardInHand } from './card-in-hand.ts';
import { keysHelp, withKeys } from './key-options.ts';
import { createOutput, type Output } from './output.ts';

interface CheckOptions {
  readonly profile: string;
  readonly keys?: string;
  readonly reader?: string;
  readonly wrongKeys?: boolean;
  readonly wait?: boolean;
  readonly language: Language;
}

export function registerCardCheck(card: Command): void {
  card
    .command('check')
    .description(
      'Walk through a card profile with a card in the reader; spends no PIN try and changes no card',
    )
    .requiredOption('--profile <file>', 'Card profile to check the card against')
    .option('--keys <file>', `${keysHelp}; without it nothing behind the authentication is tried`)
    .option('--reader <name>', 'Exact name of the reader (default: every reader there is)')
    .option('--wrong-keys', 'Also authenticate wrongly, once: some cards count that and lock for good')
    .option('--wait', 'Wait until a card is held up')
    .addOption(
      new Option('--language <language>', 'Language of the table').choices([...languages]).default('ja'),
    )
    .action(async (options: CheckOptions, command: Command) => {
      const output = createOutput(command.optsWithGlobals<{ json?: boolean }>().json ?? false);
      await withKeys(options.keys, (keys) => check(options, keys, output));
    });
}

async function check(options: CheckOptions, keys: KeyDerivation | undefined, output: Output): Promise<void> {
  const { language, reader, wait, wrongKeys = false } = options;
  const profile = await loadCardProfile(options.profile);
  const waitFor = wait ? 'hold the card to the reader, and leave it there' : undefined;
  await withCardInHand({ reader, waitFor }, output, async ({ card, randomBytes, monotonicUs }) => {
    const cardKeys = keys && { cardKeys: keys.cardKeys.bind(keys) };
    const report = await checkCard({ card, profile, ...cardKeys, wrongKeys, randomBytes, monotonicUs });
    if (!report.conforms) process.exitCode = 1;
    const { readerName } = card;
    output.result(
      { readerName, profile: profile.id, ...inLanguage(report, language) },
      table(report, language, `${profile.id} — ${readerName}`),
    );
  });
}

const marks: Readonly<Record<Verdict, string>> = { holds: 'OK', fails: 'NG', noted: 'i', 'not-tried': '-' };

const words = {
  ja: {
    legend: 'OK 満たす　NG 満たさない　i 参考　- 未実施',
    conforms: '結果: プロファイルを満たす（「-」の項目は未確認）',
    fails: '結果: プロファイルを満たさない項目がある',
    timings: 'コマンドの所要時間（ms）: 最小 / 中央値 / 最大（回数）',
  },
  en: {
    legend: 'OK holds   NG fails   i worth knowing   - not tried',
    conforms: 'Result: the card conforms to the profile (except for what was not tried)',
    fails: 'Result: the card does not conform to the profile',
    timings: 'Time of commands in ms: minimum / median / maximum (count)',
  },
} as const;

function table(
  { findings, timings, conforms }: ConformanceReport,
  language: Language,
  title: string,
): string {
  const said = words[language];
  const rows = findings.map(
    ({ title: name, verdict, detail }) => `${marks[verdict].padEnd(3)}${name[language]}: ${detail[language]}`,
  );
  const milliseconds = (us: number): string => (us / 1_000).toFixed(1);
  const times = timings.map(
    ({ command, count, minimumUs, medianUs, maximumUs }) =>
      `   ${exchangeText(command)[language]}: ${[minimumUs, medianUs, maximumUs].map(milliseconds).join(' / ')} (${count})`,
  );
  const result = conforms ? said.conforms : said.fails;
  return [title, said.legend, '', ...rows, '', said.timings, ...times, '', result].join('\n');
}

/** The same with the words of one language, for the document. */
function inLanguage({ findings, timings, conforms }: ConformanceReport, language: Language) {
  const rows = findings.map(({ id, title, verdict, detail }: Finding) => ({
    id,
    title: title[language],
    verdict,
    detail: detail[language],
  }));
  return { conforms, findings: rows, timings };
}
