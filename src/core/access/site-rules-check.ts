import { unknownDays } from './schedule.ts';
import type { RulesDoor, RulesZone, SiteRules, SiteRulesInYaml } from './site-rules.ts';

interface Contradiction {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

export interface Reference extends Pick<Contradiction, 'path'> {
  readonly to: 'schedule' | 'group' | 'door' | 'zone' | 'terminalGroup';
  readonly name: string | undefined;
}

/** Names that stand twice, and names that nothing bears. */
export function* contradictions(rules: SiteRulesInYaml | SiteRules): Iterable<Contradiction> {
  for (const list of [
    'profiles',
    'calendars',
    'schedules',
    'zones',
    'doors',
    'terminalGroups',
    'services',
  ] as const) {
    const ids = rules[list].map((one) => one.id);
    yield* repeated(ids).map((at) => twice([list, at, 'id'], ids[at]));
  }
  yield* repeated(rules.groups).map((at) => twice(['groups', at], rules.groups[at]));
  const keys = rules.permissions.map((one) =>
    JSON.stringify([one.group, one.door, one.zone, one.schedule, one.floors]),
  );
  yield* repeated(keys).map((at) => twice(['permissions', at], 'this permission'));

  yield* unknownDays(rules.schedules, rules.calendars);
  const known = {
    schedule: new Set(rules.schedules.map(({ id }) => id)),
    group: new Set(rules.groups),
    door: new Set(rules.doors.map(({ id }) => id)),
    zone: new Set(rules.zones.map(({ id }) => id)),
    terminalGroup: new Set(rules.terminalGroups.map(({ id }) => id)),
  };
  yield* tooLargeShares(rules);
  for (const [at, { twoPerson, escort }] of rules.doors.entries()) {
    if (!twoPerson || !escort) continue;
    const message =
      'a door has either "twoPerson" or "escort": of two who wait for each other none would open it';
    yield { path: ['doors', at, 'escort'], message };
  }
  for (const { path, to, name } of references(rules)) {
    if (name !== undefined && !known[to].has(name)) yield unknown(path, to, name);
  }
}

/** Shares that together exceed the limit they are shares of: cut off from each other, terminals would grant too many. */
function* tooLargeShares(rules: SiteRulesInYaml | SiteRules): Iterable<Contradiction> {
  const terminals = new Map(rules.terminalGroups.map((group) => [group.id, group.terminals.length]));
  const limited = [
    ...rules.zones.map(({ occupancy }, at) => ({ path: ['zones', at, 'occupancy'], rule: occupancy })),
    ...rules.services.map((service, at) => ({
      path: ['services', at],
      rule: 'limit' in service ? service : undefined,
    })),
  ];
  for (const { path, rule } of limited) {
    if (rule?.scope?.apart !== 'share') continue;
    const all = (terminals.get(rule.scope.group) ?? 0) * rule.scope.share;
    if (all <= rule.limit) continue;
    const message = `the shares of all terminals are ${all} together, more than the limit of ${rule.limit}`;
    yield { path: [...path, 'scope', 'share'], message };
  }
}

/** Every place where one part of the rules names another. */
export function* references(rules: SiteRulesInYaml | SiteRules): Iterable<Reference> {
  for (const [at, { group, door, zone, schedule }] of rules.permissions.entries()) {
    const path = ['permissions', at];
    for (const [to, name] of Object.entries({ group, door, zone, schedule })) {
      yield { path: [...path, to], to: to as Reference['to'], name };
    }
  }
  for (const [at, door] of rules.doors.entries()) yield* referencesOfDoor(['doors', at], door);
  for (const [at, zone] of rules.zones.entries()) yield* referencesOfZone(['zones', at], zone);
  for (const [at, service] of rules.services.entries()) {
    if ('scope' in service) yield scopeIn(['services', at], service);
  }
  yield* groupsIn(['longerAccess'], rules.longerAccess);
  yield* groupsIn(['lockdown', 'exempt'], rules.lockdown?.exempt);
  yield* groupsIn(['evacuation', 'exempt'], rules.evacuation?.exempt);
  yield* groupsIn(['master', 'groups'], rules.master?.groups);
  for (const [at, { group }] of rules.clearances.entries()) {
    yield { path: ['clearances', at, 'group'], to: 'group', name: group };
  }
}

function* referencesOfDoor(path: Contradiction['path'], door: RulesDoor): Iterable<Reference> {
  for (const [at, { schedule }] of door.additional.entries()) {
    yield { path: [...path, 'additional', at, 'schedule'], to: 'schedule', name: schedule };
  }
  yield* groupsIn([...path, 'ageing', 'inReduced', 'groups'], door.ageing?.inReduced.groups);
  for (const [at, { schedule, afterFirstOf }] of door.unlock.entries()) {
    yield { path: [...path, 'unlock', at, 'schedule'], to: 'schedule', name: schedule };
    yield* groupsIn([...path, 'unlock', at, 'afterFirstOf'], afterFirstOf);
  }
  yield { path: [...path, 'toggle', 'schedule'], to: 'schedule', name: door.toggle?.schedule };
  yield* groupsIn([...path, 'toggle', 'groups'], door.toggle?.groups);
  yield* groupsIn([...path, 'timedHold', 'groups'], door.timedHold?.groups);
  yield { path: [...path, 'twoPerson', 'schedule'], to: 'schedule', name: door.twoPerson?.schedule };
  yield* groupsIn([...path, 'escort', 'of'], door.escort?.of);
  yield* groupsIn([...path, 'escort', 'by'], door.escort?.by);
  yield* groupsIn([...path, 'reentry', 'exempt'], door.reentry?.exempt);
  yield scopeIn([...path, 'reentry'], door.reentry);
}

function* referencesOfZone(path: Contradiction['path'], zone: RulesZone): Iterable<Reference> {
  for (const rule of ['passback', 'reentry'] as const) {
    yield* groupsIn([...path, rule, 'exempt'], zone[rule]?.exempt);
    yield scopeIn([...path, rule], zone[rule]);
  }
  yield scopeIn([...path, 'occupancy'], zone.occupancy);
}

function scopeIn(
  path: Contradiction['path'],
  rule: { readonly scope?: { readonly group: string } | undefined } | undefined,
): Reference {
  return { path: [...path, 'scope', 'group'], to: 'terminalGroup', name: rule?.scope?.group };
}

function* groupsIn(path: Contradiction['path'], groups: readonly string[] = []): Iterable<Reference> {
  for (const [at, name] of groups.entries()) yield { path: [...path, at], to: 'group', name };
}
function repeated(names: readonly string[]): readonly number[] {
  const seen = new Set<string>();
  return names.flatMap((name, index) => {
    const again = seen.has(name);
    seen.add(name);
    return again ? [index] : [];
  });
}

function twice(path: Contradiction['path'], name = ''): Contradiction {
  return { path, message: `"${name}" stands twice; remove one` };
}

function unknown(path: Contradiction['path'], to: Reference['to'], name: string): Contradiction {
  return { path, message: `"${name}" is not listed under ${to}s; add it there or correct it` };
}
