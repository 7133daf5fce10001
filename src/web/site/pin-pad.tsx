import { useEffect, useRef } from 'react';
import { Button } from 'react-aria-components';
import type { PadKey, PinView } from './api.ts';
import { useWords } from './language.tsx';

const layout: readonly PadKey[] = ['1', '2', '3', '4', '5', '6', '7', '8', '9', 'cancel', '0', 'enter'];
const keyOf: { readonly [key: string]: PadKey } = { Escape: 'cancel', Backspace: 'cancel' };

interface PinPadProps {
  readonly pin: PinView;
  readonly doorTitle: string;
  readonly onKey: (key: PadKey) => void;
}

/** The pin pad at the door. Digits go to the site one by one and are never shown: only how many there are. */
export function PinPad({ pin, doorTitle, onKey }: PinPadProps) {
  const { t } = useWords();
  const pad = useRef<HTMLDivElement>(null);
  useEffect(() => pad.current?.focus({ preventScroll: false }), []);
  const name = (key: PadKey) => (key === 'enter' ? t('enter') : key === 'cancel' ? t('cancel') : key);
  return (
    // biome-ignore lint/a11y/useSemanticElements: not a form: keys act one by one
    <div
      ref={pad}
      className="pad"
      role="group"
      tabIndex={-1}
      aria-label={`${t('pinTitle')}: ${doorTitle}`}
      onKeyDown={(event) => {
        // Enter on a key presses that key; elsewhere in the pad it confirms
        const onPad = event.target === pad.current;
        const key = /^\d$/.test(event.key)
          ? (event.key as PadKey)
          : (keyOf[event.key] ?? (onPad && event.key === 'Enter' ? 'enter' : null));
        if (!key) return;
        event.preventDefault();
        onKey(key);
      }}
    >
      <p className="pad-dots" role="status">
        <span className="visually-hidden">
          {pin.entered} {t('pinEntered')}
        </span>
        {Array.from({ length: Math.max(pin.minimumDigits, pin.entered) }, (_, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: dots have no identity but their place
          <span key={at} className="pad-dot" data-filled={at < pin.entered} aria-hidden="true" />
        ))}
      </p>
      <div className="pad-keys">
        {layout.map((key) => (
          <Button key={key} className="pad-key" data-key={key} onPress={() => onKey(key)}>
            {name(key)}
          </Button>
        ))}
      </div>
    </div>
  );
}
