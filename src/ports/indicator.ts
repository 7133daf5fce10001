/** What a person at the reader is told by LED, buzzer or screen. */
export const indications = [
  'idle',
  'reading',
  'granted',
  'unlocked',
  'locked-down',
  'denied',
  'hold-again',
  'pin-needed',
  'next-person',
  'fault',
  'alarm',
  'identify',
] as const;
export type Indication = (typeof indications)[number];

/** Shows an indication until the next one; never throws and never delays a tap. */
export interface Indicator {
  show(indication: Indication): void;
}
