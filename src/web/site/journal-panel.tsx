import { useState } from 'react';
import { Button } from 'react-aria-components';
import type { JournalEntryView, Snapshot, VerificationView } from './api.ts';
import { ask, read } from './connection.ts';
import { Icon } from './icons.tsx';
import { describe } from './journal-words.ts';
import { useWords } from './language.tsx';

interface JournalPanelProps {
  readonly site: Snapshot;
  readonly onOlder: (entries: readonly JournalEntryView[]) => void;
}

/** The journal as it grows, newest on top, and the real verification of all of it. */
export function JournalPanel({ site, onOlder }: JournalPanelProps) {
  const { t, language } = useWords();
  const { journal: entries, timeZone } = site;
  const time = new Intl.DateTimeFormat(language, { timeZone, timeStyle: 'medium' });
  return (
    <section className="journal" aria-labelledby="journal-title">
      <header className="panel-head">
        <div>
          <h2 id="journal-title">{t('journal')}</h2>
          <p>{t('journalHint')}</p>
        </div>
      </header>
      <Verification />
      {entries.length === 0 && <p className="journal-empty">{t('journalEmpty')}</p>}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard */}
      <ol className="entries" tabIndex={0} aria-labelledby="journal-title">
        {entries.toReversed().map((entry) => {
          const { icon, tone, words } = describe(entry, language, site);
          return (
            <li key={entry.position} className="entry" data-tone={tone}>
              <span className="entry-sign">
                <Icon name={icon} />
              </span>
              <span className="entry-words">{words}</span>
              <span className="entry-meta">
                <span>
                  {entry.terminal} #{entry.sequence}
                </span>
                <time dateTime={new Date(entry.atMs).toISOString()}>{time.format(entry.atMs)}</time>
                <code title={entry.hash}>{entry.hash.slice(0, 10).toLowerCase()}</code>
              </span>
            </li>
          );
        })}
      </ol>
      <Older first={entries[0]?.position ?? 1} onOlder={onOlder} />
    </section>
  );
}

function Older({
  first,
  onOlder,
}: {
  readonly first: number;
  readonly onOlder: JournalPanelProps['onOlder'];
}) {
  const { t } = useWords();
  if (first <= 1) return null;
  const load = async () => {
    const answer = await read<readonly JournalEntryView[]>(`/api/journal?before=${first}&limit=100`);
    if (answer.ok) onOlder(answer.value);
  };
  return (
    <Button className="plain" onPress={() => void load()}>
      {t('older')}
    </Button>
  );
}

function Verification() {
  const { t } = useWords();
  const [result, setResult] = useState<VerificationView | 'running' | 'failed' | null>(null);
  const verify = async () => {
    setResult('running');
    const answer = await ask<VerificationView>('/api/journal/verify');
    setResult(answer.ok ? answer.value : 'failed');
  };
  return (
    <div className="verification">
      <Button className="primary" isDisabled={result === 'running'} onPress={() => void verify()}>
        <Icon name="policy" /> {t('verify')}
      </Button>
      <p role="status" data-sound={typeof result === 'object' && result ? result.sound : undefined}>
        {result === 'running' && t('verifying')}
        {result === 'failed' && t('refused')}
        {typeof result === 'object' && result && <Result result={result} />}
      </p>
    </div>
  );
}

function Result({ result }: { readonly result: VerificationView }) {
  const { t } = useWords();
  return (
    <>
      <strong>
        <Icon name={result.sound ? 'check' : 'cross'} /> {t(result.sound ? 'sound' : 'broken')}
      </strong>{' '}
      {result.entries} {t('entries')}
      {result.signedThrough > 0 && ` · ${t('signedThrough')} ${result.signedThrough}`} · {result.tookMs} ms
      {result.problems.map((problem) => (
        <span key={problem} className="verification-problem">
          {problem}
        </span>
      ))}
    </>
  );
}
