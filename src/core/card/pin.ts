import type { Command } from '#core/apdu/command.ts';
import { describeStatus, statusWords, triesLeftOf } from '#core/apdu/response.ts';
import type { Transmit } from '#core/apdu/transmit.ts';
import { concat, equalConstantTime } from '#core/bytes/bytes.ts';
import type { SecureChannel } from '#core/card/channel/secure-channel.ts';
import type { CardProfile } from '#core/card/profile.ts';
import type { PinChangeOutcome, PinOutcome, Reading } from '#core/card/reading.ts';
import { Fault, type FaultRecord, isFault, toFaultRecord } from '#core/fault.ts';

export interface PinParts {
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

async function pinStatus({ channel, transmit }: PinParts, command: Command): Promise<number> {
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
function notSent(message: string): { readonly kind: 'refused'; readonly fault: FaultRecord } {
  return { kind: 'refused', fault: { code: 'argument-invalid', message } };
}

function notOfProfile({ minimumDigits, maximumDigits }: PinPolicy) {
  return notSent(`a PIN of this card AP has ${minimumDigits} to ${maximumDigits} digits`);
}

type Tried =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'wrong' | 'withheld'; readonly triesLeft: number }
  | { readonly kind: 'blocked' };

/**
 * Reads the tries left (VERIFY without data costs none), then sends the command that spends one, once; `sending` is
 * called before. Nothing is sent when fewer tries are left than the profile demands, or when the card does not tell.
 */
async function spendTry(
  parts: PinParts,
  policy: PinPolicy,
  command: Pick<Command, 'ins' | 'data'>,
  sending: () => void = () => undefined,
): Promise<Tried> {
  const onPin = { cla: 0x00, p1: 0x00, p2: policy.reference };
  const before = await pinStatus(parts, { ...onPin, ins: 0x20 });
  if (blockedStatuses.has(before)) return { kind: 'blocked' };
  const triesLeft = triesLeftOf(before);
  if (triesLeft === undefined) throw unexpected(before);
  if (triesLeft < policy.minimumTriesLeft) return { kind: 'withheld', triesLeft };
  sending();
  const after = await pinStatus(parts, { ...onPin, ...command });
  if (blockedStatuses.has(after)) return { kind: 'blocked' };
  if (after === statusWords.success) return { kind: 'accepted' };
  const left = after === statusWords.authenticationFailed ? triesLeft - 1 : triesLeftOf(after);
  if (left === undefined) throw unexpected(after);
  return left === 0 ? { kind: 'blocked' } : { kind: 'wrong', triesLeft: left };
}

/**
 * Verifies a PIN, sent at most once and encrypted whatever the profile says of other data. The caller zeroes `digits`.
 * Refused with `argument-invalid`: what cannot be a PIN of the profile. Throws Faults of the channel and
 * `card-answer-status`.
 */
export async function verifyPin(parts: PinParts, digits: Uint8Array): Promise<PinOutcome> {
  const { profile, reading } = parts;
  const policy = profile.pin;
  if (!policy) return notSent(`card profile ${profile.id} has no PIN`);
  if (reading.assurance.includes('pin')) return notSent('the PIN was verified on this session before');
  if (!isPinOf(policy, digits)) return notOfProfile(policy);
  const tried = await spendTry(parts, policy, { ins: 0x20, data: digits });
  return tried.kind === 'accepted'
    ? { kind: 'verified', reading: { ...reading, assurance: [...reading.assurance, 'pin'] } }
    : tried;
}

/**
 * Changes a PIN: CHANGE REFERENCE DATA, `00 24 00 P2` with the old PIN and the new one behind it (ISO 7816-4, 11.6.7),
 * sent at most once and encrypted always. The caller zeroes both. A fault after the command has gone is `uncertain`:
 * the card may have changed the PIN before it fell silent. Throws Faults of the channel from before that.
 */
export async function changePin(
  parts: PinParts,
  current: Uint8Array,
  fresh: Uint8Array,
): Promise<PinChangeOutcome> {
  const { profile, reading } = parts;
  const policy = profile.pin;
  if (!policy) return notSent(`card profile ${profile.id} has no PIN`);
  if (reading.assurance.includes('pin')) return notSent('the PIN was verified on this session before');
  if (!isPinOf(policy, current) || !isPinOf(policy, fresh)) return notOfProfile(policy);
  if (equalConstantTime(current, fresh)) return notSent('the new PIN is the old one');
  const data = concat(current, fresh);
  let sent = false;
  try {
    const tried = await spendTry(parts, policy, { ins: 0x24, data }, () => {
      sent = true;
    });
    return tried.kind === 'accepted' ? { kind: 'changed' } : tried;
  } catch (error) {
    if (!sent || !isFault(error)) throw error;
    return { kind: 'uncertain', fault: toFaultRecord(error) };
  } finally {
    data.fill(0);
  }
}
