import { z } from 'zod';
import type { Rule, ServiceRequest, Tap, Verdict } from '#core/access/rule.ts';
import { attendance, attendanceConfig, isPunch } from './services/attendance.ts';
import { isLoan, loan, loanConfig } from './services/loan.ts';
import { once, onceConfig } from './services/once.ts';
import { uses, usesConfig } from './services/uses.ts';

export const serviceConfig = z.discriminatedUnion('kind', [
  attendanceConfig,
  onceConfig,
  usesConfig,
  loanConfig,
]);
type ServiceConfig = z.output<typeof serviceConfig>;

/**
 * What a tap is for besides the door: what the policy counts for each holder. Nothing where no service is asked for. A
 * master card opens doors, and is counted like any other: a second ballot is none for being granted.
 */
export const service: Rule = {
  name: 'service',
  ofPassing: true,
  outrankedByNone: true,
  check: (tap) => {
    const asked = tap.request.service;
    const { holder, rules } = tap.slice;
    if (!asked || !holder) return undefined;
    const config = rules.site.services.find(({ id }) => id === asked.id);
    if (!config) return { kind: 'denied', reason: 'service-unknown', used: { service: asked.id } };
    return checkKind(tap, config, holder.holderId);
  },
};

/** Whether one of `services` can be asked for this at all. */
export function isServed(asked: ServiceRequest, services: readonly ServiceConfig[]): boolean {
  const config = services.find(({ id }) => id === asked.id);
  if (config?.kind === 'attendance') return isPunch(asked);
  if (config?.kind === 'loan') return isLoan(asked);
  return config !== undefined;
}

function checkKind(tap: Tap, config: ServiceConfig, holderId: string): Verdict {
  switch (config.kind) {
    case 'attendance':
      return attendance(tap, config, holderId);
    case 'once':
      return once(tap, config, holderId);
    case 'uses':
      return uses(tap, config, holderId);
    case 'loan':
      return loan(tap, config, holderId);
    default:
      return config satisfies never;
  }
}
