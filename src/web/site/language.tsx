import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from 'react';
import type { Language, Text } from '#core/texts/language.ts';
import { type TextKey, texts } from './texts.ts';

const storageKey = 'kazasu.language';

export interface Words {
  readonly language: Language;
  readonly choose: (language: Language) => void;
  readonly t: (key: TextKey) => string;
  readonly pick: (text: Text) => string;
}

const WordsContext = createContext<Words | null>(null);

/** The visitor's last choice, else the first language of the browser that the page has. */
function firstLanguage(): Language {
  const stored = localStorage.getItem(storageKey);
  if (stored === 'ja' || stored === 'en') return stored;
  for (const tag of navigator.languages) {
    if (tag.startsWith('ja')) return 'ja';
    if (tag.startsWith('en')) return 'en';
  }
  return 'en';
}

export function LanguageProvider({ children }: { readonly children: ReactNode }) {
  const [language, setLanguage] = useState(firstLanguage);
  useEffect(() => {
    document.documentElement.lang = language;
    document.title = language === 'ja' ? 'Kazasu かざす' : 'Kazasu';
  }, [language]);
  const words = useMemo<Words>(
    () => ({
      language,
      choose: (chosen) => {
        localStorage.setItem(storageKey, chosen);
        setLanguage(chosen);
      },
      t: (key) => texts[key][language],
      pick: (text) => text[language],
    }),
    [language],
  );
  return <WordsContext value={words}>{children}</WordsContext>;
}

export function useWords(): Words {
  const words = useContext(WordsContext);
  if (!words) throw new Error('useWords outside LanguageProvider');
  return words;
}
