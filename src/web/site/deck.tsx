import { useRef } from 'react';
import {
  Button,
  GridList,
  GridListItem,
  ToggleButton,
  ToggleButtonGroup,
  useDragAndDrop,
} from 'react-aria-components';
import type { CardView, RuleSet, Snapshot } from './api.ts';
import { CardFace } from './card-face.tsx';
import { useArrival } from './flight.ts';
import { Icon } from './icons.tsx';
import { useWords } from './language.tsx';
import { cardDragType } from './reader.tsx';

interface DeckProps {
  readonly site: Snapshot;
  readonly chosen: string;
  readonly onChoose: (cardId: string) => void;
  readonly onHold: (cardId: string, readerId: string) => void;
  readonly onReset: () => void;
  readonly onRules: (rules: RuleSet) => void;
  readonly remark: string;
}

/** The cards a visitor can pick up, and which rules they meet. */
export function Deck({ site, chosen, onChoose, onHold, onReset, onRules, remark }: DeckProps) {
  const { t, pick } = useWords();
  const { dragAndDropHooks } = useDragAndDrop({
    getItems: (keys) => [...keys].map((key) => ({ [cardDragType]: String(key), 'text/plain': String(key) })),
    getAllowedDropOperations: () => ['move'],
  });
  return (
    <section id="deck" className="deck" aria-labelledby="deck-title">
      <header className="panel-head">
        <div>
          <h2 id="deck-title">{t('deck')}</h2>
          <p>{t('deckHint')}</p>
        </div>
        <Button className="plain" onPress={onReset}>
          {t('resetDeck')}
        </Button>
      </header>
      <Chosen site={site} chosen={chosen} onHold={onHold} />
      <GridList
        className="cards"
        aria-labelledby="deck-title"
        layout="grid"
        keyboardNavigationBehavior="tab"
        items={site.cards}
        dependencies={[site.cards]}
        selectionMode="single"
        disallowEmptySelection
        selectedKeys={[chosen]}
        onSelectionChange={(keys) => {
          if (keys !== 'all') for (const key of keys) onChoose(String(key));
        }}
        dragAndDropHooks={dragAndDropHooks}
      >
        {(card) => (
          <GridListItem id={card.cardId} textValue={pick(card.title)} className="slot">
            <Slot card={card} />
          </GridListItem>
        )}
      </GridList>
      <Rules site={site} onRules={onRules} />
      <p className="remark" role="status">
        {remark}
      </p>
    </section>
  );
}

function Slot({ card }: { readonly card: CardView }) {
  const { t } = useWords();
  const face = useRef<HTMLDivElement>(null);
  const lastReader = useRef<string | null>(null);
  const from = lastReader.current;
  lastReader.current = card.readerId;
  useArrival(face, from && !card.readerId ? `[data-reader="${from}"]` : null, card.readerId ?? 'deck');
  return (
    <div className="slot-place" data-slot={card.cardId} data-away={card.readerId !== null}>
      <div ref={face} className="slot-face">
        <CardFace card={card} />
      </div>
      <Button slot="drag" className="slot-grip">
        <Icon name="grip" />
        <span className="visually-hidden">{t('dragCard')}</span>
      </Button>
    </div>
  );
}

function Chosen({ site, chosen, onHold }: Pick<DeckProps, 'site' | 'chosen' | 'onHold'>) {
  const { t, pick } = useWords();
  const card = site.cards.find((candidate) => candidate.cardId === chosen);
  if (!card) return null;
  return (
    <div className="chosen">
      <p>
        <strong>{pick(card.title)}</strong>
        <span>{pick(card.note)}</span>
      </p>
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset would draw and read as a form */}
      <div className="chosen-targets" role="group" aria-label={t('holdOver')}>
        {site.readers.map((reader) => {
          const door = site.doors.find((candidate) => candidate.doorId === reader.doorId);
          return (
            <Button
              key={reader.readerId}
              className="primary"
              isDisabled={card.readerId !== null || reader.state !== 'ready'}
              onPress={() => onHold(card.cardId, reader.readerId)}
            >
              <Icon name="waves" /> {door ? pick(door.title) : reader.readerId}
            </Button>
          );
        })}
      </div>
    </div>
  );
}

function Rules({ site, onRules }: Pick<DeckProps, 'site' | 'onRules'>) {
  const { t } = useWords();
  return (
    <div className="rules">
      <div>
        <p className="rules-title" id="rules-title">
          {t('rules')}
        </p>
        <p>{t('rulesHint')}</p>
      </div>
      <ToggleButtonGroup
        className="segments"
        aria-labelledby="rules-title"
        selectionMode="single"
        disallowEmptySelection
        selectedKeys={site.rules.rules ? [site.rules.rules] : []}
        onSelectionChange={(keys) => {
          for (const key of keys) onRules(key as RuleSet);
        }}
      >
        <ToggleButton id="schedule">{t('rulesSchedule')}</ToggleButton>
        <ToggleButton id="always">{t('rulesAlways')}</ToggleButton>
        <ToggleButton id="never">{t('rulesNever')}</ToggleButton>
      </ToggleButtonGroup>
      <span className="rules-version">
        {t('policyVersion')} {site.rules.policyVersion}
      </span>
    </div>
  );
}
