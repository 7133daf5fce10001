import { denialReasons } from '#core/access/decision.ts';
import { type AccessMethod, accessMethods } from '#core/card/reading.ts';
import { commandEntryTexts } from '#core/texts/commands.ts';
import { reasonText } from '#core/texts/decisions.ts';
import type { Language, Text } from '#core/texts/language.ts';
import type { JournalEntryView, Snapshot } from './api.ts';
import type { IconName } from './icons.tsx';
import { methodNames } from './texts.ts';

type Tone = 'good' | 'bad' | 'warn' | 'plain';

export interface EntryWords {
  readonly icon: IconName;
  readonly tone: Tone;
  readonly words: string;
}

type Said = { readonly text: Text; readonly icon?: IconName; readonly tone?: Tone };

const kinds: { readonly [kind: string]: { readonly text: Text; readonly icon: IconName } } = {
  decision: { text: { ja: '判定', en: 'Decision' }, icon: 'reader' },
  actuation: { text: { ja: '動作', en: 'Actuation' }, icon: 'unlock' },
  door: { text: { ja: '扉', en: 'Door' }, icon: 'door' },
  reader: { text: { ja: 'リーダー', en: 'Reader' }, icon: 'waves' },
  terminal: { text: { ja: '端末', en: 'Terminal' }, icon: 'terminal' },
  policy: { text: { ja: '許可', en: 'Policy' }, icon: 'policy' },
  clock: { text: { ja: '時計', en: 'Clock' }, icon: 'clock' },
  alarm: { text: { ja: '警報', en: 'Alarm' }, icon: 'alarm' },
  automation: { text: { ja: '入出力', en: 'Inputs and outputs' }, icon: 'terminal' },
  timing: { text: { ja: '応答時間', en: 'Answer time' }, icon: 'clock' },
  command: { text: { ja: '指示', en: 'Command' }, icon: 'terminal' },
};

/** by `kind/what`, where what is the result, event, alarm or state that the body names */
const sayings: { readonly [key: string]: Said } = {
  'decision/granted': { text: { ja: '許可', en: 'Granted' }, icon: 'check', tone: 'good' },
  'decision/hold-again': {
    text: { ja: '読取り中断（もう一度）', en: 'Card left too early' },
    icon: 'again',
    tone: 'warn',
  },
  'actuation/unlocked': { text: { ja: '解錠した', en: 'Strike unlocked' }, icon: 'unlock', tone: 'good' },
  'actuation/not-opened': {
    text: { ja: '解錠しなかった', en: 'Strike not moved' },
    icon: 'lock',
    tone: 'warn',
  },
  'actuation/locked': { text: { ja: '開放を終了', en: 'Ended being held unlocked' }, icon: 'lock' },
  'actuation/failed': { text: { ja: '解錠に失敗', en: 'Strike failed' }, icon: 'alarm', tone: 'bad' },
  'door/opened': { text: { ja: '開いた', en: 'Opened' } },
  'door/open-at-start': { text: { ja: '開始時に開いていた', en: 'Open at start' }, tone: 'warn' },
  'door/closed': { text: { ja: '閉じた', en: 'Closed' } },
  'door/relocked': { text: { ja: '施錠した', en: 'Relocked' }, icon: 'lock' },
  'door/relocked-by-hardware': {
    text: { ja: '機器が施錠した', en: 'Relocked by the hardware' },
    icon: 'lock',
  },
  'door/held-unlocked': { text: { ja: '開放中（解錠を保持）', en: 'Held unlocked' }, icon: 'unlock' },
  'door/hold-ended': { text: { ja: '開放の終了', en: 'No longer held unlocked' }, icon: 'lock' },
  'door/lockdown': { text: { ja: '閉鎖（ロックダウン）', en: 'Lockdown' }, icon: 'lock', tone: 'warn' },
  'door/lockdown-ended': { text: { ja: '閉鎖の解除', en: 'Lockdown ended' } },
  'door/passed': { text: { ja: '通過した', en: 'Passed' } },
  'door/tailgated': {
    text: { ja: '許可のない通過', en: 'Passed without a grant' },
    icon: 'alarm',
    tone: 'bad',
  },
  'door/obstructed': { text: { ja: 'ゲートが閉じられない', en: 'Gate kept from closing' }, tone: 'warn' },
  'door/obstructed-ended': { text: { ja: 'ゲートの障害物なし', en: 'Gate free again' } },
  'door/unlocked-unexpectedly': { text: { ja: '予期しない解錠', en: 'Unlocked unexpectedly' }, tone: 'bad' },
  'door/granted-not-opened': { text: { ja: '許可後、扉は開かなかった', en: 'Granted, not opened' } },
  'door/exit-request': { text: { ja: '退室ボタン', en: 'Exit button' }, icon: 'unlock' },
  'door/forced-open': { text: { ja: 'こじ開け', en: 'Forced open' }, icon: 'alarm', tone: 'bad' },
  'door/forced-open-ended': { text: { ja: 'こじ開けの終了', en: 'Forced opening ended' } },
  'door/held-open-pre-alarm': { text: { ja: '開け放しの予告', en: 'Held-open warning' }, tone: 'warn' },
  'door/held-open': { text: { ja: '開け放し', en: 'Held open' }, icon: 'alarm', tone: 'warn' },
  'door/held-open-ended': { text: { ja: '開け放しの終了', en: 'Holding open ended' } },
  'door/fault': { text: { ja: '機器の障害', en: 'Hardware fault' }, tone: 'bad' },
  'door/recovered': { text: { ja: '機器の復旧', en: 'Hardware recovered' } },
  'alarm/forced-open': { text: { ja: 'こじ開け警報', en: 'Forced-open alarm' }, tone: 'bad' },
  'alarm/keys-erased': { text: { ja: '鍵を消去', en: 'Keys erased' }, tone: 'bad' },
  'alarm/keys-not-erased': { text: { ja: '鍵の消去に失敗', en: 'Keys not erased' }, tone: 'bad' },
  'alarm/tailgated': { text: { ja: '許可のない通過の警報', en: 'Tailgating alarm' }, tone: 'bad' },
  'alarm/obstructed': { text: { ja: 'ゲート障害物の警報', en: 'Gate obstruction alarm' }, tone: 'warn' },
  'alarm/policy-ageing': {
    text: { ja: '許可が長く更新されていない', en: 'Policy ageing unconfirmed' },
    tone: 'warn',
  },
  'alarm/policy-lacks': {
    text: { ja: '設定にある名前が許可にない', en: 'Policy lacks names of the configuration' },
    tone: 'warn',
  },
  'alarm/held-open': { text: { ja: '開け放し警報', en: 'Held-open alarm' }, tone: 'warn' },
  'alarm/held-open-pre-alarm': { text: { ja: '開け放し予告', en: 'Held-open warning' }, tone: 'warn' },
  'reader/ready': { text: { ja: 'リーダー使用可', en: 'Reader ready' } },
  'reader/absent': { text: { ja: 'リーダーなし', en: 'Reader absent' }, tone: 'warn' },
  'reader/faulty': { text: { ja: 'リーダー障害', en: 'Reader faulty' }, tone: 'bad' },
  'terminal/started': { text: { ja: '開始', en: 'Started' } },
  'terminal/stopped': { text: { ja: '停止', en: 'Stopped' } },
  'timing/unusual': {
    text: { ja: '認証の応答が異常に遅い', en: 'Unusually slow authentication' },
    tone: 'warn',
  },
  'timing/deadline-exceeded': {
    text: { ja: '読取りが制限時間を超えた', en: 'Reading took longer than its deadline' },
    tone: 'warn',
  },
  'clock/stepped-back': { text: { ja: '時刻が戻った', en: 'Clock stepped back' }, tone: 'warn' },
  'clock/stepped-forward': { text: { ja: '時刻が進んだ', en: 'Clock stepped ahead' }, tone: 'warn' },
};

const alarmStates = { on: { ja: '発生', en: 'on' }, off: { ja: '解除', en: 'off' } } satisfies Record<
  string,
  Text
>;

/** The words of one entry; a kind or event that the page does not know keeps its own name. */
export function describe(entry: JournalEntryView, language: Language, site: Snapshot): EntryWords {
  const { kind, body } = entry;
  const what = body.result ?? body.event ?? body.alarm ?? body.state;
  const said = typeof what === 'string' ? sayings[`${kind}/${what}`] : undefined;
  const reason = denialReasons.find((candidate) => candidate === body.reason);
  const denied = kind === 'decision' && body.result === 'denied';
  const parts = [
    placeOf(entry, language, site) || (kinds[kind]?.text[language] ?? kind),
    denied ? deniedWords(language) : (said?.text[language] ?? (typeof what === 'string' ? what : '')),
    reason ? reasonText(reason, language, 'operator') : '',
    methodOf(body.card),
    ...(kind === 'command' ? commandEntryTexts(body, language) : []),
    kind === 'alarm' && typeof body.on === 'boolean' ? alarmStates[body.on ? 'on' : 'off'][language] : '',
  ];
  const ended = kind === 'alarm' && body.on === false;
  return {
    icon: denied ? 'cross' : (said?.icon ?? kinds[kind]?.icon ?? 'dots'),
    tone: denied ? 'bad' : ended ? 'plain' : (said?.tone ?? 'plain'),
    words: parts.filter((part) => part !== '').join(' · '),
  };
}

/** How the card was read, as a decision's entry tells it. */
function methodOf(card: JournalEntryView['body'][string] | undefined): string {
  if (typeof card !== 'object' || card === null || !('method' in card)) return '';
  return accessMethods.includes(card.method as AccessMethod) ? methodNames[card.method as AccessMethod] : '';
}

function deniedWords(language: Language): string {
  return language === 'ja' ? '拒否' : 'Denied';
}

/** The door an entry is about; a reader's entry names the reader as the card stack does. */
function placeOf({ body }: JournalEntryView, language: Language, site: Snapshot): string {
  const doorId = body.door ?? site.readers.find((reader) => reader.deviceName === body.reader)?.doorId;
  return site.doors.find((door) => door.doorId === doorId)?.title[language] ?? '';
}
