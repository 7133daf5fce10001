import type { z } from 'zod';
import type { AccessState, StateChange } from '#core/access/access-state.ts';
import { decide } from '#core/access/decide.ts';
import type { Decision } from '#core/access/decision.ts';
import type { Holder, PolicySlice } from '#core/access/policy.ts';
import type { DecisionTime, TapRequest } from '#core/access/rule.ts';
import type { siteRulesSchema } from '#core/access/site-rules.ts';
import type { Reading } from '#core/card/reading.ts';
import type { JsonValue } from '#core/journal/record.ts';
import { doorRules, staffSlice, tapRequest, trustedTime } from '../../../policy-slices.ts';

type RulesInput = Partial<z.input<typeof siteRulesSchema>>;
type DoorInput = z.input<typeof siteRulesSchema>['doors'][number];

/** Monday 2026-11-16 09:00 in Tokyo. */
export const mondayMs = Date.UTC(2026, 10, 16, 0, 0);
export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;

export const reading: Reading = {
  organization: 'example',
  profileId: 'type-a',
  method: 'type-a',
  userNumber: '0012345678',
  assurance: ['mutual-authentication', 'message-authentication'],
  timings: { connectUs: 0, selectUs: 0, authenticateUs: 0, authenticateCardUs: 0, readUs: 0, exchanges: 4 },
};

interface Who {
  readonly holderId?: string;
  readonly groups?: readonly string[];
  readonly pin?: boolean;
  /** whether the card authenticated itself */
  readonly proven?: boolean;
}

/**
 * Taps decided one after the other at one terminal, with facts kept as the terminal keeps them: those of a decision
 * count for the next one, and outlast `reboot()`; who waits is forgotten with the power.
 */
export class RuleBench {
  readonly facts = new Map<string, JsonValue>();
  readonly #rules: RulesInput;
  readonly #door: DoorInput;
  readonly #waiting = new Map<string, string>();
  /** what the policy has of a holder at this door */
  lookUp: (holder: Holder) => Partial<PolicySlice>;
  #taps = 0;
  #boot = 1;
  terminal = 'terminal-1';
  apart = true;
  installedAtMs = 0;
  policyVersion = 7;
  time: DecisionTime = { ...trustedTime(mondayMs), monotonicMs: hourMs };

  constructor(rules: RulesInput, door: Partial<DoorInput> = {}) {
    this.#rules = rules;
    this.#door = { id: 'front', ...door };
    this.lookUp = (holder) => ({ rules: doorRules(this.#door, this.#rules), holder });
  }

  pass(ms: number): void {
    const { utcMs, monotonicMs, ...rest } = this.time;
    this.time = { ...rest, utcMs: utcMs + ms, monotonicMs: monotonicMs + ms };
  }

  reboot(): void {
    this.#boot += 1;
    this.#waiting.clear();
    this.time = { ...this.time, monotonicMs: 0, bootId: `boot-${this.#boot}` };
  }

  /** The clock shows `utcMs`, and nobody vouches for it. */
  distrust(utcMs: number): void {
    this.time = {
      ...this.time,
      floorMs: Math.max(this.time.floorMs, this.time.utcMs),
      utcMs,
      trusted: false,
    };
  }

  trust(utcMs: number): void {
    this.time = { ...this.time, utcMs, trusted: true };
  }

  set(change: StateChange): void {
    const key = `${change.holderId ?? ''}|${change.key}`;
    if (change.value === undefined) this.facts.delete(key);
    else this.facts.set(key, JSON.parse(JSON.stringify(change.value)));
  }

  state(holderId = 'h1'): AccessState {
    return {
      terminal: this.terminal,
      shared: (key) => this.facts.get(`|${key}`),
      holder: (key) => this.facts.get(`${holderId}|${key}`),
      apart: () => this.apart,
      companion: (tapId) => {
        const first = this.#waiting.get(tapId);
        return first === undefined
          ? undefined
          : { holderId: first, fact: (key) => this.facts.get(`${first}|${key}`) };
      },
    };
  }

  tap(who: Who = {}, request: Partial<TapRequest> = {}): Decision {
    const { holderId = 'h1', groups = ['staff'], pin = false, proven = true } = who;
    this.#taps += 1;
    const asked = tapRequest({ tapId: `tap-${this.#taps}`, ...request });
    const decision = decide({
      reading: {
        ...reading,
        assurance: [...(proven ? reading.assurance : []), ...(pin ? (['pin'] as const) : [])],
      },
      request: asked,
      slice: staffSlice({
        version: {
          number: this.policyVersion,
          organization: 'example',
          timeZone: 'Asia/Tokyo',
          installedAtMs: this.installedAtMs,
        },
        ...this.lookUp({ holderId, status: 'active', groups }),
      }),
      state: this.state(holderId),
      time: this.time,
    });
    if (decision.kind !== 'needs') for (const change of decision.changes) this.set(change);
    if (decision.kind === 'waits') this.#waiting.set(asked.tapId, holderId);
    return decision;
  }

  /** `granted`, or the reason why not. */
  outcome(who: Who = {}, request: Partial<TapRequest> = {}): string {
    return outcomeOf(this.tap(who, request));
  }
}

export function outcomeOf(decision: Decision): string {
  return decision.kind === 'denied' || decision.kind === 'waits' ? decision.reason : decision.kind;
}
