import { useRef } from 'react';
import { Button, DropZone, isTextDropItem } from 'react-aria-components';
import type { CardView, ReaderView } from './api.ts';
import { CardFace } from './card-face.tsx';
import { useArrival } from './flight.ts';
import { Icon } from './icons.tsx';
import { useWords } from './language.tsx';

/** What a dragged card carries: its id. */
export const cardDragType = 'application/x-kazasu-card';

interface ReaderProps {
  readonly reader: ReaderView;
  readonly card: CardView | null;
  readonly doorTitle: string;
  readonly onHold: (cardId?: string) => void;
  readonly onTake: (cardId: string) => void;
}

/** The reader beside the door: its light shows what the terminal indicates; a card can be dropped on it. */
export function Reader({ reader, card, doorTitle, onHold, onTake }: ReaderProps) {
  const { t } = useWords();
  const name = `${t('reader')}: ${doorTitle}`;
  return (
    <DropZone
      className="reader"
      aria-label={name}
      data-reader={reader.readerId}
      data-indication={reader.indication}
      getDropOperation={(types) => (card || !types.has(cardDragType) ? 'cancel' : 'move')}
      onDrop={async (event) => {
        for (const item of event.items) {
          if (isTextDropItem(item)) onHold(await item.getText(cardDragType));
        }
      }}
    >
      <span className="reader-ring" aria-hidden="true" />
      <span className="reader-waves" aria-hidden="true">
        <Icon name="waves" />
      </span>
      {card && <HeldCard key={card.cardId} card={card} />}
      {card ? (
        <Button
          className="reader-button"
          aria-label={`${t('takeAway')}: ${doorTitle}`}
          onPress={() => onTake(card.cardId)}
        >
          {t('takeAway')}
        </Button>
      ) : (
        <Button
          className="reader-button"
          aria-label={`${t('holdHere')}: ${doorTitle}`}
          isDisabled={reader.state !== 'ready'}
          onPress={() => onHold()}
        >
          {t('holdHere')}
        </Button>
      )}
    </DropZone>
  );
}

function HeldCard({ card }: { readonly card: CardView }) {
  const element = useRef<HTMLDivElement>(null);
  useArrival(element, `[data-slot="${card.cardId}"]`, card.cardId);
  return (
    <div ref={element} className="held">
      <CardFace card={card} />
    </div>
  );
}
