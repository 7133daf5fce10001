import { z } from 'zod';
import type { PinFormat } from '#core/card/pin-format.ts';
import type { CardDescription } from './card-description.ts';

/** A PIN as it is now. */
export interface PinState {
  readonly reference: number;
  readonly format: PinFormat;
  readonly tries: number;
  triesLeft: number;
  digits: string;
}

/** What of an application outlives the power. */
export interface ApplicationState {
  readonly pins: readonly PinState[];
  /** SCP03 sequence counter, as used last */
  sequence: number;
}

/** What of a card outlives the power: PINs and their counters, by AID and reference, and SCP03 sequence counters. */
export const cardStateSchema = z.strictObject({
  formatVersion: z.literal(1),
  pins: z.array(
    z.strictObject({
      aid: z.string(),
      reference: z.int(),
      triesLeft: z.int().min(0),
      digits: z.string(),
    }),
  ),
  /** absent where no application has counted */
  sequences: z.array(z.strictObject({ aid: z.string(), sequence: z.int().min(0).max(0xffffff) })).default([]),
});
export type CardState = z.infer<typeof cardStateSchema>;

/** The application as described or, where `state` knows it, as it was left. */
export function applicationState(
  { aid, pins }: CardDescription['cardApplications'][number],
  state: CardState | undefined,
): ApplicationState {
  const sequence = state?.sequences.find((kept) => kept.aid === aid)?.sequence ?? 0;
  const states = pins.map(({ reference, tries, triesLeft = tries, digits, ...format }) => {
    const kept = state?.pins.find((pin) => pin.aid === aid && pin.reference === reference);
    const now = { triesLeft: kept?.triesLeft ?? triesLeft, digits: kept?.digits ?? digits };
    return { reference, format, tries, ...now };
  });
  return { pins: states, sequence };
}

/** The applications as they are now, to be kept. */
export function cardState(applications: readonly { aid: string; state: ApplicationState }[]): CardState {
  return {
    formatVersion: 1,
    pins: applications.flatMap(({ aid, state }) =>
      state.pins.map(({ reference, triesLeft, digits }) => ({ aid, reference, triesLeft, digits })),
    ),
    sequences: applications
      .filter(({ state }) => state.sequence > 0)
      .map(({ aid, state: { sequence } }) => ({ aid, sequence })),
  };
}
