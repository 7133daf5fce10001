import type { Logger } from 'pino';
import type { Command } from '#core/sync/command.ts';
import { checkCommand, commandResultBytes } from '#core/sync/command-message.ts';
import type { Checked } from '#core/sync/document.ts';
import { decodeSigned, type SignedDocument } from '#core/sync/signed.ts';
import { isSiteAction } from '#core/sync/site-command.ts';
import type { TrustRoot } from '#core/sync/trust.ts';
import type { PublishOutcome, UpMessage } from '#ports/message-bus.ts';
import type { CommandExecution } from './commands.ts';

export interface ServerCommandsParts {
  readonly terminal: string;
  readonly commands: CommandExecution;
  /** Whom this terminal believes; throws `policy-altered` while that cannot be read. */
  readonly root: () => TrustRoot;
  /** Asks for the roots that follow, where that is not too soon; never rejects. */
  readonly renewRoots: () => Promise<void>;
  readonly publish: (message: UpMessage) => Promise<PublishOutcome>;
  readonly log: Logger;
}

/**
 * more at once nobody means: what comes meanwhile is sent again. What is declared of the site never waits for them, for a
 * lockdown is carried out at once while everything else may wait for the disk.
 */
const mostRunning = 32;
/** results that are told again when their command comes again, before the terminal was restarted */
const resultsKept = 64;
const resultBytesKept = 1_048_576;

/** Takes commands of the server, has them carried out, and tells what came of them. */
export class ServerCommands {
  readonly #parts: ServerCommandsParts;
  readonly #running = new Set<string>();
  /** by the id, oldest first */
  readonly #results = new Map<string, Uint8Array>();
  #resultBytes = 0;

  constructor(parts: ServerCommandsParts) {
    this.#parts = parts;
  }

  /** Takes what was sent; it is carried out behind this. Rejects with `policy-altered` while nobody can be believed. */
  async received(payload: Uint8Array): Promise<void> {
    const read = decodeSigned(payload);
    if (read.kind === 'refused') return this.#parts.commands.refused(read.reason);
    const checked = this.#check(read.value);
    const strange = checked.kind === 'refused' && checked.reason === 'signatures-insufficient';
    // signed by keys that this terminal has not heard of yet, perhaps: others do not wait for that answer
    if (strange) this.#behind(this.#askForRoots(read.value));
    else this.#take(checked);
  }

  async #askForRoots(document: SignedDocument): Promise<void> {
    await this.#parts.renewRoots();
    this.#take(this.#check(document));
  }

  #take(checked: Checked<Command>): void {
    if (checked.kind === 'refused') return this.#parts.commands.refused(checked.reason);
    const command = checked.value;
    const known = this.#results.get(command.id);
    if (known) this.#behind(this.#tell(known));
    else if (this.#running.has(command.id)) return;
    else if (this.#running.size < mostRunning || isSiteAction(command.action))
      this.#behind(this.#execute(command));
    else
      this.#parts.log.warn(
        { command: command.action.kind, id: command.id },
        'a command was not taken: too many are being carried out',
      );
  }

  /** Nothing that comes from outside may end this terminal. */
  #behind(work: Promise<void>): void {
    work.catch((error: unknown) => this.#parts.log.error({ err: error }, 'a command could not be taken'));
  }

  #check(document: SignedDocument): Checked<Command> {
    const { root, terminal } = this.#parts;
    return checkCommand(document, { root: root(), terminal });
  }

  async #execute(command: Command): Promise<void> {
    const { id } = command;
    this.#running.add(id);
    try {
      const bytes = commandResultBytes(await this.#parts.commands.execute(command, 'issuance'));
      this.#keep(id, bytes);
      await this.#tell(bytes);
    } finally {
      this.#running.delete(id);
    }
  }

  /** Nothing waits for it: until the server has stored the result it sends the command again. */
  async #tell(payload: Uint8Array): Promise<void> {
    await this.#parts.publish({ kind: 'result', payload });
  }

  #keep(id: string, bytes: Uint8Array): void {
    this.#results.set(id, bytes);
    this.#resultBytes += bytes.length;
    for (const [oldest, { length }] of this.#results) {
      if (this.#results.size <= resultsKept && this.#resultBytes <= resultBytesKept) break;
      this.#results.delete(oldest);
      this.#resultBytes -= length;
    }
  }
}
