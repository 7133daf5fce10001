/**
 * How long to wait before the try after `failures` failed ones, in milliseconds: twice as long each time from one second up
 * to five minutes, of which chance (0 up to 1) takes up to half, so that terminals do not come back all at once.
 */
export function retryAfterMs(failures: number, chance: number): number {
  const longest = Math.min(300_000, 1_000 * 2 ** Math.max(0, failures - 1));
  return Math.round(longest * (1 - chance / 2));
}
