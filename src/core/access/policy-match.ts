import type { DoorRules } from './policy.ts';
import type { TapRequest } from './rule.ts';
import { isServed } from './rules/service.ts';

/** A door and its readers as the configuration of the terminal names them. */
export interface NamedDoor {
  readonly doorId: string;
  /** its own zones, beside those of its readers */
  readonly zones: readonly string[];
  readonly readers: readonly Pick<TapRequest, 'from' | 'to' | 'service'>[];
}

/** What is lacking in a policy that a configuration counts on. */
export interface Lacking {
  readonly door: boolean;
  readonly zones: readonly string[];
  readonly services: readonly string[];
}

/**
 * What the configuration of a door counts on and the policy lacks: the door itself, its zones, services that its
 * readers ask for. A reader may lead to or from outside, which no policy names; but one that leads between zones, none
 * of which the policy has, is misspelt. A policy without zones goes by none.
 */
export function lackingIn(rules: DoorRules, { zones, readers }: NamedDoor): Lacking {
  const isUnknown = (zone: string): boolean => rules.zones.size > 0 && !rules.zones.has(zone);
  const ways = readers.map(({ from, to }) => [from, to].filter((zone) => zone !== undefined));
  const astray = ways.filter((way) => way.length > 0 && way.every(isUnknown)).flat();
  const asked = readers.flatMap(({ service }) => service ?? []);
  const unserved = asked.filter((service) => !isServed(service, rules.site.services));
  return {
    door: rules.door === undefined,
    zones: [...new Set([...zones.filter(isUnknown), ...astray])].toSorted(),
    services: [...new Set(unserved.map(({ id }) => id))].toSorted(),
  };
}
