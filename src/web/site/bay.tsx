import { Button } from 'react-aria-components';
import type { CardView, DoorView, PadKey, ReaderView, VisitorAction } from './api.ts';
import { DoorScene } from './door-scene.tsx';
import { Icon } from './icons.tsx';
import { useWords } from './language.tsx';
import { PinPad } from './pin-pad.tsx';
import { Reader } from './reader.tsx';
import type { TextKey } from './texts.ts';
import { Verdict } from './verdict.tsx';

interface BayProps {
  readonly door: DoorView;
  readonly reader: ReaderView;
  /** the card held over this reader */
  readonly card: CardView | null;
  /** `cardId` undefined: the card chosen in the deck */
  readonly onHold: (cardId?: string) => void;
  readonly onTake: (cardId: string) => void;
  readonly onKey: (key: PadKey) => void;
  readonly onVisit: (action: VisitorAction) => void;
}

/** One door with its reader: what a person standing there sees, and what that person can do. */
export function Bay({ door, reader, card, onHold, onTake, onKey, onVisit }: BayProps) {
  const { pick, t } = useWords();
  const title = pick(door.title);
  const actions: readonly { action: VisitorAction; key: TextKey }[] = [
    { action: 'push', key: 'push' },
    door.held || door.contact === 'open'
      ? { action: 'close', key: 'close' }
      : { action: 'hold', key: 'hold' },
    { action: 'force', key: 'force' },
    { action: 'exit', key: 'exit' },
  ];
  return (
    <article className="bay" aria-labelledby={`door-${door.doorId}`} data-alarm={door.alarm}>
      <header className="bay-head">
        <div>
          <h2 id={`door-${door.doorId}`}>{title}</h2>
          <p className="bay-demand">{pick(door.demand)}</p>
        </div>
        <DoorState door={door} />
      </header>
      <div className="stage">
        <DoorScene door={door} />
        <Reader reader={reader} card={card} doorTitle={title} onHold={onHold} onTake={onTake} />
      </div>
      <Verdict reader={reader} doorTitle={title} held={card !== null} />
      {reader.pin && <PinPad pin={reader.pin} doorTitle={title} onKey={onKey} />}
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset would draw and read as a form */}
      <div className="visitor" role="group" aria-label={`${t('atTheDoor')}: ${title}`}>
        {actions.map(({ action, key }) => (
          <Button key={key} className="plain" onPress={() => onVisit(action)}>
            {t(key)}
          </Button>
        ))}
      </div>
    </article>
  );
}

function DoorState({ door }: { readonly door: DoorView }) {
  const { t } = useWords();
  return (
    <div className="chips" aria-live="polite">
      <span className="chip" data-strike={door.strike}>
        <Icon name={door.strike === 'locked' ? 'lock' : 'unlock'} /> {t(door.strike)}
      </span>
      <span className="chip" data-contact={door.contact}>
        <Icon name="door" /> {t(door.contact)}
      </span>
      {door.alarm !== 'none' && (
        <span className="chip" data-alarm={door.alarm}>
          <Icon name="alarm" /> {t(door.alarm === 'forced-open' ? 'forcedOpen' : 'heldOpen')}
        </span>
      )}
    </div>
  );
}
