import type { SiteEvent, Snapshot, VerdictView, VerificationView } from '#web/site/api.ts';
import { initialState, next, type PageState } from '#web/site/state.ts';

const patienceMs = 20_000;

/** A page without a screen: follows the site's events with the page's own state machine. */
export class SiteClient {
  readonly #url: string;
  readonly #stop = new AbortController();
  readonly #waiting = new Set<() => void>();
  #state: PageState = initialState;

  constructor(url: string) {
    this.#url = url;
  }

  async open(): Promise<void> {
    const response = await fetch(new URL('/api/events', this.#url), { signal: this.#stop.signal });
    void this.#follow(response).catch(() => undefined);
    await this.until((site) => site.readers.every((reader) => reader.state === 'ready'));
  }

  close(): void {
    this.#stop.abort();
  }

  /** Resolves with what the page knows as soon as `condition` holds. */
  async until(condition: (site: Snapshot) => boolean): Promise<Snapshot> {
    return new Promise((resolve, reject) => {
      const check = () => {
        const { site } = this.#state;
        if (!site || !condition(site)) return;
        this.#waiting.delete(check);
        clearTimeout(timer);
        resolve(site);
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(check);
        const { readers, doors, journal } = this.#state.site ?? {};
        const seen = JSON.stringify({ readers, doors, journal: journal?.slice(-5) }, null, 1);
        reject(new Error(`not within ${patienceMs} ms; the page knows ${seen}`));
      }, patienceMs);
      this.#waiting.add(check);
      check();
    });
  }

  /** Does what a visitor does; rejects with the problem the site answers. */
  async post<T = unknown>(path: string, body: object = {}): Promise<T> {
    const response = await fetch(new URL(path, this.#url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${text}`);
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  async hold(cardId: string, door: 'front' | 'server-room'): Promise<void> {
    await this.cardsBack();
    await this.post(`/api/cards/${cardId}/hold`, { readerId: `${door}-reader` });
  }

  /** Holds the card up and resolves with the new verdict, one that asks for a PIN included. */
  async tap(cardId: string, door: 'front' | 'server-room') {
    const before = this.#verdictOf(this.#state.site, door);
    await this.hold(cardId, door);
    return this.verdictAt(door, ['granted', 'denied', 'hold-again', 'pin-needed'], before?.atMs);
  }

  /** The first verdict of one of `kinds` that was not given at `notAtMs`. */
  async verdictAt(door: string, kinds: readonly string[], notAtMs?: number) {
    const now = await this.until((site) => {
      const verdict = this.#verdictOf(site, door);
      return kinds.includes(verdict?.kind ?? '') && verdict?.atMs !== notAtMs;
    });
    const { kind, reason, tapId } = this.#verdictOf(now, door) ?? {};
    return { kind, reason, tapId };
  }

  async type(door: string, keys: readonly string[]): Promise<void> {
    for (const key of keys) await this.post(`/api/readers/${door}-reader/keys`, { key });
  }

  /** Resolves when the visitor has put every card back; nobody pulls a card away the moment it is answered. */
  async cardsBack(): Promise<Snapshot> {
    return this.until((site) => site.cards.every(({ readerId }) => readerId === null));
  }

  door(site: Snapshot, doorId: string) {
    const door = site.doors.find((candidate) => candidate.doorId === doorId);
    if (!door) throw new Error(`no door ${doorId}`);
    return door;
  }

  verify(): Promise<VerificationView> {
    return this.post<VerificationView>('/api/journal/verify');
  }

  #verdictOf(site: Snapshot | null, door: string): VerdictView | null {
    return site?.readers.find(({ doorId }) => doorId === door)?.verdict ?? null;
  }

  async #follow(response: Response): Promise<void> {
    let text = '';
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      const blocks = text.split('\n\n');
      text = blocks.pop() ?? '';
      for (const block of blocks) {
        const data = block.split('\n').find((line) => line.startsWith('data: '));
        if (data) this.#take(JSON.parse(data.slice(6)) as SiteEvent);
      }
    }
  }

  #take(event: SiteEvent): void {
    this.#state = next(this.#state, { kind: 'event', event });
    for (const check of [...this.#waiting]) check();
  }
}
