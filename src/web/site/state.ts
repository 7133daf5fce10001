import { apiVersion, type JournalEntryView, type SiteEvent, type Snapshot } from './api.ts';

/** journal entries kept in the page, those asked for included */
const shownEntries = 1_000;

/** What the page knows: nothing before the first snapshot. */
export interface PageState {
  readonly site: Snapshot | null;
  readonly connection: 'connecting' | 'live' | 'lost';
}

export type PageInput =
  | { readonly kind: 'event'; readonly event: SiteEvent }
  /** entries before those shown, oldest first */
  | { readonly kind: 'older'; readonly entries: readonly JournalEntryView[] }
  | { readonly kind: 'connected' }
  | { readonly kind: 'disconnected' };

export const initialState: PageState = { site: null, connection: 'connecting' };

/** The page's state after `input`. */
export function next(state: PageState, input: PageInput): PageState {
  switch (input.kind) {
    case 'connected':
      return { ...state, connection: 'live' };
    case 'disconnected':
      return { ...state, connection: 'lost' };
    case 'older':
      return { ...state, site: state.site && withOlder(state.site, input.entries) };
    case 'event':
      return { ...state, site: apply(state.site, input.event) };
  }
}

function withOlder(site: Snapshot, entries: readonly JournalEntryView[]): Snapshot {
  const first = site.journal[0]?.position ?? Number.POSITIVE_INFINITY;
  const older = entries.filter((entry) => entry.position < first);
  return { ...site, journal: [...older, ...site.journal].slice(-shownEntries) };
}

function apply(site: Snapshot | null, event: SiteEvent): Snapshot | null {
  if (event.type === 'snapshot') return event.snapshot.apiVersion === apiVersion ? event.snapshot : site;
  if (!site) return null;
  switch (event.type) {
    case 'card':
      return {
        ...site,
        cards: site.cards.map((card) => (card.cardId === event.card.cardId ? event.card : card)),
      };
    case 'door':
      return {
        ...site,
        doors: site.doors.map((door) => (door.doorId === event.door.doorId ? event.door : door)),
      };
    case 'reader':
      return {
        ...site,
        readers: site.readers.map((reader) =>
          reader.readerId === event.reader.readerId ? event.reader : reader,
        ),
      };
    case 'rules':
      return { ...site, rules: event.rules };
    case 'journal':
      if (event.entry.position <= (site.journal.at(-1)?.position ?? 0)) return site;
      return { ...site, journal: [...site.journal, event.entry].slice(-shownEntries) };
  }
}
