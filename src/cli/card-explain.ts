import { type Command, Option } from 'commander';
import type { CardProfile } from '#core/card/profile.ts';
import { type ExplainedExchange, type ExplainedObject, TraceExplainer } from '#core/card/trace/explain.ts';
import type { OpenedMessage } from '#core/card/trace/opened-session.ts';
import { type CardTrace, parseTrace, type TraceExchange } from '#core/card/trace/trace-format.ts';
import { type OpenedExchange, TraceOpener } from '#core/card/trace/trace-opener.ts';
import { Fault } from '#core/fault.ts';
import { type Language, languages } from '#core/texts/language.ts';
import type { KeyDerivation } from '#ports/key-derivation.ts';
import { loadCardProfile } from '#terminal/config.ts';
import { readTextFile } from '#terminal/text-file.ts';
import { keysHelp, withKeys } from './key-options.ts';
import { createOutput } from './output.ts';

interface ExplainOptions {
  readonly profile?: readonly string[];
  readonly keys?: string;
  readonly language: Language;
}

interface ToldExchange {
  readonly exchange: TraceExchange;
  readonly explained: ExplainedExchange;
  readonly opened?: OpenedExchange;
}

export function registerCardExplain(card: Command): void {
  card
    .command('explain')
    .description('Tell in words what a card trace holds, APDU by APDU')
    .argument('<file>', 'Trace that card trace has written')
    .option('--profile <file...>', 'With --keys: the card profiles that it was recorded with')
    .option('--keys <file>', `Open protected messages, where the trace has kept them. ${keysHelp}`)
    .addOption(
      new Option('--language <language>', 'Language of the words').choices([...languages]).default('ja'),
    )
    .action(async (file: string, options: ExplainOptions, command: Command) => {
      const { keys: source, language } = options;
      const output = createOutput(command.optsWithGlobals<{ json?: boolean }>().json ?? false);
      const profiles = await Promise.all((options.profile ?? []).map(loadCardProfile));
      if (source !== undefined && profiles.length === 0) {
        throw new Fault('argument-invalid', '--keys opens nothing without --profile');
      }
      const trace = parseTrace(await readTextFile(file), file);
      const told = await withKeys(source, (keys) => tell(trace, keys, profiles));
      output.result(
        { ...trace, exchanges: told.map((one) => inLanguage(one, language)) },
        [
          headerText(trace, language),
          ...told.map((one) => exchangeText(one, language)),
          outcomeText(trace, language),
        ].join('\n\n'),
      );
    });
}

async function tell(
  { exchanges }: CardTrace,
  keys: KeyDerivation | undefined,
  profiles: readonly CardProfile[],
): Promise<readonly ToldExchange[]> {
  const opener = keys && new TraceOpener({ profiles, cardKeys: (request) => keys.cardKeys(request) });
  const explainer = new TraceExplainer();
  const told: ToldExchange[] = [];
  try {
    for (const exchange of exchanges) {
      const opened = await opener?.open(exchange);
      told.push({ exchange, explained: explainer.explain(exchange), ...(opened && { opened }) });
    }
    return told;
  } finally {
    opener?.close();
  }
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
    session: {
      fit: '鍵が合い、セッション鍵を復元した',
      'do-not-fit': 'この鍵では開けない（鍵・鍵バージョン・プロファイルのいずれかが異なる）',
      'not-recorded': '伏せ字のため開けない（--keep-protectedで記録し直す）',
    },
    mac: { right: 'MAC正', wrong: 'MAC誤', unverifiable: 'MAC検証不可（伏せ字を含む）', none: 'MACなし' },
    opened: '復号',
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
    session: {
      fit: 'the keys fit: the session keys have been recovered',
      'do-not-fit': 'these keys do not open it (key, key version or profile differ)',
      'not-recorded': 'masked, so that no key opens it (record with --keep-protected)',
    },
    mac: {
      right: 'MAC right',
      wrong: 'MAC wrong',
      unverifiable: 'MAC not verifiable (something is masked)',
      none: 'no MAC',
    },
    opened: 'opened',
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

function exchangeText({ exchange, explained, opened }: ToldExchange, language: Language): string {
  const said = words[language];
  const { command, response } = explained;
  const milliseconds = (us: number): string => (us / 1_000).toFixed(1);
  const lines = [
    `#${exchange.number}  +${milliseconds(exchange.atUs)} ms, ${milliseconds(exchange.tookUs)} ms`,
    `  > ${exchange.command}`,
    `    ${command.words[language]}${command.protection ? ` [${command.protection[language]}]` : ''}`,
    ...fields(command, language),
    ...openedText(opened?.kind === 'messages' ? opened.command : undefined, language),
  ];
  if (!response) return [...lines, `  < ${said.noResponse}: ${exchange.fault ?? ''}`].join('\n');
  lines.push(`  < ${exchange.response ?? ''}`, ...fields(response, language));
  if (response.status) lines.push(`    ${response.status} ${response.words?.[language] ?? said.unknown}`);
  if (opened?.kind === 'session') lines.push(`    = ${said.session[opened.keys]}`);
  lines.push(...openedText(opened?.kind === 'messages' ? opened.response : undefined, language));
  return lines.join('\n');
}

function openedText(message: OpenedMessage | undefined, language: Language): string[] {
  if (!message) return [];
  const { mac, opened } = words[language];
  return [`    = ${mac[message.mac]}${message.data === undefined ? '' : `; ${opened}: ${message.data}`}`];
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
function inLanguage(
  { exchange, explained: { command, response }, opened }: ToldExchange,
  language: Language,
) {
  const named = (objects: readonly ExplainedObject[]) =>
    objects.map((object) => ({ ...object, name: object.name[language] }));
  return {
    ...exchange,
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
    opened,
  };
}
