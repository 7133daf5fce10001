import { padDigits, takeDuressDigit } from '#core/access/rules/duress.ts';
import type { PinOutcome } from '#core/card/reading.ts';
import type { PresentedCard } from '#ports/card-reader.ts';
import type { Indicator } from '#ports/indicator.ts';
import type { PinPad } from '#ports/pin-pad.ts';
import type { Found } from './tap-decision.ts';
import type { TerminalSettings } from './terminal.ts';

export interface TapPinParts {
  readonly settings: TerminalSettings;
  readonly indicator: Indicator | undefined;
  readonly pinPad: PinPad | undefined;
}

export type PinResult = PinOutcome | { readonly kind: 'not-entered' | 'absent' | 'surplus' };

/** Asks for the PIN and has the card verify it; `duress`: a digit of duress followed it, which the card does not see. */
export async function askForPin(
  parts: TapPinParts,
  card: PresentedCard,
  removed: AbortSignal,
  { slice }: Found,
): Promise<{ readonly entry: PinResult; readonly duress: boolean }> {
  const profileId = card.outcome.kind === 'reading' ? card.outcome.reading.profileId : '';
  const digits = parts.settings.pin.digits.get(profileId);
  if (!parts.pinPad || !digits) return { entry: { kind: 'absent' }, duress: false };
  const { minimumDigits, maximumDigits } = digits;
  const duressDigit = minimumDigits === maximumDigits ? slice.rules.site.duress?.digit : undefined;
  parts.indicator?.show('pin-needed');
  const asked = duressDigit === undefined ? digits : padDigits(maximumDigits);
  const entry = await parts.pinPad.request({ ...asked, timeoutMs: parts.settings.pin.timeoutMs }, removed);
  if (removed.aborted) {
    if (entry.kind === 'entered') entry.digits.fill(0);
    return { entry: { kind: 'removed' }, duress: false };
  }
  if (entry.kind === 'absent') return { entry: { kind: 'absent' }, duress: false };
  if (entry.kind !== 'entered') return { entry: { kind: 'not-entered' }, duress: false };
  parts.indicator?.show('reading');
  if (duressDigit === undefined) return { entry: await card.verifyPin(entry.digits), duress: false };
  const taken = takeDuressDigit(entry.digits, maximumDigits, duressDigit);
  if (taken.kind === 'surplus') {
    entry.digits.fill(0);
    return { entry: taken, duress: false };
  }
  return { entry: await card.verifyPin(taken.pin), duress: taken.kind === 'duress' };
}
