import { brokerUsername, type TerminalIdentity } from '#core/sync/terminal-identity.ts';
import { type DownKind, downTopic, maxPayloadBytes } from '#core/sync/topics.ts';
import type { Intake, IntakeHandlers, OutgoingMessage, TakenMessage } from '#ports/intake.ts';
import type { BusHandlers, MessageBus, PublishOutcome, UpMessage } from '#ports/message-bus.ts';

/** What happens to one message on its way: it arrives as often as said, and not before so many that come later. */
export interface Passage {
  readonly times: number;
  readonly after?: number;
}

/** Decides about each message; `taken` was answered already, as brokers do. */
export type Misbehave = (message: UpMessage | OutgoingMessage) => Passage;

interface Waiting {
  readonly deliver: () => Promise<void>;
  after: number;
}

/** Messages on the way to one receiver, one after another. */
class Lane {
  #waiting: Waiting[] = [];
  #running = false;

  get length(): number {
    return this.#waiting.length;
  }

  add(deliver: () => Promise<void>, { times, after = 0 }: Passage): void {
    for (let i = 0; i < times; i += 1) this.#waiting.push({ deliver, after });
    void this.#run();
  }

  clear(): void {
    this.#waiting = [];
  }

  /** Nothing waits for later ones any more. */
  release(): void {
    for (const one of this.#waiting) one.after = 0;
    void this.#run();
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    await Promise.resolve();
    for (let next = this.#take(); next; next = this.#take()) {
      await next.deliver();
      for (const one of this.#waiting) one.after -= 1;
    }
    this.#running = false;
  }

  #take(): Waiting | undefined {
    const at = this.#waiting.findIndex(({ after }) => after <= 0);
    return at < 0 ? undefined : this.#waiting.splice(at, 1)[0];
  }
}

/**
 * A broker in memory, with both ports on it, that loses its links, its memory, and messages on request. It knows no
 * time: everything happens in turns of the event loop.
 */
export class SimulatedBroker {
  readonly #terminals = new Map<string, SimulatedBus>();
  readonly #retained = new Map<string, OutgoingMessage>();
  readonly #limit: number;
  #intake: SimulatedIntake | undefined;
  #up = true;
  misbehave: Misbehave = () => ({ times: 1 });

  /** `limit`: how many messages may wait at one receiver before a sender is told that it is `full` */
  constructor({ limit = 1_000 }: { readonly limit?: number } = {}) {
    this.#limit = limit;
  }

  bus(identity: TerminalIdentity): MessageBus {
    return new SimulatedBus(this, identity);
  }

  intake(): Intake {
    return new SimulatedIntake(this);
  }

  /** Every link breaks, and what is on the way is lost; `forget`: killed, so that nothing retained is left. */
  fail({ forget = false } = {}): void {
    this.#up = false;
    if (forget) this.#retained.clear();
    for (const bus of this.#terminals.values()) bus.cut();
    this.#intake?.cut();
  }

  /** All who are started find it again. */
  recover(): void {
    this.#up = true;
    this.#intake?.join();
    for (const bus of this.#terminals.values()) bus.join();
  }

  /** Breaks the link of one terminal and lets it find the broker again. */
  cut(identity: TerminalIdentity): void {
    this.#terminals.get(brokerUsername(identity))?.cut();
    if (this.#up) this.#terminals.get(brokerUsername(identity))?.join();
  }

  /** What was held back for later messages arrives. */
  release(): void {
    this.#intake?.release();
    for (const bus of this.#terminals.values()) bus.release();
  }

  isUp(): boolean {
    return this.#up;
  }

  /** A second one of the same name takes the place of the first, as at every broker. */
  enter(bus: SimulatedBus): void {
    const name = brokerUsername(bus.identity);
    if (this.#terminals.get(name) !== bus) this.#terminals.get(name)?.cut();
    this.#terminals.set(name, bus);
  }

  leave(bus: SimulatedBus): void {
    const name = brokerUsername(bus.identity);
    if (this.#terminals.get(name) === bus) this.#terminals.delete(name);
  }

  attend(intake: SimulatedIntake | undefined): void {
    this.#intake = intake;
  }

  retainedFor(identity: TerminalIdentity): readonly OutgoingMessage[] {
    return [...this.#retained.values()].filter(({ to }) => brokerUsername(to) === brokerUsername(identity));
  }

  tell(message: OutgoingMessage): PublishOutcome {
    if (message.retain) this.#retained.set(downTopic(message.to, message.kind), message);
    const bus = this.#terminals.get(brokerUsername(message.to));
    if (!bus) return 'taken';
    if (bus.waiting() >= this.#limit) return 'full';
    bus.bring(message, this.misbehave(message));
    return 'taken';
  }

  take(message: TakenMessage): PublishOutcome {
    if (!this.#intake) return 'taken';
    if (this.#intake.waiting() >= this.#limit) return 'full';
    this.#intake.bring(message, this.misbehave(message));
    return 'taken';
  }
}

class SimulatedBus implements MessageBus {
  readonly identity: TerminalIdentity;
  readonly #broker: SimulatedBroker;
  #handlers: BusHandlers | undefined;
  #lane = new Lane();
  #joined = false;

  constructor(broker: SimulatedBroker, identity: TerminalIdentity) {
    this.#broker = broker;
    this.identity = identity;
  }

  async start(handlers: BusHandlers): Promise<void> {
    this.#handlers = handlers;
    this.#broker.enter(this);
    if (this.#broker.isUp()) this.join();
  }

  async stop(): Promise<void> {
    this.cut();
    this.#handlers = undefined;
    this.#broker.leave(this);
  }

  async publish({ kind, payload }: UpMessage): Promise<PublishOutcome> {
    checkSize(payload);
    if (!this.#joined) return 'away';
    return this.#broker.take({ from: this.identity, kind, payload: payload.slice() });
  }

  waiting(): number {
    return this.#joined ? this.#lane.length : 0;
  }

  bring(
    { kind, payload }: { readonly kind: DownKind; readonly payload: Uint8Array },
    passage: Passage,
  ): void {
    if (!this.#joined) return;
    const message = { kind, payload: payload.slice() };
    // what its receiver rejects is lost, as at an MQTT broker
    this.#lane.add(async () => this.#handlers?.received(message).catch(() => undefined), passage);
  }

  release(): void {
    this.#lane.release();
  }

  join(): void {
    if (this.#joined || !this.#handlers) return;
    this.#joined = true;
    this.#lane = new Lane();
    this.#handlers.changed({ kind: 'connected' });
    for (const message of this.#broker.retainedFor(this.identity)) this.bring(message, { times: 1 });
  }

  cut(): void {
    this.#lane.clear();
    if (!this.#joined) return;
    this.#joined = false;
    this.#handlers?.changed({ kind: 'away' });
  }
}

class SimulatedIntake implements Intake {
  readonly #broker: SimulatedBroker;
  #handlers: IntakeHandlers | undefined;
  #lane = new Lane();
  #joined = false;

  constructor(broker: SimulatedBroker) {
    this.#broker = broker;
  }

  async start(handlers: IntakeHandlers): Promise<void> {
    this.#handlers = handlers;
    this.#broker.attend(this);
    if (this.#broker.isUp()) this.join();
  }

  async stop(): Promise<void> {
    this.cut();
    this.#handlers = undefined;
    this.#broker.attend(undefined);
  }

  async publish(message: OutgoingMessage): Promise<PublishOutcome> {
    checkSize(message.payload);
    if (!this.#joined) return 'away';
    return this.#broker.tell({ ...message, payload: message.payload.slice() });
  }

  waiting(): number {
    return this.#joined ? this.#lane.length : 0;
  }

  bring(message: TakenMessage, passage: Passage): void {
    if (!this.#joined) return;
    // what could not be committed is lost here, as at an MQTT broker
    this.#lane.add(async () => this.#handlers?.consume([message]).catch(() => undefined), passage);
  }

  release(): void {
    this.#lane.release();
  }

  join(): void {
    if (this.#joined || !this.#handlers) return;
    this.#joined = true;
    this.#lane = new Lane();
    this.#handlers.changed({ kind: 'connected' });
  }

  cut(): void {
    this.#lane.clear();
    if (!this.#joined) return;
    this.#joined = false;
    this.#handlers?.changed({ kind: 'away' });
  }
}

function checkSize(payload: Uint8Array): void {
  if (payload.length > maxPayloadBytes) throw new TypeError(`a payload of ${payload.length} bytes`);
}
