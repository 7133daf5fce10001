import { reasonText } from '#core/texts/decisions.ts';
import type { ReaderView, VerdictView } from './api.ts';
import { Icon, type IconName } from './icons.tsx';
import { useWords, type Words } from './language.tsx';

interface Shown {
  readonly kind: string;
  readonly icon: IconName;
  readonly head: string;
  readonly detail: string;
  readonly staff?: string;
}

function ofVerdict(verdict: VerdictView, { t, language }: Words): Shown {
  const staff = verdict.reason && reasonText(verdict.reason, language, 'operator');
  const holder = verdict.reason && reasonText(verdict.reason, language, 'holder');
  switch (verdict.kind) {
    case 'granted':
      return { kind: 'granted', icon: 'check', head: t('granted'), detail: t('grantedDetail') };
    case 'pin-needed':
      return { kind: 'pin-needed', icon: 'keypad', head: t('pinNeeded'), detail: t('pinTitle') };
    case 'hold-again':
      return { kind: 'hold-again', icon: 'again', head: t('holdAgain'), detail: t('holdAgainDetail') };
    case 'waits':
      return { kind: 'hold-again', icon: 'again', head: holder ?? '', detail: '', ...(staff && { staff }) };
    case 'denied':
      return {
        kind: 'denied',
        icon: 'cross',
        head: t('denied'),
        detail: holder ?? '',
        ...(staff && { staff }),
      };
  }
}

function shown(reader: ReaderView, held: boolean, words: Words): Shown {
  const { t } = words;
  if (reader.state !== 'ready')
    return { kind: 'fault', icon: 'alarm', head: t('outOfOrder'), detail: reader.deviceName };
  if (reader.indication === 'reading' || (held && !reader.verdict))
    return { kind: 'reading', icon: 'waves', head: t('reading'), detail: '…' };
  if (reader.verdict) return ofVerdict(reader.verdict, words);
  return { kind: 'idle', icon: 'reader', head: t('reader'), detail: t('waiting') };
}

interface VerdictProps {
  readonly reader: ReaderView;
  readonly doorTitle: string;
  /** whether a card is in the reader's field */
  readonly held: boolean;
}

/** The display at the reader: the decision and its reason, announced as it changes. */
export function Verdict({ reader, doorTitle, held }: VerdictProps) {
  const words = useWords();
  const { kind, icon, head, detail, staff } = shown(reader, held, words);
  return (
    <div className="verdict" data-kind={kind} role="status" aria-atomic="true">
      <span className="verdict-sign">
        <Icon name={icon} />
      </span>
      <div key={`${kind}-${reader.verdict?.tapId}`} className="verdict-words">
        <span className="visually-hidden">{doorTitle}: </span>
        <strong>{head}</strong>
        <span>{detail}</span>
        {staff && (
          <small>
            {words.t('forStaff')}: {staff}
          </small>
        )}
      </div>
    </div>
  );
}
