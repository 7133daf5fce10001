import { unknownDays } from './schedule.ts';
import type { SiteRulesInYaml } from './site-rules.ts';

interface Contradiction {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

interface Reference extends Pick<Contradiction, 'path'> {
  readonly to: 'schedule' | 'group' | 'door' | 'zone';
  readonly name: string | undefined;
}

/** Names that stand twice, and names that nothing bears. */
export function* contradictions(rules: SiteRulesInYaml): Iterable<Contradiction> {
  for (const list of ['profiles', 'calendars', 'schedules', 'zones', 'doors'] as const) {
    const ids = rules[list].map((one) => one.id);
    yield* repeated(ids).map((at) => twice([list, at, 'id'], ids[at]));
  }
  yield* repeated(rules.groups).map((at) => twice(['groups', at], rules.groups[at]));
  const keys = rules.permissions.map((one) => JSON.stringify([one.group, one.door, one.zone, one.schedule]));
  yield* repeated(keys).map((at) => twice(['permissions', at], 'this permission'));

  yield* unknownDays(rules.schedules, rules.calendars);
  const known = {
    schedule: new Set(rules.schedules.map(({ id }) => id)),
    group: new Set(rules.groups),
    door: new Set(rules.doors.map(({ id }) => id)),
    zone: new Set(rules.zones.map(({ id }) => id)),
  };
  for (const { path, to, name } of references(rules)) {
    if (name !== undefined && !known[to].has(name)) yield unknown(path, to, name);
  }
}

/** Every place where one part of the rules names another. */
function* references(rules: SiteRulesInYaml): Iterable<Reference> {
  for (const [at, { group, door, zone, schedule }] of rules.permissions.entries()) {
    const path = ['permissions', at];
    for (const [to, name] of Object.entries({ group, door, zone, schedule })) {
      yield { path: [...path, to], to: to as Reference['to'], name };
    }
  }
  for (const [at, door] of rules.doors.entries()) {
    for (const [index, { schedule }] of door.additional.entries()) {
      yield { path: ['doors', at, 'additional', index, 'schedule'], to: 'schedule', name: schedule };
    }
    yield* namedByHolds(['doors', at], door);
  }
  yield* groupsIn(['longerAccess'], rules.longerAccess);
  yield* groupsIn(['lockdown', 'exempt'], rules.lockdown?.exempt);
  yield* groupsIn(['evacuation', 'exempt'], rules.evacuation?.exempt);
  yield* groupsIn(['master', 'groups'], rules.master?.groups);
  for (const [at, { group }] of rules.clearances.entries()) {
    yield { path: ['clearances', at, 'group'], to: 'group', name: group };
  }
}

function* namedByHolds(
  path: Contradiction['path'],
  { unlock, toggle, timedHold }: SiteRulesInYaml['doors'][number],
): Iterable<Reference> {
  for (const [index, { schedule, afterFirstOf }] of unlock.entries()) {
    yield { path: [...path, 'unlock', index, 'schedule'], to: 'schedule', name: schedule };
    yield* groupsIn([...path, 'unlock', index, 'afterFirstOf'], afterFirstOf);
  }
  yield { path: [...path, 'toggle', 'schedule'], to: 'schedule', name: toggle?.schedule };
  yield* groupsIn([...path, 'toggle', 'groups'], toggle?.groups);
  yield* groupsIn([...path, 'timedHold', 'groups'], timedHold?.groups);
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
