import { z } from 'zod';
import { factOf } from '#core/access/access-state.ts';
import { counted, hasRoom, partsSchema, standsApart, total } from '#core/access/counting.ts';
import type { ServiceRequest, Tap, Verdict } from '#core/access/rule.ts';
import { countScope, id } from '#core/access/rule-config.ts';

export const loanConfig = z.strictObject({
  id,
  kind: z.literal('loan'),
  limit: z.int().min(1).max(10_000).describe('how many things a holder may have at once'),
  scope: countScope,
});

/**
 * An item, once as a fact of its own and once as a fact of who has it. The holder's counts only while both have the same
 * version and the item is out, so that nothing about a person is kept once the item is back; in a group of terminals a
 * count of none is.
 */
export const itemSchema = z.strictObject({ v: z.int().min(1), out: z.boolean(), terminal: z.string() });
export const loansSchema = partsSchema;

/** Loans: what is out is lent to nobody else, a holder has at most so many, and only who has an item returns it. */
export function loan(tap: Tap, config: z.output<typeof loanConfig>, holderId: string): Verdict {
  const { id: service, limit, scope } = config;
  const asked = tap.request.service;
  if (!asked || !isLoan(asked)) return { kind: 'denied', reason: 'service-unknown', used: { service } };
  const { action, item } = asked;
  const itemKey = `loan/${service}/${item}`;
  const countKey = `loans/${service}`;
  const last = factOf(itemSchema, itemKey, tap.state.shared(itemKey));
  const own = factOf(itemSchema, itemKey, tap.state.holder(itemKey));
  const parts = factOf(loansSchema, countKey, tap.state.holder(countKey)) ?? [];
  const used = { service, item, action, limit, has: total(parts) };
  const has = last?.out === true && own?.v === last.v;
  const denied = (reason: 'item-not-lent' | 'item-lent' | 'group-apart' | 'loan-limit'): Verdict => ({
    kind: 'denied',
    reason,
    used,
  });
  if (action === 'return' && !has) return denied('item-not-lent');
  if (action === 'lend') {
    if (last?.out) return denied('item-lent');
    if (standsApart(scope, tap)) return denied('group-apart');
    if (!hasRoom({ more: 1, limit, parts, scope, tap })) return denied('loan-limit');
  }
  const out = action === 'lend';
  const { terminal } = tap.state;
  const value = { v: (last?.v ?? 0) + 1, out, terminal };
  const count = counted(parts, terminal, out ? 1 : -1);
  // other terminals of a group would bring back what this one forgot
  const nothingLeft = scope === undefined && total(count) === 0;
  const ifObeyed = true as const;
  return {
    kind: 'passed',
    used,
    obligations: {
      service: { id: service, result: out ? 'lent' : 'returned', left: Math.max(0, limit - total(count)) },
    },
    changes: [
      { key: itemKey, value, ifObeyed },
      { key: itemKey, holderId, ifObeyed, ...(out ? { value } : {}) },
      { key: countKey, holderId, ifObeyed, ...(nothingLeft ? {} : { value: count }) },
    ],
  };
}

/** Whether `asked` says which item is to be lent or given back. */
export function isLoan(
  asked: ServiceRequest,
): asked is ServiceRequest & { readonly action: 'lend' | 'return'; readonly item: string } {
  return asked.item !== undefined && (asked.action === 'lend' || asked.action === 'return');
}
