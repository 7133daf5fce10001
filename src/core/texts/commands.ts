import type { JsonValue } from '#core/journal/record.ts';
import type { CommandKind, CommandOutcome } from '#core/sync/command.ts';
import type { Language, Text } from './language.ts';

const kinds: { readonly [kind in CommandKind]: Text } = {
  'unlock-once': { ja: '一回解錠', en: 'Unlock once' },
  hold: { ja: '開放', en: 'Hold unlocked' },
  resume: { ja: '通常運転に戻す', en: 'Back to the schedule' },
  lockdown: { ja: '閉鎖', en: 'Lockdown' },
  'end-lockdown': { ja: '閉鎖の解除', en: 'End the lockdown' },
  evacuation: { ja: '避難', en: 'Evacuation' },
  'end-evacuation': { ja: '避難の解除', en: 'End the evacuation' },
  'end-fire': { ja: '火災の解除', en: 'End the fire' },
  'threat-level': { ja: '警戒レベルの設定', en: 'Set the threat level' },
  'reset-position': { ja: '利用者の居場所の消去', en: 'Forget where a holder is' },
  'reset-zone': { ja: '区域の在室の消去', en: 'Forget who is in a zone' },
  'roll-call': { ja: '点呼', en: 'Roll call' },
  'correct-attendance': { ja: '出退勤の訂正', en: 'Correct attendance' },
  identify: { ja: '機器の所在表示', en: 'Identify' },
  diagnostics: { ja: '診断情報', en: 'Diagnostics' },
  restart: { ja: '再起動', en: 'Restart' },
};

const outcomes: { readonly [outcome in CommandOutcome]: Text } = {
  done: { ja: '実行した', en: 'Done' },
  expired: { ja: '期限切れのため実行しない', en: 'Expired: nothing was done' },
  'time-unknown': {
    ja: '時計が不確かで期限内か分からないため実行しない',
    en: 'The clock is not known to be right and the command may be late: nothing was done',
  },
  replayed: { ja: '受付済みのため再び実行しない', en: 'Taken before: not done again' },
  'other-terminal': { ja: '他の端末宛のため実行しない', en: 'For another terminal: nothing was done' },
  superseded: {
    ja: '後から宣言されたものが有効なため実行しない',
    en: 'What was declared later holds: nothing was done',
  },
  'unknown-door': { ja: 'その扉はない', en: 'There is no such door' },
  'unknown-floor': { ja: 'その階はない', en: 'There is no such floor' },
  'unknown-reader': { ja: 'そのリーダーはない', en: 'There is no such reader' },
  'unknown-zone': { ja: 'その区域はない', en: 'There is no such zone' },
  'unknown-service': { ja: 'そのサービスはない', en: 'There is no such service' },
  'nothing-known': {
    ja: 'この端末はその利用者について何も記憶していない',
    en: 'This terminal remembers nothing of the kind of this holder',
  },
  fire: { ja: '火災のため実行しない', en: 'Refused: fire' },
  evacuation: { ja: '避難のため実行しない', en: 'Refused: evacuation' },
  lockdown: { ja: '閉鎖のため実行しない', en: 'Refused: lockdown' },
  'interlock-busy': {
    ja: 'インターロックの他の扉が開いているため実行しない',
    en: 'Refused: another door of the interlock is not locked and closed',
  },
  tampered: { ja: '筐体が開けられているため実行しない', en: 'Refused: the housing was opened' },
  'time-past': { ja: '時刻が過去または先すぎる', en: 'The moment named has passed, or is too far ahead' },
  'journal-unwritable': {
    ja: 'ログに書き込めないため実行しない',
    en: 'The journal cannot be written: nothing was done',
  },
  'door-failed': { ja: '扉の機器が動作しない', en: 'The door did not obey' },
  busy: { ja: '受付数の上限に達している', en: 'Too many commands: nothing was done' },
  unavailable: { ja: 'この端末ではできない', en: 'Not possible at this terminal' },
  failed: { ja: '障害のため実行できない', en: 'A fault: nothing was done' },
};

export function commandKindText(kind: CommandKind, language: Language): string {
  return kinds[kind][language];
}

export function commandOutcomeText(outcome: CommandOutcome, language: Language): string {
  return outcomes[outcome][language];
}

/** The words of what an entry of the journal tells of a command; names that this version does not know say nothing. */
export function commandEntryTexts(
  { command, outcome }: { readonly [member: string]: JsonValue },
  language: Language,
): readonly string[] {
  const texts: readonly (Text | undefined)[] = [
    isKey(kinds, command) ? kinds[command] : undefined,
    isKey(outcomes, outcome) ? outcomes[outcome] : undefined,
  ];
  return texts.flatMap((text) => text?.[language] ?? []);
}

function isKey<T extends object>(table: T, name: JsonValue | undefined): name is keyof T & string {
  return typeof name === 'string' && Object.hasOwn(table, name);
}
