import { InvalidArgumentError } from 'commander';

/** Parser of a commander option: a whole number from 1. */
export function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new InvalidArgumentError('it must be a whole number from 1');
  return Number(text);
}
