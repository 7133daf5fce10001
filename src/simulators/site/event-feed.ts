import type { SiteEvent, Snapshot } from '#web/site/api.ts';

/** events kept for a page that reconnects; older ones are replaced by a snapshot */
const keptEvents = 256;
/** a page that reads slower than this is let go: it reconnects and gets a snapshot */
const bufferLimitBytes = 256 * 1024;

/** Where one page's events go. */
export interface EventSink {
  write(text: string): void;
  /** bytes accepted by `write` that the network has not taken yet */
  bufferedBytes(): number;
  close(): void;
}

export interface EventFeedParts {
  /** distinguishes the event numbers of this run from those of another */
  readonly runId: string;
  readonly snapshot: () => Snapshot;
}

/** Server-Sent Events for any number of pages: numbered, resumable by Last-Event-ID, bounded in memory. */
export class EventFeed {
  readonly #runId: string;
  readonly #snapshot: () => Snapshot;
  readonly #kept: { readonly number: number; readonly text: string }[] = [];
  readonly #sinks = new Set<EventSink>();
  #number = 0;

  constructor(parts: EventFeedParts) {
    this.#runId = parts.runId;
    this.#snapshot = parts.snapshot;
  }

  /** Number of pages connected. */
  get pages(): number {
    return this.#sinks.size;
  }

  publish(event: SiteEvent): void {
    this.#number += 1;
    const text = this.#format(this.#number, event);
    this.#kept.push({ number: this.#number, text });
    if (this.#kept.length > keptEvents) this.#kept.shift();
    for (const sink of this.#sinks) this.#write(sink, text);
  }

  /** Connects a page: what it missed since `lastEventId` when all of that is kept, else a snapshot. */
  attach(sink: EventSink, lastEventId: string | undefined): () => void {
    const missed = this.#missedSince(lastEventId);
    sink.write(missed ?? this.#format(this.#number, { type: 'snapshot', snapshot: this.#snapshot() }));
    this.#sinks.add(sink);
    return () => this.#sinks.delete(sink);
  }

  /** A comment line, so that a dead connection is noticed. */
  heartbeat(): void {
    for (const sink of this.#sinks) this.#write(sink, ': alive\n\n');
  }

  close(): void {
    for (const sink of this.#sinks) sink.close();
    this.#sinks.clear();
  }

  #write(sink: EventSink, text: string): void {
    if (sink.bufferedBytes() + text.length > bufferLimitBytes) {
      this.#sinks.delete(sink);
      sink.close();
      return;
    }
    sink.write(text);
  }

  #missedSince(lastEventId: string | undefined): string | undefined {
    const [runId, number] = lastEventId?.split(':') ?? [];
    if (runId !== this.#runId || number === undefined || !/^\d{1,15}$/.test(number)) return undefined;
    const last = Number(number);
    const oldest = this.#kept[0]?.number ?? this.#number + 1;
    if (last > this.#number || last + 1 < oldest) return undefined;
    const missed = this.#kept.filter((event) => event.number > last).map((event) => event.text);
    // a comment, so that the answer starts at once even when nothing was missed
    return `: resumed\n\n${missed.join('')}`;
  }

  #format(number: number, event: SiteEvent): string {
    return `id: ${this.#runId}:${number}\ndata: ${JSON.stringify(event)}\n\n`;
  }
}
