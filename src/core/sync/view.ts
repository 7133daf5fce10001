import type { SiteRules } from '#core/access/site-rules.ts';
import { type Reference, references } from '#core/access/site-rules-check.ts';
import type { BucketHolder } from './bucket.ts';

/** The places of one terminal, by the names of the rules. */
export interface TerminalPlaces {
  readonly doors: readonly string[];
  /** zones that its readers lead to */
  readonly zones: readonly string[];
  /** services that taps at its readers are for */
  readonly services: readonly string[];
}

/**
 * What one terminal needs of a policy: it decides by it as by the whole, but for holders whom nothing opens there, of
 * whom it knows nothing. Terminals whose `holderPart` is the same share all buckets.
 */
export interface PolicyView {
  readonly rules: SiteRules;
  /** one of these a holder must be in for anything to open */
  readonly opening: ReadonlySet<string>;
  /** which holders, and what of them */
  readonly holderPart: string;
}

/**
 * The view of a terminal. Zones and what holds for the site stay whole: they are few, and positions of holders may lie
 * in any zone.
 */
export function viewOf(rules: SiteRules, places: TerminalPlaces): PolicyView {
  const [doors, zones, services] = [places.doors, places.zones, places.services].map((ids) => new Set(ids));
  const kept = {
    ...rules,
    doors: rules.doors.filter(({ id }) => doors?.has(id)),
    permissions: rules.permissions.filter(
      ({ door, zone }) =>
        (door !== undefined && doors?.has(door)) || (zone !== undefined && zones?.has(zone)),
    ),
    services: rules.services.filter(({ id }) => services?.has(id)),
  };
  const groups = namesOf(kept, 'group');
  const opening = new Set([...kept.permissions.map(({ group }) => group), ...(rules.master?.groups ?? [])]);
  return {
    rules: { ...withoutUnused(kept), groups: rules.groups.filter((group) => groups.has(group)) },
    opening,
    holderPart: JSON.stringify([[...opening].sort(), [...groups].sort()]),
  };
}

/** What the view has of a holder: those groups alone that the rules name; undefined where nothing opens for them there. */
export function inView(
  { opening, rules }: Pick<PolicyView, 'opening'> & { readonly rules: Pick<SiteRules, 'groups'> },
  holder: BucketHolder,
): BucketHolder | undefined {
  if (!holder.groups.some((group) => opening.has(group))) return undefined;
  return { ...holder, groups: holder.groups.filter((group) => rules.groups.includes(group)) };
}

/** What of the view the text `holderPart` says: as much as {@link inView} asks for. */
export function parseHolderPart(holderPart: string): Parameters<typeof inView>[0] {
  const [opening, groups] = JSON.parse(holderPart) as [string[], string[]];
  return { opening: new Set(opening), rules: { groups } };
}

/** Without schedules that nothing refers to, nor calendars and public holidays that no schedule does. */
function withoutUnused({ japaneseHolidays, ...rules }: SiteRules): SiteRules {
  const used = namesOf(rules, 'schedule');
  const schedules = rules.schedules.filter(({ id }) => used.has(id));
  const calendars = rules.calendars.filter(({ id }) => schedules.some(({ calendar }) => calendar === id));
  const holidays = calendars.some((calendar) => calendar.holidays !== undefined);
  return { ...rules, schedules, calendars, ...(holidays && japaneseHolidays ? { japaneseHolidays } : {}) };
}

function namesOf(rules: SiteRules, kind: Reference['to']): ReadonlySet<string> {
  const names = [...references(rules)].flatMap(({ to, name }) =>
    to === kind && name !== undefined ? [name] : [],
  );
  return new Set(names);
}
