import type { Command } from '#core/apdu/command.ts';
import { describeStatus, isSuccessOrWarning, statusWords, triesLeftOf } from '#core/apdu/response.ts';
import type { Transmit } from '#core/apdu/transmit.ts';
import { concat, equalConstantTime } from '#core/bytes/bytes.ts';
import type { SecureChannel } from '#core/card/channel/secure-channel.ts';
import { pinBlock } from '#core/card/pin-block.ts';
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

/** What cards answer of a PIN that is blocked (ISO 7816-4, 5.6). */
export const blockedStatuses: ReadonlySet<number> = new Set([
  0x63c0,
  statusWords.pinBlocked,
  statusWords.referenceNotUsable,
]);

/** Cards may leave the channel to say that a PIN is blocked: that much is believed of a bare status, and no more. */
function bareBlockedStatus(response: Uint8Array): number | undefined {
  const status = ((response[0] ?? 0) << 8) | (response[1] ?? 0);
  return response.length === 2 && blockedStatuses.has(status) ? status : undefined;
}

/** Sends a PIN command and returns its status, which the card authenticated. */
async function authenticStatus({ channel, transmit }: PinParts, command: Command): Promise<number> {
  return authenticStatusIn(channel, await transmit(channel.wrap(command)));
}

function authenticStatusIn(channel: SecureChannel, response: Uint8Array): number {
  const { status, authentic } = channel.unwrap(response);
  if (authentic) return status;
  const text = 'the channel of the card does not authenticate what the card says of a PIN';
  throw new Fault('card-message-not-authentic', text);
}

async function pinStatus({ channel, transmit }: PinParts, command: Command): Promise<number> {
  const response = await transmit(channel.wrap(command));
  try {
    return authenticStatusIn(channel, response);
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

/** Sends VERIFY and zeroes its data. */
async function verified(parts: PinParts, verify: Command & { readonly data: Uint8Array }): Promise<number> {
  try {
    return await pinStatus(parts, verify);
  } finally {
    verify.data.fill(0);
  }
}

type Tried =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'wrong' | 'withheld'; readonly triesLeft: number }
  | { readonly kind: 'blocked' };

/**
 * Reads the tries left (VERIFY without data costs none), then sends VERIFY with `digits`, once. Nothing is sent when
 * fewer tries are left than the profile demands, or when the card does not tell.
 */
async function spendTry(parts: PinParts, policy: PinPolicy, digits: Uint8Array): Promise<Tried> {
  const verify = { cla: 0x00, ins: 0x20, p1: 0x00, p2: policy.reference };
  const before = await pinStatus(parts, verify);
  if (blockedStatuses.has(before)) return { kind: 'blocked' };
  const triesLeft = triesLeftOf(before);
  if (triesLeft === undefined) throw unexpected(before);
  if (triesLeft < policy.minimumTriesLeft) return { kind: 'withheld', triesLeft };
  const after = await verified(parts, { ...verify, data: pinBlock(policy, digits) });
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
  const tried = await spendTry(parts, policy, digits);
  return tried.kind === 'accepted'
    ? { kind: 'verified', reading: { ...reading, assurance: [...reading.assurance, 'pin'] } }
    : tried;
}

/**
 * Changes a PIN: VERIFY with `current`, then CHANGE REFERENCE DATA, `00 24 00 P2` with `current` and `fresh` behind it
 * (ISO 7816-4, 11.6.7), each sent at most once and encrypted always. Without padding the card splits the second by the
 * length of its own PIN: VERIFY proves that `current` has it, or `12345` and `6789` would change a PIN `1234` to
 * `56789`. The caller zeroes both. Throws Faults of the channel from before the change, and `card-answer-status` where
 * the card refuses the new PIN.
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
  const tried = await spendTry(parts, policy, current);
  if (tried.kind !== 'accepted') return tried;
  const blocks = [pinBlock(policy, current), pinBlock(policy, fresh)];
  const data = concat(...blocks);
  for (const block of blocks) block.fill(0);
  return replacePin(parts, policy, data);
}

/** Whether a command that ended so may have changed the card: warnings, and execution errors 65xx (ISO 7816-4, 5.6). */
function mayHaveChanged(status: number): boolean {
  return (isSuccessOrWarning(status) && triesLeftOf(status) === undefined) || status >> 8 === 0x65;
}

/**
 * Sends the change once and zeroes `data`. A fault after that is `uncertain`: the card may have changed the PIN before
 * it fell silent, and a refusal without a MAC may be anybody's.
 */
async function replacePin(
  parts: PinParts,
  { reference }: PinPolicy,
  data: Uint8Array,
): Promise<PinChangeOutcome> {
  let status: number;
  try {
    status = await authenticStatus(parts, { cla: 0x00, ins: 0x24, p1: 0x00, p2: reference, data });
  } catch (error) {
    if (!isFault(error)) throw error;
    return { kind: 'uncertain', fault: toFaultRecord(error) };
  } finally {
    data.fill(0);
  }
  if (status === statusWords.success) return { kind: 'changed' };
  if (mayHaveChanged(status)) return { kind: 'uncertain', fault: toFaultRecord(unexpected(status)) };
  throw unexpected(status);
}
