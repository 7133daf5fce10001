import { z } from 'zod';

/** How a door behaves; every time is in milliseconds. */
export const doorSettingsSchema = z.strictObject({
  /** whether a contact reports the leaf; without one nothing is known of it and no alarm of it can exist */
  contact: z.enum(['fitted', 'none']).default('fitted'),
  /** how long a grant leaves the strike unlocked unless it says otherwise */
  strikeMs: z.int().min(500).max(120_000).default(5_000),
  /** the same for a holder who needs longer */
  longerStrikeMs: z.int().min(500).max(300_000).default(15_000),
  /** whether an exit request unlocks, or only keeps an opening from being an alarm (a handle that opens by itself) */
  exitRequest: z.enum(['unlock', 'shunt']).default('unlock'),
  /** how long an exit request leaves the strike unlocked and an opening unalarmed */
  exitMs: z.int().min(500).max(120_000).default(5_000),
  /** how long an exit request may last before it counts as stuck */
  exitStuckAfterMs: z.int().min(1_000).max(3_600_000).default(60_000),
  /** what a stuck exit request does besides the alarm; in fire and evacuation it always goes on unlocking */
  exitStuck: z.enum(['lock', 'unlock']).default('lock'),
  /** when the strike relocks before its time is over: once the leaf has opened and closed, or as soon as it opens */
  relock: z.enum(['on-close', 'on-open']).default('on-close'),
  /** how long after a legitimate opening the door may stand open before the held-open alarm */
  heldOpenAfterMs: z.int().min(1_000).max(86_400_000).default(30_000),
  /** the same after an opening by a holder who needs longer */
  longerHeldOpenAfterMs: z.int().min(1_000).max(86_400_000).default(90_000),
  /** how long before the held-open alarm its warning begins; 0 for none */
  preAlarmMs: z.int().min(0).max(86_400_000).default(10_000),
  /** how long the contact must stay closed before the door counts as closed (a leaf that bounces off its frame) */
  closeSettleMs: z.int().min(0).max(5_000).default(200),
  /** how long after a relock an opening still belongs to the release before it (a leaf already in the hand) */
  openGraceMs: z.int().min(0).max(5_000).default(500),
  /** whether a gate reports each person who passes: then it closes behind the last who was granted, whatever `relock` */
  passage: z.enum(['fitted', 'none']).default('none'),
  /** how long somebody may keep a gate from closing before that is an alarm */
  obstructedAfterMs: z.int().min(1_000).max(3_600_000).default(15_000),
});

export type DoorSettings = z.infer<typeof doorSettingsSchema>;

/** How long a grant unlocks, and how long the leaf may then stand open, in milliseconds. */
export interface GrantTimes {
  readonly openMs: number;
  readonly heldOpenMs?: number;
}

/** The times of a grant, to a holder who needs longer than others or to anybody else. */
export function grantTimes(settings: DoorSettings, longer: boolean): GrantTimes {
  return longer
    ? {
        openMs: Math.max(settings.strikeMs, settings.longerStrikeMs),
        heldOpenMs: settings.longerHeldOpenAfterMs,
      }
    : { openMs: settings.strikeMs };
}
