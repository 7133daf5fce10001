import { expect, onTestFinished } from 'vitest';
import type { DenialReason, WaitReason } from '#core/access/decision.ts';
import type { SimulatedDoor } from '#simulators/door/simulated-door.ts';
import { Premises, type PremisesPlan, type TapOptions, type Tapped } from './premises.ts';

export interface Visit extends TapOptions {
  /** whoever is let through stays where they are: the leaf is never opened */
  readonly stays?: true;
}

/** A building with what its visitors expect, built by `building` and closed with the test. */
export class Building extends Premises {
  /** The tap is granted, recorded before the strike moved, and the door unlocks; whoever tapped goes through. */
  async lets(userNumber: string, readerId: string, options: Visit = {}): Promise<Tapped> {
    const tapped = await this.tap(userNumber, readerId, options);
    expect([tapped.result, tapped.reason], `${userNumber} at ${readerId}`).toEqual(['granted', undefined]);
    expect(this.openedUnrecorded, 'doors that opened before it was recorded').toEqual([]);
    expect(this.actuationOf(tapped)).toMatchObject({ result: 'unlocked' });
    const doorId = this.doorOf(readerId);
    expect(this.isLocked(doorId), 'the strike').toBe(false);
    if (!options.stays) await this.#goThrough(this.door(doorId));
    return tapped;
  }

  /** The rules deny the tap for `reason`, which is recorded; the door is not even asked. */
  async refuses(
    userNumber: string,
    readerId: string,
    reason: DenialReason,
    options: Visit = {},
  ): Promise<Tapped> {
    return this.#opensNothing(await this.tap(userNumber, readerId, options), ['denied', reason]);
  }

  /** The rules grant the tap, and the door does not open for `reason`: all this is recorded, and no strike moves. */
  async turnsAway(userNumber: string, readerId: string, reason: DenialReason): Promise<Tapped> {
    const asked = { door: this.doorOf(readerId), result: 'not-opened', reason };
    return this.#opensNothing(await this.tap(userNumber, readerId), ['denied', reason], asked);
  }

  /** The tap is good and waits for somebody else: nothing opens. */
  async keepsWaiting(
    userNumber: string,
    readerId: string,
    reason: WaitReason,
    options: Visit = {},
  ): Promise<Tapped> {
    const tapped = this.#opensNothing(await this.tap(userNumber, readerId, options), ['waits', reason]);
    expect(this.shown(readerId)).toBe('next-person');
    return tapped;
  }

  #opensNothing(tapped: Tapped, expected: readonly [string, string], asked?: object): Tapped {
    expect([tapped.result, tapped.reason]).toEqual(expected);
    expect(this.actuationOf(tapped), 'what the door was asked').toEqual(asked);
    expect(this.isLocked(String(tapped.entry.body.door)), 'the strike').toBe(true);
    return tapped;
  }

  async #goThrough(door: SimulatedDoor): Promise<void> {
    expect(door.push(), 'the leaf opens').toBe(true);
    await this.later('500 ms');
    door.close();
    await this.later('1 s');
    expect(door.wires().locked, 'the strike behind them').toBe(true);
  }
}

/** What a rule found at a tap, as the path of the decision in the journal has it. */
export function found({ entry }: Tapped, rule: string): unknown {
  const { path } = entry.body.basis as { path: readonly { rule: string; used?: unknown }[] };
  return path.find((step) => step.rule === rule)?.used;
}

/** A building whose terminal runs, closed when the test has ended. */
export async function building(plan: PremisesPlan): Promise<Building> {
  const made = new Building(plan);
  onTestFinished(() => made.close());
  await made.open();
  return made;
}
