import type { KeptFacts } from '#core/access/kept-facts.ts';
import type { JsonValue } from '#core/journal/record.ts';
import type { Command, CommandAnswer, CommandOutcome } from '#core/sync/command.ts';
import type { DocumentRefusal } from '#core/sync/document.ts';
import type { Clock } from '#ports/clock.ts';
import type { CommandOrigin } from './commands.ts';
import type { JournalWriter, Occurrence } from './journal-writer.ts';

/** A command on its way. */
export interface Given {
  readonly command: Command;
  readonly via: CommandOrigin;
  readonly receivedMs: number;
}

/** of the server's, the same is recorded again only after this time: who sends them anew must not fill the journal */
const repeatedUs = 3_600_000_000;

/** Records commands that did nothing. */
export class CommandRecord {
  readonly #journal: Pick<JournalWriter, 'note'>;
  readonly #clock: Pick<Clock, 'monotonicUs'>;
  readonly #recordedUs = new Map<string, number>();

  constructor(parts: {
    readonly journal: Pick<JournalWriter, 'note'>;
    readonly clock: Pick<Clock, 'monotonicUs'>;
  }) {
    this.#journal = parts.journal;
    this.#clock = parts.clock;
  }

  /** One that did nothing and is not remembered either, such as one that came again. */
  nothingDone(given: Given, answer: CommandAnswer): void {
    if (given.via === 'local' || this.#isNew(answer.outcome)) this.#journal.note(entryOf(given, answer));
  }

  /** What is no command for this terminal at all. */
  refused(reason: DocumentRefusal): void {
    if (this.#isNew(`refused/${reason}`))
      this.#journal.note({ kind: 'policy', body: { event: 'refused', of: 'command', reason } });
  }

  #isNew(what: string): boolean {
    const nowUs = this.#clock.monotonicUs();
    const before = this.#recordedUs.get(what);
    if (before !== undefined && nowUs - before < repeatedUs) return false;
    this.#recordedUs.set(what, nowUs);
    return true;
  }
}

/** The entry of a command; who gave it, why, and about whom, can be erased. */
export function entryOf(
  { command, via }: Given,
  {
    outcome,
    first,
    fault,
  }: Pick<CommandAnswer, 'first' | 'fault'> & { outcome: CommandOutcome | 'accepted' },
  facts?: KeptFacts,
): Occurrence {
  const { id, issuedBy, reason, action, issuedAtMs, expiresAtMs, givenAtMs } = command;
  const { kind, ...told } = action;
  const { holder, ...rest } = 'holder' in told ? told : { ...told, holder: undefined };
  const body: { [key: string]: JsonValue } = { id, command: kind, via, outcome };
  for (const [name, value] of Object.entries(rest)) if (value !== undefined) body[name] = value;
  if (via === 'issuance') Object.assign(body, { issuedAtMs, expiresAtMs });
  if (givenAtMs !== undefined) body.givenAtMs = givenAtMs;
  if (first !== undefined) body.first = first;
  if (fault !== undefined) body.fault = fault;
  const personal = { issuedBy, reason, ...(holder !== undefined && { holder }) };
  return { kind: 'command', body, personal, ...(facts && { facts }) };
}
