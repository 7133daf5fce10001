import { type Dispatch, useReducer, useState } from 'react';
import type { RuleSet, Snapshot } from './api.ts';
import { Bay } from './bay.tsx';
import { ask, useSiteEvents } from './connection.ts';
import { Deck } from './deck.tsx';
import { JournalPanel } from './journal-panel.tsx';
import { LanguageProvider, useWords } from './language.tsx';
import { initialState, next, type PageInput } from './state.ts';
import { TopBar } from './top-bar.tsx';

export function App() {
  return (
    <LanguageProvider>
      <SitePage />
    </LanguageProvider>
  );
}

function SitePage() {
  const [state, dispatch] = useReducer(next, initialState);
  const { t } = useWords();
  useSiteEvents(dispatch);
  return (
    <>
      <a className="skip" href="#deck">
        {t('skip')}
      </a>
      <TopBar link={state.site?.link ?? null} connection={state.connection} />
      {state.site ? (
        <SiteBody site={state.site} dispatch={dispatch} />
      ) : (
        <main className="waiting">{t('connecting')}</main>
      )}
    </>
  );
}

interface SiteBodyProps {
  readonly site: Snapshot;
  readonly dispatch: Dispatch<PageInput>;
}

function SiteBody({ site, dispatch }: SiteBodyProps) {
  const { t } = useWords();
  const [chosen, setChosen] = useState(site.cards[0]?.cardId ?? '');
  const [remark, setRemark] = useState('');

  const act = async (path: string, body: object = {}, done = '') => {
    const answer = await ask(path, body);
    setRemark(answer.ok ? done : `${t('refused')}: ${answer.problem.title}`);
  };
  const hold = (cardId: string, readerId: string) => {
    setChosen(cardId);
    void act(`/api/cards/${cardId}/hold`, { readerId });
  };
  return (
    <main className="page">
      <h1 className="visually-hidden">Kazasu</h1>
      <section className="bays" aria-label={t('building')}>
        {site.doors.map((door) => {
          const reader = site.readers.find((candidate) => candidate.doorId === door.doorId);
          if (!reader) return null;
          return (
            <Bay
              key={door.doorId}
              door={door}
              reader={reader}
              card={site.cards.find((card) => card.readerId === reader.readerId) ?? null}
              onHold={(cardId) => hold(cardId ?? chosen, reader.readerId)}
              onTake={(cardId) => void act(`/api/cards/${cardId}/take`)}
              onKey={(key) => void act(`/api/readers/${reader.readerId}/keys`, { key })}
              onVisit={(action) => void act(`/api/doors/${door.doorId}/visit`, { action })}
            />
          );
        })}
      </section>
      <Deck
        site={site}
        chosen={chosen}
        onChoose={setChosen}
        onHold={hold}
        onReset={() => void act('/api/deck/reset', {}, t('resetDone'))}
        onRules={(rules: RuleSet) => void act('/api/rules', { rules })}
        remark={remark}
      />
      <JournalPanel site={site} onOlder={(entries) => dispatch({ kind: 'older', entries })} />
    </main>
  );
}
