import { denialReasons } from '#core/access/decision.ts';
import { denialText } from '#core/texts/decisions.ts';
import type { Language, Text } from '#core/texts/language.ts';
import type { JournalEntryView, Snapshot } from './api.ts';
import type { IconName } from './icons.tsx';

export type Tone = 'good' | 'bad' | 'warn' | 'plain';

export interface EntryWords {
  readonly icon: IconName;
  readonly tone: Tone;
  readonly words: string;
}

const icons: { readonly [kind: string]: IconName } = {
  decision: 'reader',
  actuation: 'unlock',
  door: 'door',
  reader: 'waves',
  terminal: 'terminal',
  policy: 'policy',
  clock: 'clock',
  alarm: 'alarm',
};

const kinds: { readonly [kind: string]: Text } = {
  decision: { ja: '判定', en: 'Decision' },
  actuation: { ja: '動作', en: 'Actuation' },
  door: { ja: '扉', en: 'Door' },
  reader: { ja: 'リーダー', en: 'Reader' },
  terminal: { ja: '端末', en: 'Terminal' },
  policy: { ja: '許可', en: 'Policy' },
  clock: { ja: '時計', en: 'Clock' },
  alarm: { ja: '警報', en: 'Alarm' },
};

/** The words of one entry; a kind or event that the page does not know keeps its own name. */
export function describe(entry: JournalEntryView, language: Language, site: Snapshot): EntryWords {
  const icon = icons[entry.kind] ?? 'dots';
  const kind = kinds[entry.kind]?.[language] ?? entry.kind;
  const place = placeOf(entry, language, site);
  return { icon, tone: 'plain', words: [kind, place].filter(Boolean).join(' · ') };
}

function placeOf(entry: JournalEntryView, language: Language, site: Snapshot): string {
  const door = site.doors.find((candidate) => candidate.doorId === entry.body.doorId);
  return door?.title[language] ?? '';
}

export function reasonWords(reason: unknown, language: Language): string {
  const known = denialReasons.find((candidate) => candidate === reason);
  return known ? denialText(known, language, 'operator') : String(reason);
}
