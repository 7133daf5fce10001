import { z } from 'zod';
import { FactsReader } from '#adapters/sqlite/facts.ts';
import { partsSchema, total } from '#core/access/counting.ts';
import type { JsonValue } from '#core/journal/record.ts';

/** Events that are new to each terminal of the kill test; it asks for as many of the one before again. */
export const eventsOfARun = 4;
export const eventId = (index: number): string => `event-${index}`;

const body = z.looseObject({
  result: z.string(),
  reason: z.string().optional(),
  to: z.string().optional(),
  service: z.looseObject({ id: z.string() }).optional(),
  basis: z
    .looseObject({ path: z.array(z.looseObject({ rule: z.string(), used: z.unknown().optional() })) })
    .optional(),
});
type Body = z.output<typeof body>;
const usesUsed = z.looseObject({ used: z.number() });

/** What the journal says that a terminal of kill-terminal.ts remembers, decision by decision. */
export class JournalledMemory {
  /** decisions as if an earlier grant had not been */
  readonly forgotten: string[] = [];
  /** decisions as if there had been a grant that is not in the journal */
  readonly invented: string[] = [];
  readonly granted = new Set<string>();
  readonly #admitted = new Set<string>();
  #zone: string | undefined;
  #uses = 0;

  take(tapId: string, value: { readonly [key: string]: JsonValue }): void {
    const decision = body.parse(value);
    if (decision.to === undefined) this.#takeEvent(tapId, decision);
    else this.#takePassage(tapId, decision, decision.to);
    if (decision.result === 'granted') this.granted.add(tapId);
  }

  #takePassage(tapId: string, decision: Body, to: string): void {
    if (decision.result !== 'granted') {
      const inside = decision.reason === (to === 'hall' ? 'already-inside' : 'not-inside');
      if (!inside || to !== this.#zone) this.invented.push(`${tapId} ${decision.reason}`);
      return;
    }
    if (to === this.#zone) this.forgotten.push(tapId);
    this.#zone = to;
    if (decision.service) this.#takeUse(tapId, decision);
  }

  #takeUse(tapId: string, { basis }: Body): void {
    const { used } = usesUsed.parse(basis?.path.find(({ rule }) => rule === 'service')?.used);
    if (used < this.#uses) this.forgotten.push(`${tapId} after ${used} uses of ${this.#uses}`);
    if (used > this.#uses) this.invented.push(`${tapId} after ${used} uses of ${this.#uses}`);
    this.#uses += 1;
  }

  #takeEvent(tapId: string, { result, reason, service }: Body): void {
    if (!service) throw new Error('a tap at no zone and for no event');
    const before = this.#admitted.has(service.id);
    if (result === 'granted' && before) this.forgotten.push(`${tapId} ${service.id}`);
    if (result !== 'granted' && !(before && reason === 'already-admitted'))
      this.invented.push(`${tapId} ${reason}`);
    if (result === 'granted') this.#admitted.add(service.id);
  }

  /** Whether the facts beside the journal say the same, no more and no less. */
  agreesWith(journal: string): boolean {
    const facts = new FactsReader(journal);
    const own = facts.of('sato');
    const at = own.get('at') as { zone: string } | undefined;
    const inside = facts.of('').get('count/hall') as { parts: JsonValue } | undefined;
    const uses = own.get('uses/lunch') as { parts: JsonValue } | undefined;
    const count = (found: { parts: JsonValue } | undefined) => total(partsSchema.parse(found?.parts ?? []));
    const admitted = [...own.keys()].filter((key) => key.startsWith('once/'));
    return (
      at?.zone === this.#zone &&
      count(inside) === (this.#zone === 'hall' ? 1 : 0) &&
      count(uses) === this.#uses &&
      admitted.length === this.#admitted.size &&
      admitted.every((key) => this.#admitted.has(key.slice('once/'.length)))
    );
  }

  /** how much there was to forget */
  counts(): { readonly uses: number; readonly admissions: number } {
    return { uses: this.#uses, admissions: this.#admitted.size };
  }
}
