import { isFault } from '#core/fault.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { DirectReaders } from '#simulators/card/direct-readers.ts';
import type { VirtualCard } from '#simulators/card/virtual-card.ts';
import { type CardStack, findCardStack, type Pcscd, startPcscd } from '#simulators/vpcd/pcscd.ts';
import { VpcdLink } from '#simulators/vpcd/vpcd-link.ts';
import type { LinkView } from '#web/site/api.ts';
import type { CardField, DoorPlan } from './site-parts.ts';

/** How cards reach the terminal on this machine, and what was started for it. */
export interface CardLink {
  readonly view: LinkView;
  /** what to tell the person who started the site */
  readonly remark: string;
  /** the pcscd that the site started and must stop */
  readonly pcscd?: Pcscd;
}

/** Whether and how the real card stack can be had: one that runs, else one started here (as root), else none. */
export async function chooseCardLink(wanted: 'any' | 'direct'): Promise<CardLink> {
  if (wanted === 'direct') return direct('as asked');
  const stack = await findCardStack();
  if (stack.pcscd && stack.vpcd) {
    const remark = 'cards go through the pcscd that is running, with vpcd';
    return { view: { kind: 'pcsc', service: 'found' }, remark };
  }
  const obstacle = obstacleTo(stack);
  if (obstacle) return direct(obstacle);
  try {
    const pcscd = await startPcscd();
    const remark =
      'cards go through a pcscd started for this site; vpcd then takes cards from any machine that reaches its ports 35963 and 35964';
    return { view: { kind: 'pcsc', service: 'started' }, remark, pcscd };
  } catch (error) {
    if (!isFault(error)) throw error;
    return direct(error.message);
  }
}

function obstacleTo(stack: CardStack): string | undefined {
  if (stack.pcscd) return 'the pcscd that is running has no vpcd driver (Debian: vsmartcard-vpcd)';
  if (process.getuid?.() !== 0) return 'no pcscd is running, and only root can start one';
  return undefined;
}

function direct(reason: string): CardLink {
  const remark = `cards are joined to the terminal without PC/SC: ${reason}`;
  return { view: { kind: 'direct', service: 'none' }, remark };
}

/** pcscd looks at a virtual reader every 400 ms: a card that came sooner after another would be taken for it */
const emptyForMs = 900;

interface VpcdSlot {
  readonly link: VpcdLink;
  left: (() => void) | undefined;
  emptySinceUs: number;
  cancelInsertion: CancelTimer | undefined;
}

/** The fields of vpcd's readers; slot n is the reader of the nth door of the plan. */
export class VpcdField implements CardField {
  readonly #slots: ReadonlyMap<string, VpcdSlot>;
  readonly #virtual: (cardId: string) => VirtualCard;
  readonly #clock: Clock;

  constructor(parts: {
    plan: readonly DoorPlan[];
    virtual: (cardId: string) => VirtualCard;
    clock: Clock;
  }) {
    this.#virtual = parts.virtual;
    this.#clock = parts.clock;
    this.#slots = new Map(parts.plan.map(({ readerId }, slot) => [readerId, this.#slot(slot)]));
  }

  put(cardId: string, readerId: string, left: () => void): void {
    const slot = this.#slots.get(readerId);
    if (!slot) throw new Error(`no reader ${readerId} in the plan`);
    slot.left = left;
    const emptyMs = (this.#clock.monotonicUs() - slot.emptySinceUs) / 1_000;
    slot.cancelInsertion = this.#clock.after(Math.max(0, emptyForMs - emptyMs), () => {
      // with `retry` it waits for a pcscd that is away, for as long as the card lies there
      void slot.link.insert(this.#virtual(cardId));
    });
  }

  take(readerId: string): void {
    const slot = this.#slots.get(readerId);
    slot?.cancelInsertion?.();
    slot?.link.remove();
    if (slot) this.#emptied(slot);
  }

  #slot(number: number): VpcdSlot {
    const link = new VpcdLink({
      slot: number,
      whenLost: 'retry',
      lost: () => {
        const { left } = slot;
        this.#emptied(slot);
        left?.();
      },
    });
    const slot: VpcdSlot = { link, left: undefined, emptySinceUs: 0, cancelInsertion: undefined };
    return slot;
  }

  #emptied(slot: VpcdSlot): void {
    slot.left = undefined;
    slot.emptySinceUs = this.#clock.monotonicUs();
  }
}

/** The fields of readers that are not there. */
export class DirectField implements CardField {
  readonly #readers: ReadonlyMap<string, { readonly name: string; readonly readers: DirectReaders }>;
  readonly #virtual: (cardId: string) => VirtualCard;

  /** `readers`: by the id of the reader, with its name in the card stack */
  constructor(parts: {
    readers: ReadonlyMap<string, { readonly name: string; readonly readers: DirectReaders }>;
    virtual: (cardId: string) => VirtualCard;
  }) {
    this.#readers = parts.readers;
    this.#virtual = parts.virtual;
  }

  put(cardId: string, readerId: string, left: () => void): void {
    const { name, readers } = this.#of(readerId);
    const card = this.#virtual(cardId);
    readers.insert(name, card);
    const removed = card.onRemoved;
    card.onRemoved = () => {
      removed?.();
      left();
    };
  }

  take(readerId: string): void {
    const { name, readers } = this.#of(readerId);
    readers.remove(name);
  }

  #of(readerId: string) {
    const found = this.#readers.get(readerId);
    if (!found) throw new Error(`no reader ${readerId} in the plan`);
    return found;
  }
}
