import type { Logger } from 'pino';
import type { AccessMethod } from '#core/card/reading.ts';
import type { JournalHead } from '#core/journal/record.ts';
import type { Text } from '#core/texts/language.ts';
import type { Clock } from '#ports/clock.ts';
import type { TimingSettings } from '#terminal/timing-watch.ts';
import type {
  JournalEntryView,
  LinkView,
  PadKey,
  RuleSet,
  RulesView,
  VerificationView,
} from '#web/site/api.ts';

/** A door of the plan with its one reader. */
export interface DoorPlan {
  readonly doorId: string;
  readonly readerId: string;
  /** name of the reader in the card stack */
  readonly deviceName: string;
  readonly title: Text;
  readonly demand: Text;
  /** absent: how long cards take to authenticate is not watched there */
  readonly timing?: TimingSettings;
}

/** A card of the deck as the page shows it. */
export interface DeckCard {
  readonly cardId: string;
  readonly title: Text;
  readonly note: Text;
  readonly methods: readonly AccessMethod[];
  readonly pin?: string;
  readonly hue: number;
}

/** Puts virtual cards into the fields of readers. */
export interface CardField {
  /** Brings the card into the reader's field; `left` runs when it leaves other than by `take`. */
  put(cardId: string, readerId: string, left: () => void): void;
  take(readerId: string): void;
}

/** A person at a door. Whether a push opens it is up to the strike. */
export interface DoorPerson {
  push(): void;
  holdOpen(): void;
  force(): void;
  letClose(): void;
  pressExit(): void;
}

/** The keys of a pin pad; what they do is the pad's. */
export interface PadKeys {
  press(key: PadKey): void;
}

export interface RuleSwitch {
  current(): RulesView;
  install(rules: RuleSet): Promise<RulesView>;
}

/** An entry as the journal of its terminal has it. */
export type StoredEntryView = Omit<JournalEntryView, 'terminal' | 'position'>;

/** The journal of one terminal; entries by their sequence. */
export interface TerminalJournal {
  /** 0 where there is none yet */
  newest(): Promise<number>;
  /** entries behind `sequence`, oldest first */
  after(sequence: number, limit: number): Promise<readonly StoredEntryView[]>;
  /** the last entries before `sequence`, oldest first */
  before(sequence: number, limit: number): Promise<readonly StoredEntryView[]>;
  verify(): Promise<VerificationView>;
}

/** The journals of the building as one list; entries by their position in it. */
export interface JournalPages {
  /** Where the newest entry is, after a terminal's journal has grown to `head`. */
  position(head: Pick<JournalHead, 'terminal' | 'sequence'>): number;
  /** entries behind `position`, oldest first */
  after(position: number, limit: number): Promise<readonly JournalEntryView[]>;
  /** the last entries before `position`, oldest first */
  before(position: number | undefined, limit: number): Promise<readonly JournalEntryView[]>;
  verify(): Promise<VerificationView>;
}

/** All that the building joins; `site.ts` makes them from the real stack. */
export interface SiteBuildingParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly timeZone: string;
  readonly link: LinkView;
  readonly plan: readonly DoorPlan[];
  readonly cards: readonly DeckCard[];
  /** length of a PIN, in digits */
  readonly pinDigits: { readonly minimumDigits: number; readonly maximumDigits: number };
  readonly field: CardField;
  /** by door id */
  readonly people: ReadonlyMap<string, DoorPerson>;
  /** by reader id */
  readonly pads: ReadonlyMap<string, PadKeys>;
  readonly rules: RuleSwitch;
  readonly journal: JournalPages;
  /** Puts the PIN counters of all cards back as shipped. */
  readonly resetCards: () => Promise<void>;
}
