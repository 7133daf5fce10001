import { z } from 'zod';
import { factOf } from '#core/access/access-state.ts';
import { isWithin, momentOf, momentSchema } from '#core/access/moment.ts';
import type { ServiceRequest, Tap, Verdict } from '#core/access/rule.ts';
import { id } from '#core/access/rule-config.ts';
import { duration } from '#core/config/duration.ts';

export const attendanceConfig = z.strictObject({
  id,
  kind: z.literal('attendance'),
  doubles: duration(0, 3_600_000)
    .prefault('5 min')
    .describe('a tap so soon after another of the same meaning is the same'),
});

export const attendanceSchema = z.strictObject({ last: z.enum(['in', 'out']), since: momentSchema });

/**
 * Coming and going. Where the terminal does not ask which, a tap is the opposite of the last one. Doubles are told by
 * this boot's own clock: after a reboot a tap counts, and `correctAttendance` (attendance-stays.ts) finds what was one too many.
 */
export function attendance(
  tap: Tap,
  { id: service, doubles }: z.output<typeof attendanceConfig>,
  holderId: string,
): Verdict {
  const key = attendanceKey(service);
  const known = factOf(attendanceSchema, key, tap.state.holder(key));
  const request = tap.request.service;
  if (request && !isPunch(request)) return { kind: 'denied', reason: 'service-unknown' };
  const asked = request?.action;
  const same = asked === undefined || asked === known?.last;
  if (known && same && isWithin(doubles, known.since, tap)) {
    const result = { id: service, result: 'double' } as const;
    return { kind: 'passed', used: { service, last: known.last }, obligations: { service: result } };
  }
  const result = asked ?? (known?.last === 'in' ? 'out' : 'in');
  return {
    kind: 'passed',
    used: { service, last: known?.last ?? null },
    obligations: { service: { id: service, result } },
    changes: [{ key, holderId, value: { last: result, since: { ...momentOf(tap) } }, ifObeyed: true }],
  };
}

/** Under which key it is kept whether a holder is in or out. */
export function attendanceKey(service: string): string {
  return `attendance/${service}`;
}

/** Whether `asked` is for coming or going. */
export function isPunch(
  asked: ServiceRequest,
): asked is ServiceRequest & { readonly action?: 'in' | 'out' | undefined } {
  return asked.action !== 'lend' && asked.action !== 'return';
}
