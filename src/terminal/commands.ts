import type { Logger } from 'pino';
import type { AccessMemory } from '#core/access/access-memory.ts';
import type { StateChange } from '#core/access/access-state.ts';
import type { KeptFacts } from '#core/access/kept-facts.ts';
import type { DecisionTime } from '#core/access/rule.ts';
import type { SharedFacts } from '#core/access/terminal-facts.ts';
import { isFault } from '#core/fault.ts';
import {
  type Command,
  type CommandAnswer,
  type CommandOutcome,
  type CommandResult,
  givenAtMs,
  resultOf,
} from '#core/sync/command.ts';
import type { DocumentRefusal } from '#core/sync/document.ts';
import { isSiteAction, protects, type SiteAction, siteChanges } from '#core/sync/site-command.ts';
import {
  forgetTaken,
  type TakenCommand,
  takenCommand,
  takenPrefix,
  takes,
} from '#core/sync/taken-command.ts';
import type { Clock } from '#ports/clock.ts';
import type { CommandInquiries } from './command-inquiries.ts';
import {
  type CommandPlans,
  type Deed,
  type InquiryAction,
  type Plan,
  type RecordedAction,
  trustedMs,
} from './command-plans.ts';
import { CommandRecord, entryOf, type Given } from './command-record.ts';
import type { JournalWriter } from './journal-writer.ts';
import type { SureTime } from './sure-time.ts';

/** `local`: given on the device itself; `issuance`: by the server, whose signature the caller has verified. */
export type CommandOrigin = 'local' | 'issuance';

/** Carries out commands, each id once, also over restarts. */
export interface CommandExecution {
  /**
   * Resolves with what came of `command`, which is well-formed (`commandSchema`); its outcome is in the journal, or on
   * its way there. Rejects only for a bug. May take as long as the disk does: whoever asks has a deadline of their own.
   */
  execute(command: Command, via: CommandOrigin): Promise<CommandResult>;
  /** Records that something came as a command of the server which is none for this terminal. */
  refused(reason: DocumentRefusal): void;
}

export interface CommandsParts {
  readonly terminalId: string;
  readonly plans: CommandPlans;
  readonly inquiries: CommandInquiries;
  readonly memory: AccessMemory;
  readonly journal: JournalWriter;
  readonly clock: Clock;
  readonly log: Logger;
  readonly sure: SureTime;
  readonly time: () => DecisionTime;
}

/** a clock that shows an earlier time than a command was issued at by more than this is not right, in milliseconds */
const clockAllowanceMs = 300_000;
/** how long a command may wait for the disk before nobody expects it to be done any more, in milliseconds */
const patienceMs = 10_000;
/** how long after its end a command is remembered, so that a clock that is set back brings none again, in milliseconds */
const rememberedForMs = 86_400_000;
const rememberedLimit = 2_000;

/** Carries out the commands for one terminal: each is recorded with who, why and what came of it, and is done once. */
export class Commands implements CommandExecution {
  readonly #parts: CommandsParts;
  /** by the id */
  readonly #running = new Map<string, Promise<CommandAnswer>>();
  readonly #stopping = new AbortController();
  readonly #records: CommandRecord;

  constructor(parts: CommandsParts) {
    this.#parts = parts;
    this.#records = new CommandRecord(parts);
  }

  async execute(command: Command, via: CommandOrigin): Promise<CommandResult> {
    const { id } = command;
    const given: Given = { command, via, receivedMs: this.#parts.time().monotonicMs };
    if (this.#stopping.signal.aborted) return resultOf(id, { outcome: 'unavailable' });
    if (this.#running.has(id)) return resultOf(id, this.#note(given, { outcome: 'replayed' }));
    const answering = this.#answer(given);
    this.#running.set(id, answering);
    try {
      const answer = await answering;
      this.#parts.log.info({ command: command.action.kind, via, outcome: answer.outcome }, 'command');
      return resultOf(id, answer);
    } finally {
      this.#running.delete(id);
    }
  }

  refused(reason: DocumentRefusal): void {
    this.#parts.log.warn({ reason }, 'a command was refused');
    this.#records.refused(reason);
  }

  /** Takes no more; resolves when those that go on have ended, which the disk may keep waiting. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.allSettled(this.#running.values());
  }

  async #answer(given: Given): Promise<CommandAnswer> {
    const { memory, journal, log } = this.#parts;
    const { action, id } = given.command;
    const barred = this.#barred(given);
    try {
      if (barred) return this.#refuse(given, barred);
      if (isSiteAction(action) && protects(action, memory)) return this.#protect(given, action);
      if (!isInquiry(action)) await journal.open();
      const before = takenCommand(id, memory);
      if (before) return this.#again(given, before);
      // what nobody could have meant fills no journal either
      if (this.#isFull()) return { outcome: 'busy' };
      return isInquiry(action) ? await this.#inquire(given, action) : await this.#record(given, action);
    } catch (error) {
      if (!isFault(error)) throw error;
      log.error({ command: action.kind, fault: error.code }, error.message);
      const full = isFault(error, 'journal-full', 'journal-unwritable');
      return this.#conclude(given, { outcome: full ? 'journal-unwritable' : 'failed', fault: error.code });
    }
  }

  /** What came of it before is the truth also when it comes again too late. */
  #refuse(given: Given, outcome: CommandOutcome): CommandAnswer {
    const before =
      outcome === 'other-terminal' ? undefined : takenCommand(given.command.id, this.#parts.memory);
    if (before) return this.#again(given, before);
    // what may be late now is not done later either, when the clock is right
    if (outcome === 'time-unknown' && !this.#isFull()) return this.#conclude(given, { outcome });
    return this.#note(given, { outcome });
  }

  #again(given: Given, before: TakenCommand): CommandAnswer {
    return this.#note(given, {
      outcome: 'replayed',
      ...(before.outcome !== undefined && { first: before.outcome }),
    });
  }

  #isFull(): boolean {
    const { memory } = this.#parts;
    return memory.sharedUnder(takenPrefix).length >= rememberedLimit && this.#forgotten().length === 0;
  }

  /** Why a command does nothing, whatever it is. */
  #barred({ command, via }: Given): CommandOutcome | undefined {
    const { terminalId, sure, journal } = this.#parts;
    if (command.terminal !== terminalId) return 'other-terminal';
    // whoever stands at the device is not late, whatever its clock shows
    if (via === 'local') return undefined;
    const nowMs = sure.nowMs();
    if (nowMs === undefined) return journal.floorMs() >= command.expiresAtMs ? 'expired' : 'time-unknown';
    if (nowMs >= command.expiresAtMs) return 'expired';
    return nowMs + clockAllowanceMs < command.issuedAtMs ? 'time-unknown' : undefined;
  }

  /** Done at once, as what an input demands is; waits for no disk, and a disk that is full stops nothing. */
  #protect(given: Given, action: SiteAction): CommandAnswer {
    const { memory, plans } = this.#parts;
    const before = takenCommand(given.command.id, memory);
    if (before) return this.#again(given, before);
    const unknown = plans.unknownZone('zones' in action ? action.zones : undefined);
    if (unknown) return this.#conclude(given, unknown);
    const atMs = givenAtMs(given.command);
    const when = { givenAtMs: atMs, nowMs: trustedMs(this.#parts.time()) };
    const changes = (state: SharedFacts) => siteChanges(action, when, state) ?? [];
    return this.#conclude(given, { outcome: 'done' }, changes);
  }

  async #inquire(given: Given, action: InquiryAction): Promise<CommandAnswer> {
    return this.#conclude(given, await this.#parts.inquiries.answer(action));
  }

  async #record(given: Given, action: RecordedAction): Promise<CommandAnswer> {
    const { plans, journal, memory } = this.#parts;
    const { id } = given.command;
    const atMs = given.via === 'local' ? Number.POSITIVE_INFINITY : givenAtMs(given.command);
    const plan = await plans.of({ id, givenAtMs: atMs }, action);
    const kept = 'outcome' in plan ? plan : await this.#keep(given, plan);
    if ('outcome' in kept) {
      const nobody = { holderId: undefined, facts: new Map(), asked: memory.asked() };
      const facts = memory.keep(given.command.id, this.#takes(given, kept.outcome), nobody);
      await journal.decided(entryOf(given, kept, facts));
      return kept;
    }
    const act = 'act' in plan ? plan.act : undefined;
    await journal.decided(entryOf(given, { outcome: act ? 'accepted' : 'done' }, kept));
    if (!act) return { outcome: 'done' };
    // a disk that took its time: by now nobody expects a door to open
    const { answer, changes = [] }: Deed = this.#isLate(given)
      ? { answer: { outcome: 'expired' } }
      : await act();
    return this.#conclude(given, answer, () => changes);
  }

  /** Changes facts that are durable, with nothing awaited between reading them and keeping the change. */
  async #keep(given: Given, plan: Plan): Promise<KeptFacts | CommandAnswer> {
    const { memory } = this.#parts;
    for (;;) {
      const found = await plan.found();
      if (this.#isLate(given)) return { outcome: 'expired' };
      const view = memory.view(found);
      if (!view) continue;
      const changes = plan.changes(view);
      if ('outcome' in changes) return changes;
      const unsettled = view.unsettled(changes);
      const taken = this.#takes(given, plan.act ? undefined : 'done');
      if (!unsettled) return memory.keep(given.command.id, [...changes, ...taken], found);
      await this.#waited(given, unsettled);
      if (this.#stopping.signal.aborted) return { outcome: 'unavailable' };
    }
  }

  /** Resolves with `settled`, when the command is late, or when the terminal ends: a disk may never take what it waits for. */
  async #waited({ receivedMs }: Given, settled: Promise<void>): Promise<void> {
    const { clock, time } = this.#parts;
    const { promise: given, resolve: giveUp } = Promise.withResolvers<void>();
    const cancel = clock.after(patienceMs - (time().monotonicMs - receivedMs) + 1, giveUp);
    const stopped = (): void => giveUp();
    this.#stopping.signal.addEventListener('abort', stopped);
    await Promise.race([settled, given]);
    this.#stopping.signal.removeEventListener('abort', stopped);
    cancel();
  }

  #isLate({ command, via, receivedMs }: Given): boolean {
    const { sure, time } = this.#parts;
    if (time().monotonicMs - receivedMs > patienceMs) return true;
    return via === 'issuance' && (sure.nowMs() ?? 0) >= command.expiresAtMs;
  }

  /** Records an outcome that stands, and remembers it from now on. */
  #conclude(
    given: Given,
    answer: CommandAnswer,
    changes: (state: SharedFacts) => readonly StateChange[] = () => [],
  ): CommandAnswer {
    const taken = this.#takes(given, answer.outcome);
    const facts = this.#parts.memory.declare((state) => [...changes(state), ...taken]);
    this.#parts.journal.note(entryOf(given, answer, facts));
    return answer;
  }

  #note(given: Given, answer: CommandAnswer): CommandAnswer {
    this.#records.nothingDone(given, answer);
    return answer;
  }

  /** Remembers the command, with its outcome once that is known, and forgets those that cannot come again. */
  #takes({ command, via }: Given, outcome: CommandOutcome | undefined): readonly StateChange[] {
    const endMs = via === 'issuance' ? command.expiresAtMs : this.#parts.journal.floorMs();
    return [...this.#forgotten(), takes(command.id, endMs + rememberedForMs, outcome)];
  }

  #forgotten(): readonly StateChange[] {
    const { memory, journal } = this.#parts;
    return forgetTaken(memory.sharedUnder(takenPrefix), journal.floorMs());
  }
}

function isInquiry(action: Command['action']): action is InquiryAction {
  return action.kind === 'roll-call' || action.kind === 'identify' || action.kind === 'diagnostics';
}
