import type { UserNumberFormat } from '#core/card/user-number-format.ts';
import { Fault } from '#core/fault.ts';

/** Characters a user number (利用者番号) may hold; none of them needs escaping anywhere. */
const alphabets = {
  digits: /^[0-9]+$/,
  'uppercase-alphanumeric': /^[0-9A-Z]+$/,
  alphanumeric: /^[0-9A-Za-z]+$/,
} as const;

/** True when `text` has the alphabet and a length of `format`. Leading zeros count; nothing is trimmed. */
export function hasUserNumberFormat(format: UserNumberFormat, text: string): boolean {
  return (
    text.length >= format.minimumLength &&
    text.length <= format.maximumLength &&
    alphabets[format.alphabet].test(text)
  );
}

/** what is said where such a number was about to enter */
export const individualNumberRefused =
  'has the check digit of an Individual Number (マイナンバー), which must not enter this system';

/**
 * True for 12 digits whose last is the check digit of an Individual Number: with P(n) the n-th digit from the
 * right, the check digit left out, and Q(n) = n + 1 up to n = 6, n - 5 from there, it is 11 - (sum of P(n) Q(n)
 * mod 11), or 0 where that remainder is 0 or 1 (Ministry of Internal Affairs and Communications Ordinance 85 of
 * 2014, article 5). Full-width digits and separators, as people write them, make no difference.
 */
export function looksLikeIndividualNumber(text: string): boolean {
  const digits = text.normalize('NFKC').replace(/[\s\p{Pd}]/gu, '');
  if (!/^[0-9]{12}$/.test(digits)) return false;
  let sum = 0;
  for (let n = 1; n <= 11; n += 1) sum += Number(digits[11 - n]) * (n <= 6 ? n + 1 : n - 5);
  const remainder = sum % 11;
  return Number(digits[11]) === (remainder <= 1 ? 0 : 11 - remainder);
}

/** As they stand in running text: twelve digits in a row or three groups of four, not inside a longer number. */
const written = /(?<![0-9])(?:[0-9]{12}|[0-9]{4}[\s\p{Pd}][0-9]{4}[\s\p{Pd}][0-9]{4})(?![0-9])/gu;

/** Refuses words of a person, named `what`, with a Fault `argument-invalid` where an Individual Number is among them. */
export function refuseIndividualNumber(text: string, what: string): void {
  if (containsIndividualNumber(text))
    throw new Fault('argument-invalid', `${what} ${individualNumberRefused}`);
}

/** Whether one is written in a text. */
export function containsIndividualNumber(text: string): boolean {
  return (text.normalize('NFKC').match(written) ?? []).some(looksLikeIndividualNumber);
}
