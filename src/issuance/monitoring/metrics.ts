import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** seconds */
const short = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** organizations that are told apart; the further ones are one */
const mostOrganizations = 50;

/** What a value is when it is asked for; `undefined` while there is none. By organization where it is a map. */
export type Reading = number | undefined | ReadonlyMap<string, number>;

/**
 * What this process counts, for Prometheus. Nothing in it names a person, a card or a terminal, and no label has more
 * than a few dozen values, however many there are of what it tells apart.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #organizations = new Set<string>();
  /** by whom and why: what was told to come later, was cut off or was not believed */
  readonly refused = this.#counter('kazasu_refused_total', 'Connections and requests refused', ['by', 'why']);
  readonly messagesTaken = this.#counter('kazasu_messages_taken_total', 'Messages of terminals taken', [
    'kind',
  ]);
  readonly messagesSent = this.#counter('kazasu_messages_sent_total', 'Messages to terminals, by outcome', [
    'kind',
    'outcome',
  ]);
  readonly commitSeconds = this.#histogram(
    'kazasu_journal_commit_seconds',
    'To check and store batches of journals together',
    short,
    [],
  );
  readonly answerSeconds = this.#histogram('kazasu_answer_seconds', 'To answer a request', short, [
    'listener',
    'status',
  ]);
  readonly databaseSeconds = this.#histogram('kazasu_database_seconds', 'Of one statement', short, [
    'database',
  ]);
  readonly entriesStored = this.#counter('kazasu_journal_entries_total', 'Journal entries stored', [
    'organization',
  ]);

  /** Begins to count what Node tells of itself: memory, delay of the event loop, garbage collection. */
  start(): void {
    collectDefaultMetrics({ register: this.#registry });
  }

  /** A value that is asked for when the metrics are: a queue's length, an age in seconds. */
  watch(name: `kazasu_${string}`, help: string, read: () => Reading | Promise<Reading>): void {
    const metrics = this;
    new Gauge({
      name,
      help,
      labelNames: ['organization'],
      registers: [this.#registry],
      async collect() {
        this.reset();
        const reading = await read();
        if (reading === undefined) return;
        if (typeof reading === 'number') return this.set(reading);
        for (const [organization, value] of reading) {
          this.inc({ organization: metrics.organization(organization) }, value);
        }
      },
    });
  }

  /** The label of an organization. */
  organization(id: string): string {
    if (this.#organizations.size < mostOrganizations) this.#organizations.add(id);
    return this.#organizations.has(id) ? id : 'other';
  }

  /** Text as Prometheus reads it, and its media type. */
  async text(): Promise<{ readonly text: string; readonly type: string }> {
    return { text: await this.#registry.metrics(), type: this.#registry.contentType };
  }

  #counter<T extends string>(name: string, help: string, labelNames: readonly T[]): Counter<T> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  #histogram<T extends string>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: readonly T[],
  ): Histogram<T> {
    return new Histogram({ name, help, buckets, labelNames, registers: [this.#registry] });
  }
}
