import { duration } from '#core/config/duration.ts';

const anyDuration = duration(0, 20 * 366 * 86_400_000);

/** Milliseconds of `2 h`, or of `-2 h`. */
export function msOf(text: string): number {
  return text.startsWith('-') ? -anyDuration.parse(text.slice(1)) : anyDuration.parse(text);
}

/** Milliseconds UTC of a local time such as `2026-11-16 12:00` or `2026-11-16 12:00:30` in Asia/Tokyo. */
export function utcOf(local: string): number {
  return Date.parse(`${local.replace(' ', 'T')}+09:00`);
}
