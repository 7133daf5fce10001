import type { CancelTimer } from '#ports/clock.ts';
import type { TerminalEvent } from '#terminal/events.ts';
import {
  apiVersion,
  type CardView,
  type DoorView,
  type JournalEntryView,
  type PadKey,
  type ReaderView,
  type RuleSet,
  type SiteEvent,
  type Snapshot,
  type VerdictView,
  type VerificationView,
  type VisitorAction,
} from '#web/site/api.ts';
import type { Attempt, Building } from './building.ts';
import { JournalFollower } from './journal-follower.ts';
import type { DoorPlan, SiteBuildingParts } from './site-parts.ts';

/** how long a visitor keeps the card on the reader after the answer */
const cardStaysMs = 1_800;
/** how long the reader's display shows an answer */
const verdictStaysMs = 8_000;

/** The building as its visitors see it: what the terminal tells becomes views, what they do reaches the stand-ins. */
export class SiteBuilding implements Building {
  readonly #parts: SiteBuildingParts;
  readonly #cards: Map<string, CardView>;
  readonly #doors: Map<string, DoorView>;
  readonly #readers: Map<string, ReaderView>;
  readonly #listeners = new Set<(event: SiteEvent) => void>();
  readonly #timers = new Map<string, CancelTimer>();
  readonly #journal: JournalFollower;
  #busy = false;

  constructor(parts: SiteBuildingParts) {
    this.#parts = parts;
    this.#cards = new Map(parts.cards.map((card) => [card.cardId, { ...card, readerId: null }]));
    this.#doors = new Map(parts.plan.map((door) => [door.doorId, initialDoor(door)]));
    this.#readers = new Map(parts.plan.map((door) => [door.readerId, initialReader(door)]));
    this.#journal = new JournalFollower({
      journal: parts.journal,
      appeared: (entry) => this.#emit({ type: 'journal', entry }),
      failed: (error) => parts.log.error({ err: error }, 'the journal could not be read for the page'),
    });
  }

  /** Takes every card back and forgets every timer; the terminal must have stopped. */
  stop(): void {
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    for (const { cardId } of this.#cards.values()) this.take(cardId);
  }

  /** The terminal's observer. */
  readonly observe = (event: TerminalEvent): void => {
    switch (event.kind) {
      case 'tap':
        return this.#tapped(event);
      case 'door':
        return this.#doorChanged(event);
      case 'indication':
        return this.#indicated(event.readerId, event.indication);
      case 'reader': {
        const plan = this.#parts.plan.find((door) => door.deviceName === event.status.name);
        if (plan) this.#updateReader(plan.readerId, { state: event.status.state });
        return;
      }
      case 'journal':
        return this.#journal.follow(this.#parts.journal.position(event.head));
      default:
        return event satisfies never;
    }
  };

  snapshot(): Snapshot {
    return {
      apiVersion,
      timeZone: this.#parts.timeZone,
      link: this.#parts.link,
      rules: this.#parts.rules.current(),
      cards: [...this.#cards.values()],
      doors: [...this.#doors.values()],
      readers: [...this.#readers.values()],
      journal: this.#journal.latest(),
    };
  }

  subscribe(listener: (event: SiteEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  hold(cardId: string, readerId: string): Attempt {
    const card = this.#cards.get(cardId);
    if (!card || !this.#readers.has(readerId)) return 'unknown';
    if (card.readerId !== null || this.#cardAt(readerId)) return 'occupied';
    for (const name of ['verdict', 'take']) this.#timers.get(`${name} ${readerId}`)?.();
    this.#updateReader(readerId, { verdict: null });
    this.#updateCard(cardId, readerId);
    this.#parts.field.put(cardId, readerId, () => this.#updateCard(cardId, null));
    return 'done';
  }

  take(cardId: string): Attempt {
    const card = this.#cards.get(cardId);
    if (!card) return 'unknown';
    if (card.readerId === null) return 'done';
    this.#parts.field.take(card.readerId);
    this.#updateCard(cardId, null);
    return 'done';
  }

  pressKey(readerId: string, key: PadKey): Attempt {
    const reader = this.#readers.get(readerId);
    const pad = this.#parts.pads.get(readerId);
    if (!reader || !pad) return 'unknown';
    if (!reader.pin) return 'not-asked';
    const { entered, maximumDigits, minimumDigits } = reader.pin;
    if (key !== 'enter' && key !== 'cancel') {
      if (entered === maximumDigits) return 'done';
      this.#updateReader(readerId, { pin: { ...reader.pin, entered: entered + 1 } });
    } else if (key === 'enter' && entered < minimumDigits) {
      return 'done';
    }
    pad.press(key);
    return 'done';
  }

  async visit(doorId: string, action: VisitorAction): Promise<Attempt> {
    const door = this.#doors.get(doorId);
    const person = this.#parts.people.get(doorId);
    if (!door || !person) return 'unknown';
    if (action === 'push') person.push();
    else if (action === 'force') person.force();
    else if (action === 'exit') person.pressExit();
    else if (action === 'hold') person.holdOpen();
    else person.letClose();
    if (action === 'hold' || action === 'close') this.#updateDoor(doorId, { held: action === 'hold' });
    return 'done';
  }

  async installRules(rules: RuleSet): Promise<Attempt> {
    return this.#alone(async () => {
      this.#emit({ type: 'rules', rules: await this.#parts.rules.install(rules) });
    });
  }

  async resetDeck(): Promise<Attempt> {
    return this.#alone(async () => {
      for (const { cardId } of this.#cards.values()) this.take(cardId);
      await this.#parts.resetCards();
    });
  }

  entries(before: number | undefined, limit: number): Promise<readonly JournalEntryView[]> {
    return this.#parts.journal.before(before, limit);
  }

  verifyJournal(): Promise<VerificationView> {
    return this.#parts.journal.verify();
  }

  async #alone(action: () => Promise<void>): Promise<Attempt> {
    if (this.#busy) return 'busy';
    this.#busy = true;
    try {
      await action();
      return 'done';
    } finally {
      this.#busy = false;
    }
  }

  #tapped(event: Extract<TerminalEvent, { kind: 'tap' }>): void {
    const { tapId, readerId, decision } = event;
    const kind = !decision ? 'hold-again' : decision.kind === 'needs' ? 'pin-needed' : decision.kind;
    const reason = decision?.kind === 'denied' || decision?.kind === 'waits' ? decision.reason : undefined;
    this.#show(readerId, { tapId, kind, ...(reason && { reason }) });
    this.#after(`take ${readerId}`, cardStaysMs, () => {
      const card = this.#cardAt(readerId);
      if (card) this.take(card.cardId);
    });
  }

  #show(readerId: string, verdict: Pick<VerdictView, 'tapId' | 'kind' | 'reason'>): void {
    const atMs = this.#parts.clock.utcMs();
    const cardId = this.#cardAt(readerId)?.cardId ?? null;
    this.#updateReader(readerId, { verdict: { ...verdict, atMs, cardId } });
    this.#after(`verdict ${readerId}`, verdictStaysMs, () => this.#updateReader(readerId, { verdict: null }));
  }

  #doorChanged({ doorId, state, locked }: Extract<TerminalEvent, { kind: 'door' }>): void {
    const alarm = state === 'forced-open' || state === 'held-open' ? state : 'none';
    const contact = alarm !== 'none' || state === 'open' ? 'open' : 'closed';
    const closed = contact === 'closed' && this.#doors.get(doorId)?.contact === 'open';
    this.#updateDoor(doorId, {
      strike: locked ? 'locked' : 'unlocked',
      contact,
      alarm,
      ...(closed && { held: false }),
    });
  }

  #indicated(readerId: string, indication: string): void {
    if (indication !== 'pin-needed') return this.#updateReader(readerId, { indication, pin: null });
    const { minimumDigits, maximumDigits } = this.#parts.pinDigits;
    this.#updateReader(readerId, { indication, pin: { entered: 0, minimumDigits, maximumDigits } });
    this.#timers.get(`take ${readerId}`)?.();
    this.#updateReader(readerId, {
      verdict: {
        tapId: '',
        kind: 'pin-needed',
        atMs: this.#parts.clock.utcMs(),
        cardId: this.#cardAt(readerId)?.cardId ?? null,
      },
    });
  }

  #cardAt(readerId: string): CardView | undefined {
    return [...this.#cards.values()].find((card) => card.readerId === readerId);
  }

  #after(name: string, delayMs: number, action: () => void): void {
    this.#timers.get(name)?.();
    this.#timers.set(name, this.#parts.clock.after(delayMs, action));
  }

  #updateCard(cardId: string, readerId: string | null): void {
    const card = this.#cards.get(cardId);
    if (!card || card.readerId === readerId) return;
    const changed = { ...card, readerId };
    this.#cards.set(cardId, changed);
    this.#emit({ type: 'card', card: changed });
  }

  #updateDoor(doorId: string, change: Partial<DoorView>): void {
    const door = this.#doors.get(doorId);
    if (!door) return;
    const changed = { ...door, ...change };
    this.#doors.set(doorId, changed);
    this.#emit({ type: 'door', door: changed });
  }

  #updateReader(readerId: string, change: Partial<ReaderView>): void {
    const reader = this.#readers.get(readerId);
    if (!reader) return;
    const changed = { ...reader, ...change };
    this.#readers.set(readerId, changed);
    this.#emit({ type: 'reader', reader: changed });
  }

  #emit(event: SiteEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

function initialDoor({ doorId, title, demand }: DoorPlan): DoorView {
  return { doorId, title, demand, strike: 'locked', contact: 'closed', alarm: 'none', held: false };
}

function initialReader({ readerId, doorId, deviceName }: DoorPlan): ReaderView {
  return { readerId, doorId, deviceName, state: 'absent', indication: 'fault', pin: null, verdict: null };
}
