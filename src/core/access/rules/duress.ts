import { z } from 'zod';
import type { Rule } from '#core/access/rule.ts';

export const duressConfig = z
  .strictObject({
    digit: z.int().min(0).max(9).describe('what a holder under threat enters after the PIN'),
  })
  .optional();

/** Whoever enters the PIN with the digit of duress passes as ever, and staff is told; so it is of a denied tap. */
export const duress: Rule = {
  name: 'duress',
  check: ({ request }) => (request.duress ? { kind: 'passed', alarms: ['duress'] } : undefined),
};

/** How many digits the pin pad takes so that a digit of duress can follow a PIN of exactly `digits` digits. */
export function padDigits(digits: number): {
  readonly minimumDigits: number;
  readonly maximumDigits: number;
} {
  return { minimumDigits: digits, maximumDigits: digits + 1 };
}

/**
 * Takes the digit of duress off what was entered, before the card sees it. `pin` is the same buffer without its last
 * byte, which is zeroed. `surplus`: one digit too many and not that one; the card must not be asked, for it would
 * spend a try. Only a PIN of one length, `digits`, can tell: with several, `12349` could be either.
 */
export function takeDuressDigit(
  entered: Uint8Array,
  digits: number,
  digit: number,
): { readonly kind: 'plain' | 'duress'; readonly pin: Uint8Array } | { readonly kind: 'surplus' } {
  if (entered.length <= digits) return { kind: 'plain', pin: entered };
  const matches = entered.length === digits + 1 && entered[digits] === 0x30 + digit;
  if (!matches) return { kind: 'surplus' };
  entered[digits] = 0;
  return { kind: 'duress', pin: entered.subarray(0, digits) };
}
