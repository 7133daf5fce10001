import type {
  JournalEntryView,
  PadKey,
  RuleSet,
  SiteEvent,
  Snapshot,
  VerificationView,
  VisitorAction,
} from '#web/site/api.ts';

/** Why something asked for was not done; the server turns each into a problem document. */
export type Refusal = 'unknown' | 'occupied' | 'not-asked' | 'busy';
export type Attempt = 'done' | Refusal;

/** The simulated building as the server sees it: views, and what a visitor can do. */
export interface Building {
  snapshot(): Snapshot;
  /** Calls `listener` with each change from now on; returns what ends that. */
  subscribe(listener: (event: SiteEvent) => void): () => void;
  /** Holds a card of the deck over a reader: `occupied` while another lies there. */
  hold(cardId: string, readerId: string): Attempt;
  /** Takes a card back into the deck. */
  take(cardId: string): Attempt;
  /** A key of the on-screen PIN pad: `not-asked` while no PIN is wanted there. */
  pressKey(readerId: string, key: PadKey): Attempt;
  visit(doorId: string, action: VisitorAction): Promise<Attempt>;
  /** Installs one of the shipped rule files through the real policy import. */
  installRules(rules: RuleSet): Promise<Attempt>;
  /** Puts every card back as shipped: PIN counters, places. */
  resetDeck(): Promise<Attempt>;
  entries(before: number | undefined, limit: number): Promise<readonly JournalEntryView[]>;
  verifyJournal(): Promise<VerificationView>;
}
