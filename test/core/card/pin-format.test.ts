import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Command } from '#core/apdu/command.ts';
import { statusWords } from '#core/apdu/response.ts';
import { toHex } from '#core/bytes/bytes.ts';
import type { SecureChannel } from '#core/card/channel/secure-channel.ts';
import { changePin, type PinParts, verifyPin } from '#core/card/pin.ts';
import { digitsOfPinBlock, pinBlock } from '#core/card/pin-block.ts';
import type { PinFormat } from '#core/card/pin-format.ts';
import { type CardProfile, parseCardProfile } from '#core/card/profile.ts';
import type { Reading } from '#core/card/reading.ts';
import { cardDescriptionSchema } from '#simulators/card/card-description.ts';
import { deckCard, pin, powered, session, typeA } from './rig.ts';

const ascii: PinFormat = { encoding: 'ascii', padding: 'none' };
const bcd: PinFormat = { encoding: 'bcd', padding: 'none' };
const iso: PinFormat = { encoding: 'iso-9564-2', padding: 'none' };

describe('the block of a PIN', () => {
  test.each([
    // the user PIN of JPKI and of the resident register AP
    [ascii, '1234', '31323334'],
    [{ ...ascii, padding: '00', length: 8 }, '1234', '3132333400000000'],
    [{ ...ascii, padding: '20', length: 8 }, '12345678', '3132333435363738'],
    // PIV (NIST SP 800-73-4, part 2)
    [{ ...ascii, padding: 'FF', length: 8 }, '123456', '313233343536FFFF'],
    [bcd, '1234', '1234'],
    [bcd, '12345', '12345F'],
    [{ ...bcd, padding: 'FF', length: 4 }, '12345', '12345FFF'],
    // GlobalPlatform Card Specification 2.0.1, whose PIN is of format 2
    [iso, '123456789012', '2C123456789012FF'],
    [iso, '1234', '241234FFFFFFFFFF'],
    [iso, '12345', '2512345FFFFFFFFF'],
  ] satisfies readonly (readonly [PinFormat, string, string])[])(
    '%j of %s is %s',
    (format, digits, block) => {
      expect(toHex(pinBlock(format, pin(digits)))).toBe(block);
    },
  );

  test.each([
    [ascii, '313233FF'],
    [{ ...ascii, padding: 'FF', length: 8 }, '31323334FFFFFF'],
    [{ ...ascii, padding: 'FF', length: 8 }, '31323334FF353637'],
    [{ ...ascii, padding: '00', length: 4 }, '3132333435'],
    [bcd, '12A4'],
    [bcd, '123F4F'],
    [iso, '241234FFFFFFFFF5'],
    [iso, '251234FFFFFFFFFF'],
    [iso, '341234FFFFFFFFFF'],
    [iso, '241234FFFFFFFF'],
  ] satisfies readonly (readonly [PinFormat, string])[])('%j takes no %s', (format, block) => {
    expect(digitsOfPinBlock(format, Buffer.from(block, 'hex'))).toBeUndefined();
  });
});

/** Every format that a profile is taken with, with a PIN that fits it. */
const formats = fc
  .record({
    encoding: fc.constantFrom('ascii', 'bcd', 'iso-9564-2'),
    padding: fc.constantFrom('none', '00', '20', 'FF'),
    length: fc.option(fc.integer({ min: 2, max: 16 }), { nil: undefined }),
  })
  .map(({ length, ...format }) => (length === undefined ? format : { ...format, length }));

const takes = (format: object, maximumDigits: number): CardProfile | undefined => {
  try {
    return parseCardProfile({ ...typeA, pin: { ...typeA.pin, maximumDigits, ...format } }, 'test');
  } catch {
    return undefined;
  }
};

const digits = fc
  .array(fc.integer({ min: 0, max: 9 }), { minLength: 4, maxLength: 12 })
  .map((all) => Uint8Array.from(all, (digit) => 0x30 + digit));

test('whatever format a profile is taken with, blocks are never longer than stated and tell their PIN', () => {
  let taken = 0;
  fc.assert(
    fc.property(formats, digits, (wanted, entered) => {
      const format = takes(wanted, Math.max(entered.length, 4))?.pin;
      if (!format) return;
      taken += 1;
      const block = pinBlock(format, entered);
      expect(block.length).toBeLessThanOrEqual(
        format.encoding === 'iso-9564-2' ? 8 : (format.length ?? entered.length),
      );
      if (format.length !== undefined) expect(block.length).toBe(format.length);
      expect(digitsOfPinBlock(format, block)).toEqual(entered);
    }),
    { numRuns: 2_000 },
  );
  expect(taken).toBeGreaterThan(200);
});

test.each([
  [{ encoding: 'iso-9564-2', padding: 'FF' }, 'padding'],
  [{ encoding: 'iso-9564-2', length: 8 }, 'length'],
  [{ padding: 'FF' }, 'length'],
  [{ length: 8 }, 'padding'],
  [{ padding: '00', length: 7 }, 'length'],
  [{ encoding: 'bcd', padding: '00', length: 8 }, 'padding'],
  [{ encoding: 'bcd', padding: '20', length: 8 }, 'padding'],
  [{ encoding: 'bcd', padding: 'FF', length: 3 }, 'length'],
  [{ padding: '30', length: 8 }, 'padding'],
  [{ encoding: 'ebcdic' }, 'encoding'],
])('a profile with a PIN of %j is refused for its %s', (format, place) => {
  const profile = { ...typeA, pin: { ...typeA.pin, ...format } };
  expect(() => parseCardProfile(profile, 'test')).toThrow(
    expect.objectContaining({ code: 'profile-invalid', message: expect.stringContaining(`pin.${place}: `) }),
  );
});

test('a PIN that does not fit its format is no virtual card', () => {
  const description = structuredClone(deckCard('employee'));
  const [own] = description.cardApplications[0]?.pins ?? [];
  Object.assign(own ?? {}, { padding: 'FF', length: 3 });
  expect(cardDescriptionSchema.safeParse(description).success).toBe(false);
});

/** The employee's card and profile with PINs of this format. */
function withFormat(format: object) {
  const description = structuredClone(deckCard('employee'));
  for (const own of description.cardApplications[0]?.pins ?? []) Object.assign(own, format);
  const profile = parseCardProfile({ ...typeA, pin: { ...typeA.pin, ...format } }, 'test');
  return { card: powered(cardDescriptionSchema.parse(description)), profiles: [profile] };
}

const shown = [
  {},
  { padding: 'FF', length: 8 },
  { padding: '00', length: 16 },
  { encoding: 'bcd' },
  { encoding: 'bcd', padding: 'FF', length: 4 },
  { encoding: 'iso-9564-2' },
] as const;

test.each(shown)('a card that keeps PINs as %j verifies and changes them so', async (format) => {
  const { card, profiles } = withFormat(format);
  const opened = async () => {
    card.reset();
    const open = session(card.transmit, { profiles });
    await open.read();
    return open;
  };
  expect(await (await opened()).verifyPin(pin('12345'))).toEqual({ kind: 'wrong', triesLeft: 2 });
  expect(await (await opened()).changePin(pin('1234'), pin('987650'))).toEqual({ kind: 'changed' });
  expect(await (await opened()).verifyPin(pin('987650'))).toMatchObject({ kind: 'verified' });
  expect(await (await opened()).changePin(pin('987650'), pin('1234567'))).toEqual({ kind: 'changed' });
  expect(await (await opened()).verifyPin(pin('1234567'))).toMatchObject({ kind: 'verified' });
  expect(await (await opened()).verifyPin(pin('987650'))).toEqual({ kind: 'wrong', triesLeft: 2 });
});

test('the terminal and the card must agree: a PIN in another format is a wrong one', async () => {
  const { card } = withFormat({ padding: 'FF', length: 8 });
  const open = session(card.transmit, { profiles: [typeA] });
  await open.read();
  expect(await open.verifyPin(pin('1234'))).toEqual({ kind: 'wrong', triesLeft: 2 });
});

/** A channel whose card accepts every PIN, and which keeps the very buffers that were to be sent. */
function keeping(format: object, failAt?: number): { parts: PinParts; kept: Uint8Array[]; sent: string[] } {
  const kept: Uint8Array[] = [];
  const sent: string[] = [];
  let tries = true;
  const channel: SecureChannel = {
    wrap: ({ data = new Uint8Array(), ins }: Command) => {
      if (data.length > 0) {
        kept.push(data);
        sent.push(`${ins.toString(16)} ${toHex(data)}`);
        if (kept.length === failAt) throw new Error('the channel is broken');
      }
      tries = data.length === 0;
      return new Uint8Array();
    },
    unwrap: () => {
      const status = tries ? 0x63c3 : statusWords.success;
      return { data: new Uint8Array(), status, authentic: true, encrypted: true };
    },
    close: () => undefined,
  };
  const reading = { assurance: [] } as unknown as Reading;
  const profile = withFormat(format).profiles[0] ?? typeA;
  return { parts: { profile, channel, reading, transmit: async () => new Uint8Array() }, kept, sent };
}

test.each(shown)('what is sent of a PIN as %j is the block, once, and zeroed afterwards', async (format) => {
  const { parts, kept, sent } = keeping(format);
  const { pin: policy } = parts.profile;
  if (!policy) throw new Error('the profile has a PIN');
  const block = (entered: string) => toHex(pinBlock(policy, pin(entered)));
  expect(await verifyPin(parts, pin('1234'))).toMatchObject({ kind: 'verified' });
  expect(await changePin(parts, pin('1234'), pin('56789'))).toEqual({ kind: 'changed' });
  expect(sent).toEqual([
    `20 ${block('1234')}`,
    `20 ${block('1234')}`,
    `24 ${block('1234')}${block('56789')}`,
  ]);
  expect(kept.map((data) => data.every((byte) => byte === 0))).toEqual([true, true, true]);
});

test.each([1, 2])('a block is zeroed though the channel breaks with it (%i)', async (failAt) => {
  const { parts, kept } = keeping({}, failAt);
  await changePin(parts, pin('1234'), pin('5678')).catch(() => undefined);
  expect(kept).toHaveLength(failAt);
  expect(kept.every((data) => data.every((byte) => byte === 0))).toBe(true);
});
