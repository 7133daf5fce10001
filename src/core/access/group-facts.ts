import type { JsonValue } from '#core/journal/record.ts';
import { joinFacts } from './fact-kinds.ts';
import { positionSince } from './rules/position.ts';
import type { SiteRules } from './site-rules.ts';

/** What of the rules says which facts count across terminals. */
export type GroupRules = Pick<SiteRules, 'zones' | 'doors' | 'services' | 'terminalGroups'>;

/** A fact as one terminal has it. */
export interface Register {
  /** absent: the terminal has forgotten it */
  readonly value?: JsonValue | undefined;
  /** when it was changed there, milliseconds UTC */
  readonly atMs: number;
  /** the order in which the server came to know what terminals have */
  readonly number: number;
  /** up to which number the terminal knew the others when it changed it */
  readonly heard: number;
}

/** The groups in which a fact counts, by its key; none: it is the business of each terminal alone. */
export function groupsOfFact(key: string, rules: GroupRules): readonly string[] {
  const named = scopesOfFact(key, rules).flatMap((scope) => (scope ? [scope.group] : []));
  return [...new Set(named)];
}

type Scoped = { readonly group: string } | undefined;

function scopesOfFact(key: string, { zones, doors, services }: GroupRules): readonly Scoped[] {
  const [kind, ...rest] = key.split('/');
  const ofZones = (zone?: string) =>
    zones
      .filter(({ id }) => zone === undefined || id === zone)
      .flatMap(({ passback, occupancy }) => [passback?.scope, occupancy?.scope]);
  switch (kind) {
    case 'at':
      // who is in a zone is elsewhere no more
      return ofZones();
    case 'count':
    case 'epoch':
      return ofZones(rest.join('/'));
    case 'passed':
      return [...(rest[0] === 'door' ? doors : zones)]
        .filter(({ id }) => id === rest[1])
        .map(({ reentry }) => reentry?.scope);
    case 'once':
    case 'uses':
    case 'loans':
    case 'loan':
      return services
        .filter(({ id }) => id === rest[0])
        .map((service) => ('scope' in service ? service.scope : undefined));
    default:
      return [];
  }
}

/** The terminals with which `terminal` shares a fact; itself among them. None where it shares it with nobody. */
export function sharers(key: string, terminal: string, rules: GroupRules): ReadonlySet<string> {
  const groups = groupsOfFact(key, rules);
  const own = rules.terminalGroups.filter(
    ({ id, terminals }) => groups.includes(id) && terminals.includes(terminal),
  );
  return new Set(own.flatMap(({ terminals }) => terminals));
}

/** Kinds of which one value takes the place of another; of all others what each terminal has stays part of the whole. */
const replaced = /^(?:at|passed)(?:\/|$)/;

/**
 * What holds of a fact that several terminals have, each as it says last; undefined for none. The same in any order. Whoever
 * knew of another's has taken its place, whatever their clocks show. Of those that did not know of each other the join
 * decides; where one of them has forgotten a holder later than any other saw the holder, nobody knows.
 */
export function heldTogether(key: string, registers: readonly Register[]): JsonValue | undefined {
  const standing = replaced.test(key)
    ? registers.filter((one) => !registers.some((other) => other !== one && other.heard >= one.number))
    : registers;
  const values = standing.flatMap(({ value }) => (value === undefined ? [] : [value]));
  const held = values.reduce<JsonValue | undefined>(
    (joined, value) => (joined === undefined ? value : joinFacts(key, joined, value)),
    undefined,
  );
  if (key !== 'at' || held === undefined) return held;
  const forgotten = standing.flatMap(({ value, atMs }) => (value === undefined ? [atMs] : []));
  return Math.max(...forgotten, 0) > positionSince(held) ? undefined : held;
}
