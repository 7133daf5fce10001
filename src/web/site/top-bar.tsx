import { ToggleButton, ToggleButtonGroup } from 'react-aria-components';
import type { Language } from '#core/texts/language.ts';
import type { LinkView } from './api.ts';
import { Icon } from './icons.tsx';
import { useWords } from './language.tsx';
import type { PageState } from './state.ts';
import type { TextKey } from './texts.ts';

interface TopBarProps {
  readonly link: LinkView | null;
  readonly connection: PageState['connection'];
}

function linkText(link: LinkView): TextKey {
  if (link.kind === 'direct') return 'linkDirect';
  return link.service === 'started' ? 'linkPcscStarted' : 'linkPcscFound';
}

export function TopBar({ link, connection }: TopBarProps) {
  const { t, language, choose } = useWords();
  return (
    <header className="top">
      <div className="brand">
        <span className="brand-mark">
          <Icon name="reader" />
        </span>
        <div>
          <p className="brand-name">
            Kazasu <span lang="ja">かざす</span>
          </p>
          <p className="brand-line">{t('tagline')}</p>
        </div>
      </div>
      <div className="top-side">
        {link && (
          <span className="badge" data-link={link.kind}>
            <Icon name="reader" /> {t(linkText(link))}
          </span>
        )}
        <span className="badge" data-connection={connection} role="status">
          <span className="pulse" aria-hidden="true" /> {t(connection)}
        </span>
        <ToggleButtonGroup
          className="segments"
          aria-label={t('language')}
          selectionMode="single"
          disallowEmptySelection
          selectedKeys={[language]}
          onSelectionChange={(keys) => {
            for (const key of keys) choose(key as Language);
          }}
        >
          <ToggleButton id="ja" lang="ja">
            日本語
          </ToggleButton>
          <ToggleButton id="en" lang="en">
            English
          </ToggleButton>
        </ToggleButtonGroup>
      </div>
    </header>
  );
}
