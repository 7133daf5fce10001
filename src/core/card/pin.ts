import type { Command } from '#core/apdu/command.ts';
import { describeStatus, statusWords, triesLeftOf } from '#core/apdu/response.ts';
import type { Transmit } from '#core/apdu/transmit.ts';
import type { SecureChannel } from '#core/card/channel/secure-channel.ts';
import type { CardProfile } from '#core/card/profile.ts';
import type { PinOutcome, Reading } from '#core/card/reading.ts';
import { Fault, isFault } from '#core/fault.ts';

export interface PinVerificationParts {
  readonly profile: CardProfile;
  readonly channel: SecureChannel;
  readonly reading: Reading;
  readonly transmit: Transmit;
}

type PinPolicy = NonNullable<CardProfile['pin']>;

const blockedStatuses: ReadonlySet<number> = new Set([
  0x63c0,
  statusWords.pinBlocked,
  statusWords.referenceNotUsable,
]);

/** Cards may leave the channel to say that a PIN is blocked: that much is believed of a bare status, and no more. */
function bareBlockedStatus(response: Uint8Array): number | undefined {
  const status = ((response[0] ?? 0) << 8) | (response[1] ?? 0);
  return response.length === 2 && blockedStatuses.has(status) ? status : undefined;
}

async function pinStatus({ channel, transmit }: PinVerificationParts, command: Command): Promise<number> {
  const response = await transmit(channel.wrap(command));
  try {
    const { status, authentic } = channel.unwrap(response);
    if (!authentic) {
      const text = 'the channel of the card does not authenticate what the card says of a PIN';
      throw new Fault('card-message-not-authentic', text);
    }
    return status;
  } catch (error) {
    const status = bareBlockedStatus(response);
    if (status !== undefined && isFault(error, 'card-answer-status')) return status;
    throw error;
  }
}

function unexpected(status: number): Fault {
  return new Fault('card-answer-status', `the card did not take the PIN: status ${describeStatus(status)}`);
}

function isPinOf({ minimumDigits, maximumDigits }: PinPolicy, digits: Uint8Array): boolean {
  const lengthFits = digits.length >= minimumDigits && digits.length <= maximumDigits;
  return lengthFits && digits.every((digit) => digit >= 0x30 && digit <= 0x39);
}

/** A refusal that leaves the session as it was: nothing of the PIN went to the card. */
function notSent(message: string): PinOutcome {
  return { kind: 'refused', fault: { code: 'argument-invalid', message } };
}

/**
 * Reads the tries left (VERIFY without data costs none), then sends the PIN once, in DO'87'. Nothing is sent when
 * fewer tries are left than the profile demands, or when the card does not tell. The caller zeroes `digits`.
 * Refused with `argument-invalid`: what cannot be a PIN of the profile. Throws Faults of the channel and
 * `card-answer-status`.
 */
export async function verifyPin(parts: PinVerificationParts, digits: Uint8Array): Promise<PinOutcome> {
  const { profile, reading } = parts;
  const policy = profile.pin;
  if (!policy) return notSent(`card profile ${profile.id} has no PIN`);
  if (reading.assurance.includes('pin')) return notSent('the PIN was verified on this session before');
  const verify = { cla: 0x00, ins: 0x20, p1: 0x00, p2: policy.reference };
  const before = await pinStatus(parts, verify);
  if (blockedStatuses.has(before)) return { kind: 'blocked' };
  const triesLeft = triesLeftOf(before);
  if (triesLeft === undefined) throw unexpected(before);
  if (triesLeft < policy.minimumTriesLeft) return { kind: 'withheld', triesLeft };
  if (!isPinOf(policy, digits)) {
    const { minimumDigits, maximumDigits } = policy;
    return notSent(`a PIN of this card AP has ${minimumDigits} to ${maximumDigits} digits`);
  }
  const after = await pinStatus(parts, { ...verify, data: digits });
  if (blockedStatuses.has(after)) return { kind: 'blocked' };
  if (after === statusWords.success) {
    return {
      kind: 'verified',
      reading: { ...reading, assurance: [...reading.assurance, 'pin'] },
    };
  }
  const left = after === statusWords.authenticationFailed ? triesLeft - 1 : triesLeftOf(after);
  if (left === undefined) throw unexpected(after);
  return left === 0 ? { kind: 'blocked' } : { kind: 'wrong', triesLeft: left };
}
