import { z } from 'zod';

const unitsMs = { ms: 1, s: 1_000, min: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const pattern = /^(\d+(?:\.\d+)?) ?(ms|s|min|h|d)$/;

/**
 * A duration written with its unit, such as `500 ms`, `5 s`, `2 min`, `1 h` or `30 d`; yields whole milliseconds between
 * `minimumMs` and `maximumMs`. A bare number is refused: nobody can see whether it means seconds or milliseconds.
 */
export function duration(minimumMs: number, maximumMs: number) {
  return z
    .string({ error: 'a duration is written with its unit, such as "500 ms", "5 s" or "2 min"' })
    .transform((text, context) => {
      const match = pattern.exec(text.trim());
      const unit = match?.[2] as keyof typeof unitsMs | undefined;
      if (!match || !unit) {
        context.addIssue({
          code: 'custom',
          message: `"${text}" is no duration; write "500 ms", "5 s", "2 min", "1 h" or "30 d"`,
        });
        return z.NEVER;
      }
      const ms = Math.round(Number(match[1]) * unitsMs[unit]);
      if (ms < minimumMs || ms > maximumMs) {
        const range = `${formatDuration(minimumMs)} and ${formatDuration(maximumMs)}`;
        context.addIssue({
          code: 'custom',
          message: `"${text}" is out of range; it must lie between ${range}`,
        });
        return z.NEVER;
      }
      return ms;
    });
}

/** Milliseconds in the largest unit that divides them. */
export function formatDuration(ms: number): string {
  for (const unit of ['d', 'h', 'min', 's'] as const) {
    if (ms !== 0 && ms % unitsMs[unit] === 0) return `${ms / unitsMs[unit]} ${unit}`;
  }
  return `${ms} ms`;
}
