import { setTimeout } from 'node:timers/promises';
import { isFault } from '#core/fault.ts';
import type { Clock } from '#ports/clock.ts';
import { Stopped } from './permissions/import-run.ts';
import type { ListImporter } from './permissions/list-importer.ts';

/**
 * Longer than whoever waits for the lock of a SQLite file sleeps between two tries (adapters/sqlite), so that an urgent
 * change is never passed over.
 */
const restMs = 6;
/** a step with a bug in it is tried again no sooner */
const bugRestMs = 60_000;

/** Takes one short step at `nowMs`, and resolves to whether there may be more to do. A step cut off is taken again. */
export type BulkStep = (nowMs: number) => Promise<boolean>;

/** What is to be done for one organization. */
export interface OrganizationWork {
  /** what comes before lists and does not wait for the end of one, such as what is due */
  readonly steps: readonly BulkStep[];
  /** `pause` is to be called between two short transactions: it takes the steps, and stops the work where it must end */
  readonly importer: (pause: () => Promise<void>) => Lists;
}

type Lists = Pick<ListImporter, 'recover' | 'work'>;

export interface BulkOrganizationsParts {
  readonly clock: Clock;
  readonly list: () => Promise<readonly { readonly id: string }[]>;
  readonly open: (organizationId: string) => Promise<OrganizationWork>;
  /** how often it looks for itself what there is to do */
  readonly lookEveryMs: number;
  /** a Fault, or a bug: neither stops anything of another organization */
  readonly onError: (error: unknown, organizationId?: string) => void;
}

/**
 * Works for all organizations side by side, a short step of each at a time, so that a long list of one delays neither
 * what is due in another nor its policies. Of one organization nothing writes for a moment after each step.
 */
export class BulkOrganizations {
  readonly #parts: BulkOrganizationsParts;
  readonly #working = new Map<string, Promise<void>>();
  #stopping = false;
  #wake = new AbortController();

  constructor(parts: BulkOrganizationsParts) {
    this.#parts = parts;
  }

  /** Works until `stop`. */
  async run(): Promise<void> {
    const { list, onError } = this.#parts;
    while (!this.#stopping) {
      try {
        for (const { id } of await list()) {
          if (!this.#working.has(id)) this.#working.set(id, this.#workFor(id));
        }
      } catch (error) {
        onError(error);
      }
      await this.#look();
    }
    await Promise.all(this.#working.values());
  }

  /** There is something to do now. */
  look(): void {
    const wake = this.#wake;
    this.#wake = new AbortController();
    wake.abort();
  }

  /** Lets the steps under way end; `run` then resolves. */
  stop(): void {
    this.#stopping = true;
    this.look();
  }

  async #workFor(id: string): Promise<void> {
    const { open, onError } = this.#parts;
    let turns: Turns | undefined;
    while (!this.#stopping) {
      let worked = false;
      try {
        turns ??= new Turns({ ...this.#parts, id, work: await open(id), stopping: () => this.#stopping });
        worked = await turns.take();
      } catch (error) {
        // what was cut off begins anew
        turns = undefined;
        if (!(error instanceof Stopped)) onError(error, id);
      }
      if (!worked) await this.#look();
    }
  }

  async #look(): Promise<void> {
    if (this.#stopping) return;
    await setTimeout(this.#parts.lookEveryMs, undefined, { signal: this.#wake.signal }).catch(
      () => undefined,
    );
  }
}

interface TurnsParts extends Pick<BulkOrganizationsParts, 'clock' | 'onError'> {
  readonly id: string;
  readonly work: OrganizationWork;
  readonly stopping: () => boolean;
}

/** One organization's turns: its steps first, then one list, with its steps between the transactions of the list. */
class Turns {
  readonly #parts: TurnsParts;
  readonly #importer: Lists;
  /** steps that failed, and when they may be tried again */
  readonly #restUntilMs = new Map<BulkStep, number>();
  #recovered = false;

  constructor(parts: TurnsParts) {
    this.#parts = parts;
    this.#importer = parts.work.importer(async () => {
      await setTimeout(restMs);
      await this.#steps();
    });
  }

  /** Resolves to whether there may be more to do. */
  async take(): Promise<boolean> {
    let worked = false;
    while (await this.#steps()) worked = true;
    if (!this.#recovered) await this.#importer.recover();
    this.#recovered = true;
    return (await this.#importer.work()) || worked;
  }

  /** Takes each step once. Resolves to whether any may have more to do. */
  async #steps(): Promise<boolean> {
    const { work, clock, id, onError, stopping } = this.#parts;
    let worked = false;
    for (const step of work.steps) {
      if (stopping()) throw new Stopped();
      if (performance.now() < (this.#restUntilMs.get(step) ?? 0)) continue;
      try {
        if (!(await step(clock.utcMs()))) continue;
        worked = true;
      } catch (error) {
        this.#restUntilMs.set(step, performance.now() + (isFault(error) ? 1_000 : bugRestMs));
        onError(error, id);
      }
      await setTimeout(restMs);
    }
    return worked;
  }
}
