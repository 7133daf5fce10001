import type { Decision } from '#core/access/decision.ts';
import type { CardOutcome } from '#core/card/reading.ts';
import type { JournalHead } from '#core/journal/record.ts';
import type { ReaderStatus } from '#ports/card-reader.ts';
import type { Indication } from '#ports/indicator.ts';

/** What an observer (the site's page, health, tests) may watch; user numbers never pass here. */
export type TerminalEvent =
  | {
      readonly kind: 'tap';
      readonly tapId: string;
      readonly readerId: string;
      readonly doorId: string;
      readonly outcome: CardOutcome['kind'];
      readonly decision?: Decision;
    }
  | {
      readonly kind: 'door';
      readonly doorId: string;
      readonly floor?: string;
      readonly state: string;
      readonly locked: boolean;
    }
  | { readonly kind: 'indication'; readonly readerId: string; readonly indication: Indication }
  | { readonly kind: 'reader'; readonly status: ReaderStatus }
  | { readonly kind: 'journal'; readonly head: JournalHead };
