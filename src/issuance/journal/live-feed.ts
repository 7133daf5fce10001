import type { LiveEvent } from '#core/sync/live-events.ts';
import type { Clock } from '#ports/clock.ts';
import type { JournalAlarm } from './journal-store.ts';

/** What whoever watches is told. Numbers grow, also over restarts of the server. */
export type LiveItem = {
  readonly number: number;
  /** by the clock of the server, in milliseconds UTC */
  readonly heardAtMs: number;
  readonly terminal: string;
} & (
  | { readonly kind: 'entry'; readonly event: LiveEvent }
  | { readonly kind: 'journal-alarm'; readonly alarm: JournalAlarm }
);

export interface LiveFilter {
  /** undefined: any */
  readonly terminals?: ReadonlySet<string>;
  /** kinds of entries; undefined: any */
  readonly kinds?: ReadonlySet<string>;
  /** undefined: any */
  readonly doors?: ReadonlySet<string>;
}

type Watcher = (item: LiveItem) => void;

/** what is kept for whoever comes later, or comes back */
const keptItems = 1_000;
const keptAlarms = 200;

/**
 * What happens at the terminals of one organization now, as they tell it to this process. Alarms are kept apart, so that
 * everyday events do not push them out. The record is the journal, not this.
 */
export class LiveFeed {
  readonly #clock: Clock;
  readonly #watchers = new Map<Watcher, LiveFilter>();
  #items: LiveItem[] = [];
  #alarms: LiveItem[] = [];
  #last = 0;

  constructor(parts: { readonly clock: Clock }) {
    this.#clock = parts.clock;
  }

  entries(terminal: string, events: readonly LiveEvent[]): void {
    for (const event of events) this.#tell({ ...this.#next(terminal), kind: 'entry', event });
  }

  alarm(alarm: JournalAlarm): void {
    this.#tell({ ...this.#next(alarm.terminal), kind: 'journal-alarm', alarm });
  }

  /**
   * Tells `watcher` what is still known and newer than number `after` (absent: the alarms kept alone), oldest first, and
   * then everything as it comes, until the function returned is called.
   */
  watch(filter: LiveFilter, after: number | undefined, watcher: Watcher): () => void {
    const known =
      after === undefined
        ? this.#alarms
        : [...new Set([...this.#alarms, ...this.#items])]
            .filter(({ number }) => number > after)
            .sort((a, b) => a.number - b.number);
    for (const item of known) if (passes(item, filter)) watcher(item);
    this.#watchers.set(watcher, filter);
    return () => this.#watchers.delete(watcher);
  }

  #next(terminal: string): Pick<LiveItem, 'number' | 'heardAtMs' | 'terminal'> {
    const heardAtMs = this.#clock.utcMs();
    this.#last = Math.max(this.#last + 1, Math.round(heardAtMs) * 1_000);
    return { number: this.#last, heardAtMs, terminal };
  }

  #tell(item: LiveItem): void {
    this.#items.push(item);
    if (this.#items.length > 2 * keptItems) this.#items = this.#items.slice(-keptItems);
    if (isAlarm(item)) this.#alarms = [...this.#alarms.slice(1 - keptAlarms), item];
    for (const [watcher, filter] of [...this.#watchers]) if (passes(item, filter)) watcher(item);
  }
}

export function isAlarm(item: LiveItem): boolean {
  return item.kind === 'journal-alarm' || item.event.kind === 'alarm';
}

function passes(item: LiveItem, { terminals, kinds, doors }: LiveFilter): boolean {
  if (terminals && !terminals.has(item.terminal)) return false;
  // what is wrong with a journal concerns whatever is in it
  if (item.kind === 'journal-alarm') return true;
  const { kind, body } = item.event;
  return (!kinds || kinds.has(kind)) && (!doors || (typeof body.door === 'string' && doors.has(body.door)));
}
