import type { Attempt, Building } from '#simulators/site/building.ts';
import type {
  CardView,
  DoorView,
  JournalEntryView,
  PadKey,
  ReaderView,
  RuleSet,
  SiteEvent,
  Snapshot,
  VisitorAction,
} from '#web/site/api.ts';

const text = (ja: string, en: string) => ({ ja, en });

export function scriptedCard(cardId: string, change: Partial<CardView> = {}): CardView {
  return {
    cardId,
    title: text('有効なカード', 'Valid card'),
    note: text('TypeAとTypeC', 'Type A and Type C'),
    methods: ['type-a', 'type-c'],
    pin: '1234',
    hue: 210,
    readerId: null,
    ...change,
  };
}

export function scriptedDoor(doorId: string, change: Partial<DoorView> = {}): DoorView {
  return {
    doorId,
    title: doorId === 'front' ? text('正面玄関', 'Front entrance') : text('サーバ室', 'Server room'),
    demand: text('TypeA または TypeC', 'Type A or Type C'),
    strike: 'locked',
    contact: 'closed',
    alarm: 'none',
    held: false,
    ...change,
  };
}

export function scriptedReader(doorId: string, change: Partial<ReaderView> = {}): ReaderView {
  return {
    readerId: `${doorId}-reader`,
    doorId,
    deviceName: 'Virtual PCD 00 00',
    state: 'ready',
    indication: 'idle',
    pin: null,
    verdict: null,
    ...change,
  };
}

/** Answers as told and remembers what it was asked: the building of the server's own tests. */
export class ScriptedBuilding implements Building {
  readonly asked: string[] = [];
  answer: Attempt = 'done';
  /** what `entries` answers */
  older: readonly JournalEntryView[] = [];
  state: Snapshot = {
    apiVersion: 1,
    timeZone: 'Asia/Tokyo',
    link: { kind: 'pcsc', service: 'started' },
    rules: { rules: 'schedule', policyVersion: 1 },
    cards: [scriptedCard('valid'), scriptedCard('other')],
    doors: [scriptedDoor('front'), scriptedDoor('server-room')],
    readers: [scriptedReader('front'), scriptedReader('server-room')],
    journal: [],
  };
  readonly #listeners = new Set<(event: SiteEvent) => void>();

  emit(event: SiteEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  snapshot(): Snapshot {
    return this.state;
  }

  subscribe(listener: (event: SiteEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  hold(cardId: string, readerId: string): Attempt {
    return this.#ask(`hold ${cardId} ${readerId}`);
  }

  take(cardId: string): Attempt {
    return this.#ask(`take ${cardId}`);
  }

  pressKey(readerId: string, key: PadKey): Attempt {
    return this.#ask(`key ${readerId} ${key}`);
  }

  async visit(doorId: string, action: VisitorAction): Promise<Attempt> {
    return this.#ask(`visit ${doorId} ${action}`);
  }

  async installRules(rules: RuleSet): Promise<Attempt> {
    return this.#ask(`rules ${rules}`);
  }

  async resetDeck(): Promise<Attempt> {
    return this.#ask('reset');
  }

  async entries(before: number | undefined, limit: number): Promise<readonly JournalEntryView[]> {
    this.#ask(`entries ${before} ${limit}`);
    return this.older;
  }

  async verifyJournal() {
    this.#ask('verify');
    return { sound: true, entries: 3, signedThrough: 3, head: null, problems: [], tookMs: 4 };
  }

  #ask(what: string): Attempt {
    this.asked.push(what);
    return this.answer;
  }
}
