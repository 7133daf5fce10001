import { z } from 'zod';
import type { CardDescription } from './card-description.ts';

/** A PIN as it is now. */
export interface PinState {
  readonly reference: number;
  readonly tries: number;
  triesLeft: number;
  digits: string;
}

/** What of a card outlives the power: PINs and their counters, by AID and reference. */
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
});
export type CardState = z.infer<typeof cardStateSchema>;

/** The PINs of the application, as described or, where `state` knows them, as they were left. */
export function pinStates(
  { aid, pins }: CardDescription['cardApplications'][number],
  state: CardState | undefined,
): PinState[] {
  return pins.map(({ reference, tries, triesLeft = tries, digits }) => {
    const kept = state?.pins.find((pin) => pin.aid === aid && pin.reference === reference);
    return { reference, tries, triesLeft: kept?.triesLeft ?? triesLeft, digits: kept?.digits ?? digits };
  });
}
