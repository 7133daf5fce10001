import type { CardView } from './api.ts';
import { useWords } from './language.tsx';
import { methodNames } from './texts.ts';

/** A card as printed: the names of its card applications, its title, and the PIN of a toy. */
export function CardFace({ card }: { readonly card: CardView }) {
  const { pick, t } = useWords();
  return (
    <div className="card" style={{ '--hue': card.hue } as React.CSSProperties}>
      <span className="card-chip" aria-hidden="true" />
      <span className="card-methods">
        {card.methods.map((method) => (
          <span key={method}>{methodNames[method]}</span>
        ))}
      </span>
      <span className="card-title">{pick(card.title)}</span>
      {card.pin && (
        <span className="card-pin">
          {t('pin')} {card.pin}
        </span>
      )}
    </div>
  );
}
