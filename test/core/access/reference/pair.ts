import fc from 'fast-check';
import { expect } from 'vitest';
import type { StateChange } from '#core/access/access-state.ts';
import type { Decision } from '#core/access/decision.ts';
import { takenBack } from '#core/access/fact-kinds.ts';
import { forgetPosition, resetZone } from '#core/access/rules/position.ts';
import { declareCondition, endCondition, setThreatLevel } from '#core/access/site-state.ts';
import type { JsonValue } from '#core/journal/record.ts';
import { hourMs, minuteMs, mondayMs, outcomeOf, RuleBench } from '../rules/rule-bench.ts';
import { type ModelEvent, type ModelPolicy, type ModelTap, mayPass } from './model.ts';

const dayMs = 24 * hourMs;
const durationText = (ms: number) => `${ms} ms`;

export const holders = [
  { holder: 'h1', groups: ['staff'] },
  { holder: 'h2', groups: ['staff', 'guard'] },
  { holder: 'h3', groups: ['visitor'] },
  { holder: 'h4', groups: ['chief'] },
  { holder: 'h5', groups: [] },
] as const;
export const readers = [
  { reader: 'r1', from: 'yard', to: 'lab' },
  { reader: 'r2', from: 'lab', to: 'yard' },
  { reader: 'r3', to: 'yard' },
  { reader: 'r4', from: 'yard' },
  { reader: 'r5' },
  { reader: 'r6', from: 'lab', to: 'lab' },
] as const;

/** In one of `of` policies: what every policy had would hide the rest. */
const sometimes = <T>(of: number, arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: of - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });

const zone = (id: string) =>
  fc.record({
    id: fc.constant(id),
    passback: sometimes(
      2,
      fc.record({
        forgiveAfterMs: sometimes(2, fc.constantFrom(hourMs, 8 * hourMs)),
        forgiveAtMinute: sometimes(2, fc.constantFrom(0, 240, 1439)),
      }),
    ),
    reentryMs: sometimes(4, fc.constantFrom(minuteMs, 20 * minuteMs)),
    limit: sometimes(2, fc.integer({ min: 1, max: 3 })),
  });

export const policies: fc.Arbitrary<ModelPolicy> = fc.record({
  zones: fc.tuple(zone('yard'), zone('lab')),
  permittedDoor: fc.oneof(
    { weight: 3, arbitrary: fc.constant(['staff', 'visitor']) },
    fc.subarray(['staff', 'visitor', 'guard']),
  ),
  permittedZones: fc.subarray([
    { group: 'staff', zone: 'lab' },
    { group: 'staff', zone: 'yard' },
    { group: 'visitor', zone: 'yard' },
  ]),
  pin: fc.boolean(),
  exempt: fc.constant('guard'),
  master: fc.record({
    group: fc.constant('chief'),
    freshForMs: fc.constantFrom(hourMs, dayMs),
    installedAtMs: fc.constantFrom(mondayMs - hourMs, mondayMs + hourMs),
  }),
  clearances: fc.subarray([
    { group: 'staff', clearance: 1 },
    { group: 'guard', clearance: 3 },
  ]),
  needs: fc.subarray([
    { fromLevel: 1, needs: 1 },
    { fromLevel: 3, needs: 2 },
  ]),
  doorReentryMs: sometimes(6, fc.constantFrom(minuteMs, hourMs)),
  together: fc.oneof(
    { weight: 2, arbitrary: fc.constant({}) },
    fc.record({ twoPersonMs: fc.constantFrom(20_000, minuteMs) }),
    fc.constant({ escort: { of: 'visitor', by: 'guard', withinMs: 30_000 } }),
  ),
  lockOut: sometimes(
    2,
    fc.constant({ after: 2, withinMs: 10 * minuteMs, firstMs: minuteMs, longestMs: 3 * minuteMs }),
  ),
  taxi: fc.record({ limit: fc.integer({ min: 1, max: 2 }), per: fc.constantFrom('day', undefined) }),
});

const condition = fc.constantFrom('lockdown' as const, 'evacuation' as const);
const where = fc.constantFrom('everywhere', 'everywhere', 'yard', 'lab');
export const steps = fc.oneof(
  {
    weight: 30,
    arbitrary: fc.record({
      do: fc.constant('tap' as const),
      who: fc.constantFrom(0, 0, 0, 1, 1, 2, 2, 3, 4),
      where: fc.nat(5),
      pin: fc.oneof({ weight: 9, arbitrary: fc.constant(true) }, fc.constant(false)),
      service: fc.constantFrom(undefined, undefined, 'vote' as const, 'taxi' as const),
      crash: fc.oneof({ weight: 20, arbitrary: fc.constant(false) }, fc.constant(true)),
    }),
  },
  {
    weight: 14,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.constantFrom(1, 20_000, 20_001, minuteMs, 10 * minuteMs, hourMs, 9 * hourMs, dayMs),
    }),
  },
  fc.record({ do: fc.constant('reboot' as const) }),
  fc.record({
    do: fc.constant('distrust' as const),
    offMs: fc.constantFrom(0, hourMs, -dayMs, 3650 * dayMs, -3650 * dayMs),
  }),
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('trust' as const),
      offMs: fc.constantFrom(0, 0, 0, -1000, -hourMs, dayMs),
    }),
  },
  fc.record({ do: fc.constant('declare' as const), condition, zone: where }),
  { weight: 4, arbitrary: fc.record({ do: fc.constant('end' as const), condition, zone: where }) },
  fc.record({ do: fc.constant('threat' as const), level: fc.constantFrom(0, 0, 1, 3) }),
  fc.record({ do: fc.constant('reset-zone' as const), zone: fc.constantFrom('yard', 'lab') }),
  fc.record({ do: fc.constant('forget' as const), who: fc.nat(4) }),
  { weight: 2, arbitrary: fc.record({ do: fc.constant('not-passed' as const) }) },
);
type Step = typeof steps extends fc.Arbitrary<infer T> ? T : never;

/** What the model's policy is in the rules of a site, and of its door. */
export function rulesOf(policy: ModelPolicy): ConstructorParameters<typeof RuleBench> {
  const zones = policy.zones.map(({ id, passback, reentryMs, limit }) => ({
    id,
    ...(passback && {
      passback: {
        mode: 'hard' as const,
        exempt: [policy.exempt],
        ...(passback.forgiveAfterMs && { forgiveAfter: durationText(passback.forgiveAfterMs) }),
        ...(passback.forgiveAtMinute !== undefined && { forgiveAt: clockText(passback.forgiveAtMinute) }),
      },
    }),
    ...(reentryMs && { reentry: { after: durationText(reentryMs) } }),
    ...(limit && { occupancy: { limit } }),
  }));
  const { lockOut, together, doorReentryMs, master, taxi } = policy;
  const { escort, twoPersonMs } = together;
  return [
    {
      zones,
      groups: ['staff', 'guard', 'visitor', 'chief'],
      permissions: [
        ...policy.permittedDoor.map((group) => ({ group, door: 'front' })),
        ...policy.permittedZones,
      ],
      lockdown: { exempt: [policy.exempt] },
      evacuation: { exempt: [policy.exempt] },
      master: { groups: [master.group], freshFor: durationText(master.freshForMs) },
      clearances: [...policy.clearances],
      services: [
        { id: 'vote', kind: 'once' },
        { id: 'taxi', kind: 'uses', limit: taxi.limit, ...(taxi.per && { per: taxi.per }) },
      ],
      ...(lockOut && {
        lockOut: {
          holder: {
            after: lockOut.after,
            within: durationText(lockOut.withinMs),
            first: durationText(lockOut.firstMs),
            longest: durationText(lockOut.longestMs),
            reasons: ['no-permission' as const],
          },
        },
      }),
    },
    {
      assurance: ['mutual-authentication', ...(policy.pin ? (['pin'] as const) : [])],
      clearance: [...policy.needs],
      ...(doorReentryMs && { reentry: { after: durationText(doorReentryMs) } }),
      ...(twoPersonMs && { twoPerson: { within: durationText(twoPersonMs) } }),
      ...(escort && { escort: { of: [escort.of], by: [escort.by], within: durationText(escort.withinMs) } }),
    },
  ];
}

function clockText(minute: number): string {
  const two = (number: number) => String(number).padStart(2, '0');
  return `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;
}

/** The engine and the history of what it did, side by side. */
export class Pair {
  readonly bench: RuleBench;
  readonly history: ModelEvent[] = [];
  readonly decisions: Decision[] = [];
  readonly #policy: ModelPolicy;
  #trueMs = mondayMs;
  #taps = 0;
  #granted: { tapId: string; passages: { change: StateChange; before: JsonValue | undefined }[] } | undefined;

  constructor(policy: ModelPolicy) {
    this.#policy = policy;
    this.bench = new RuleBench(...rulesOf(policy));
    this.bench.installedAtMs = policy.master.installedAtMs;
  }

  run(step: Step): void {
    const { bench, history } = this;
    switch (step.do) {
      case 'tap':
        return this.#tap(step);
      case 'wait':
        this.#trueMs += step.ms;
        return bench.pass(step.ms);
      case 'reboot':
        return bench.reboot();
      case 'distrust':
        return bench.distrust(this.#trueMs + step.offMs);
      case 'trust':
        return bench.trust(this.#trueMs + step.offMs);
      case 'declare': {
        const zones = step.zone === 'everywhere' ? undefined : [step.zone];
        bench.set(declareCondition(step.condition, bench.state(), zones));
        history.push({ kind: 'declare', condition: step.condition, zone: step.zone });
        return;
      }
      case 'end': {
        const zones = step.zone === 'everywhere' ? undefined : [step.zone];
        bench.set(endCondition(step.condition, bench.state(), zones));
        history.push({ kind: 'end', condition: step.condition, zone: step.zone });
        return;
      }
      case 'threat':
        bench.set(setThreatLevel(step.level));
        history.push({ kind: 'threat', level: step.level });
        return;
      case 'reset-zone':
        for (const change of resetZone(step.zone, bench.state())) bench.set(change);
        history.push({ kind: 'reset-zone', zone: step.zone });
        return;
      case 'forget': {
        const { holder } = holders[step.who] ?? holders[0];
        const fact = bench.facts.get(`${holder}|at`);
        for (const change of forgetPosition(holder, fact, bench.state())) bench.set(change);
        history.push({ kind: 'forget', holder });
        return;
      }
      case 'not-passed':
        return this.#notPassed();
      default:
        return step satisfies never;
    }
  }

  #tap(step: Extract<Step, { do: 'tap' }>): void {
    const { bench, history } = this;
    const { holder, groups } = holders[step.who] ?? holders[0];
    const { reader, ...way } = readers[step.where] ?? readers[0];
    const { service } = step;
    this.#taps += 1;
    const tapId = `t${this.#taps}`;
    const tap: ModelTap = {
      kind: 'tap',
      tapId,
      reader,
      ...way,
      holder,
      groups,
      pin: step.pin,
      ...(service && { service }),
      time: bench.time,
    };
    const may = mayPass(this.#policy, history, tap);
    const before = new Map(bench.facts);
    const who = { holderId: holder, groups, pin: step.pin };
    const request = { tapId, readerId: reader, ...way, ...(service && { service: { id: service } }) };
    const decision = bench.tap(who, request);
    this.decisions.push(decision);
    expect(decision.kind === 'granted', `${JSON.stringify(tap)} ${JSON.stringify(decision)}`).toBe(may);
    if (step.crash) return this.#crash(before);
    history.push({ ...tap, outcome: outcomeOf(decision) });
    if (decision.kind === 'granted') this.#remember(tapId, decision, before);
  }

  #remember(
    tapId: string,
    { changes }: Extract<Decision, { kind: 'granted' }>,
    before: ReadonlyMap<string, JsonValue>,
  ): void {
    const passages = changes.map((change) => ({ change, before: before.get(nameOf(change)) }));
    this.#granted = { tapId, passages };
  }

  /** The power fails before the decision is on the disk: nothing opened, nothing is remembered. */
  #crash(before: ReadonlyMap<string, JsonValue>): void {
    this.bench.facts.clear();
    for (const [name, value] of before) this.bench.facts.set(name, value);
    this.bench.reboot();
  }

  #notPassed(): void {
    const { bench, history } = this;
    if (!this.#granted) return;
    const { tapId, passages } = this.#granted;
    this.#granted = undefined;
    const found = passages.map((one) => ({ ...one, now: bench.facts.get(nameOf(one.change)) }));
    for (const change of takenBack(found, 'not-passed', bench.state())) bench.set(change);
    history.push({ kind: 'not-passed', tapId });
  }
}

function nameOf({ holderId = '', key }: StateChange): string {
  return `${holderId}|${key}`;
}
