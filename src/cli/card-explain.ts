import { type Command, Option } from 'commander';
import { type ExplainedExchange, type ExplainedObject, explainExchange } from '#core/card/trace/explain.ts';
import { type CardTrace, parseTrace, type TraceExchange } from '#core/card/trace/trace-format.ts';
import { type Language, languages } from '#core/texts/language.ts';
import { readTextFile } from '#terminal/text-file.ts';
import { createOutput } from './output.ts';

interface ExplainOptions {
  readonly language: Language;
}

export function registerCardExplain(card: Command): void {
  card
    .command('explain')
    .description('Tell in words what a card trace holds, APDU by APDU')
    .argument('<file>', 'Trace that card trace has written')
    .addOption(
      new Option('--language <language>', 'Language of the words').choices([...languages]).default('ja'),
    )
    .action(async (file: string, { language }: ExplainOptions, command: Command) => {
      const output = createOutput(command.optsWithGlobals<{ json?: boolean }>().json ?? false);
      const trace = parseTrace(await readTextFile(file), file);
      const explained = trace.exchanges.map((exchange) => ({
        exchange,
        explained: explainExchange(exchange),
      }));
      const text = explained.map((one) => exchangeText(one, language));
      output.result(
        {
          ...trace,
          exchanges: explained.map((one) => ({ ...one.exchange, ...inLanguage(one.explained, language) })),
        },
        [headerText(trace, language), ...text, outcomeText(trace, language)].join('\n\n'),
      );
    });
}

const words = {
  ja: {
    trace: 'カードトレース',
    recorded: '記録',
    reader: 'リーダー',
    profiles: 'プロファイル',
    masked: '保護されたメッセージ: 伏せ字（**）',
    kept: '保護されたメッセージ: そのまま（鍵があれば復号できる）',
    noResponse: '応答なし',
    unknown: '規格にないステータス',
    bytes: 'バイト',
    outcome: '結果',
    cutOff: '結果は記録されていない（途中で切れている）',
  },
  en: {
    trace: 'Card trace',
    recorded: 'recorded',
    reader: 'reader',
    profiles: 'profiles',
    masked: 'protected messages: masked (**)',
    kept: 'protected messages: as they crossed the air (the keys open them)',
    noResponse: 'no response',
    unknown: 'no status of a standard',
    bytes: 'bytes',
    outcome: 'outcome',
    cutOff: 'no outcome was recorded (the trace is cut off)',
  },
} as const;

function headerText({ header }: CardTrace, language: Language): string {
  const said = words[language];
  return [
    `${said.trace} (kazasu ${header.program})`,
    `${said.recorded}: ${header.recordedAt}; ${said.reader}: ${header.readerName}`,
    `${said.profiles}: ${header.profiles.join(', ')}`,
    said[header.protection],
  ].join('\n');
}

function outcomeText({ outcome }: CardTrace, language: Language): string {
  const said = words[language];
  if (!outcome) return said.cutOff;
  const fault = outcome.fault ? ` (${outcome.fault.code}: ${outcome.fault.message})` : '';
  return `${said.outcome}: ${outcome.outcome}${outcome.pin ? `, PIN ${outcome.pin}` : ''}${fault}`;
}

function exchangeText(
  { exchange, explained }: { exchange: TraceExchange; explained: ExplainedExchange },
  language: Language,
): string {
  const said = words[language];
  const { command, response } = explained;
  const milliseconds = (us: number): string => (us / 1_000).toFixed(1);
  const lines = [
    `#${exchange.number}  +${milliseconds(exchange.atUs)} ms, ${milliseconds(exchange.tookUs)} ms`,
    `  > ${exchange.command}`,
    `    ${command.words[language]}${command.protection ? ` [${command.protection[language]}]` : ''}`,
    ...fields(command, language),
  ];
  if (!response) return [...lines, `  < ${said.noResponse}: ${exchange.fault ?? ''}`].join('\n');
  lines.push(`  < ${exchange.response ?? ''}`, ...fields(response, language));
  if (response.status) lines.push(`    ${response.status} ${response.words?.[language] ?? said.unknown}`);
  return lines.join('\n');
}

function fields(
  { objects, data }: { readonly objects: readonly ExplainedObject[]; readonly data?: string },
  language: Language,
): string[] {
  const { bytes } = words[language];
  const rows = objects.map(
    ({ depth, tag, name, length, value }) =>
      `${'  '.repeat(depth + 2)}${tag} ${name[language]}, ${length} ${bytes}${value === undefined ? '' : `: ${value}`}`,
  );
  return data === undefined ? rows : [...rows, `    ${data.length / 2} ${bytes}: ${data}`];
}

/** The same with the words of one language, for the document. */
function inLanguage({ command, response }: ExplainedExchange, language: Language) {
  const named = (objects: readonly ExplainedObject[]) =>
    objects.map((object) => ({ ...object, name: object.name[language] }));
  return {
    explained: {
      command: {
        ...command,
        words: command.words[language],
        protection: command.protection?.[language],
        objects: named(command.objects),
      },
      response: response && {
        ...response,
        words: response.words?.[language],
        objects: named(response.objects),
      },
    },
  };
}
