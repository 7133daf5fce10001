import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StateChange } from '#core/access/access-state.ts';
import { conditionHolds } from '#core/access/site-state.ts';
import type { JsonValue } from '#core/journal/record.ts';
import { type SiteAction, siteChanges } from '#core/sync/site-command.ts';

/** The facts of a terminal as a whole. */
class Site {
  readonly #facts = new Map<string, JsonValue>();

  shared(key: string): JsonValue | undefined {
    return this.#facts.get(key);
  }

  /** Whether anything was done. */
  take(action: SiteAction, givenAtMs: number, nowMs?: number): boolean {
    const changes: readonly StateChange[] | undefined = siteChanges(action, { givenAtMs, nowMs }, this);
    for (const { key, value } of changes ?? []) {
      if (value === undefined) this.#facts.delete(key);
      else this.#facts.set(key, value);
    }
    return changes !== undefined;
  }
}

const zoneNames = ['hall', 'lab', 'roof'];
const zones = fc.option(fc.subarray(zoneNames, { minLength: 1 }), { nil: undefined });
const given = fc
  .array(fc.record({ kind: fc.constantFrom('lockdown', 'end-lockdown'), zones }), { maxLength: 8 })
  .map((actions) => actions.map((action, at) => ({ action: action as SiteAction, atMs: at + 1 })));
type Given = { readonly action: SiteAction; readonly atMs: number };
const zonesOf = ({ action }: Given) => ('zones' in action ? action.zones : undefined);
const ends = ({ action }: Given) => action.kind === 'end-lockdown';

/** Whether `end` ends what `declared` declared of a zone, as they were given. */
function covers(end: Given, declared: Given, zone: string): boolean {
  if (!ends(end) || end.atMs < declared.atMs) return false;
  return (
    zonesOf(end) === undefined || (zonesOf(declared) !== undefined && zonesOf(end)?.includes(zone) === true)
  );
}

describe('conditions of a site', () => {
  it('hold where nothing that was given later ends them, in whatever order it all comes', () => {
    fc.assert(
      fc.property(
        given.chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }))),
        ([all, arriving]) => {
          const site = new Site();
          for (const { action, atMs } of arriving) site.take(action, atMs);
          for (const declared of all.filter((one) => !ends(one))) {
            for (const zone of zonesOf(declared) ?? zoneNames) {
              if (all.some((one) => covers(one, declared, zone))) continue;
              expect(conditionHolds('lockdown', [zone], site), zone).toBe(true);
            }
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('hold nowhere else where it comes in the order it was given', () => {
    fc.assert(
      fc.property(given, (all) => {
        const site = new Site();
        for (const { action, atMs } of all) site.take(action, atMs);
        for (const zone of zoneNames) {
          const standing = all.some(
            (one) =>
              !ends(one) &&
              (zonesOf(one)?.includes(zone) ?? true) &&
              !all.some((other) => covers(other, one, zone)),
          );
          expect(conditionHolds('lockdown', [zone], site), zone).toBe(standing);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('declared while the clock was ahead end as soon as it is right', () => {
    const [nowMs, dayMs] = [1_775_000_000_000, 86_400_000];
    const lift: SiteAction = { kind: 'end-lockdown' };
    const declared = (atMs: number): Site => {
      const site = new Site();
      site.take({ kind: 'lockdown' }, atMs, atMs);
      return site;
    };
    const ahead = declared(nowMs + dayMs);
    // as long as the clock here says so too, the end came before
    expect(ahead.take(lift, nowMs, nowMs + dayMs)).toBe(false);
    // where nobody knows the time, what is remembered counts
    expect(ahead.take(lift, nowMs)).toBe(false);
    expect(ahead.take(lift, nowMs, nowMs + 1)).toBe(true);
    expect(conditionHolds('lockdown', [], ahead)).toBe(false);
    // two clocks that are both right differ
    expect(declared(nowMs + 300_000).take(lift, nowMs, nowMs)).toBe(false);
    const raised = new Site();
    raised.take({ kind: 'threat-level', level: 3 }, nowMs + dayMs, nowMs + dayMs);
    expect(raised.take({ kind: 'threat-level', level: 1 }, nowMs, nowMs)).toBe(true);
  });

  it('given on the device itself may turn out to raise what was to be lowered, and leave a time that counts', () => {
    const site = new Site();
    expect(site.take({ kind: 'threat-level', level: 4 }, Number.POSITIVE_INFINITY)).toBe(true);
    expect(site.take({ kind: 'threat-level', level: 1 }, 1)).toBe(true);
    expect(site.shared('site/threat')).toBe(1);
  });
});
