import { z } from 'zod';
import { scp03Ciphers, scp03KeyLengths, scp03Modes } from '#core/card/channel/scp03/messages.ts';
import { pinFormatShape } from '#core/card/pin-format.ts';
import { checkPinFormat } from '#core/card/profile-rules.ts';

const hexText = (minimumBytes: number, maximumBytes: number) =>
  z
    .string('is not text (put hexadecimal in quotes, or YAML may read a number)')
    .regex(
      new RegExp(`^(?:[0-9A-Fa-f]{2}){${minimumBytes},${maximumBytes}}$`),
      `is not hexadecimal of ${minimumBytes} to ${maximumBytes} bytes`,
    )
    .toUpperCase();

const keyText = hexText(16, 32);

const content = z
  .strictObject({ text: z.string().max(4096).optional(), hex: hexText(0, 4096).optional() })
  .refine(({ text, hex }) => (text === undefined) !== (hex === undefined), 'must have one of text and hex');

const file = z
  .strictObject({
    shortFileId: z.int().min(1).max(30),
    fileId: hexText(2, 2).optional(),
    /** `authenticated`: in secure messaging only; `pin`: and with the PIN verified */
    read: z.enum(['always', 'authenticated', 'pin']),
    /** of a transparent file */
    content: content.optional(),
    /** of a record file, the first is number 1 */
    records: z.array(content).min(1).max(254).optional(),
  })
  .refine(
    (it) => (it.content === undefined) !== (it.records === undefined),
    'must have one of content and records',
  );

/** What both mechanisms have: the keys themselves, or a master key and what they are made from. */
const cardKeys = {
  /** to be written out, so that nobody takes a simulated card's keys for real ones */
  testKeysOnly: z.literal(true),
  version: z.int().min(1).max(255),
  /** test master key, from which the card's keys are made … */
  master: keyText.optional(),
  /** … in this way, from the diversifier … */
  diversification: z.enum(['an10922', 'kdf3']).default('an10922'),
  /** … or the card's keys themselves */
  card: z.strictObject({ encryption: keyText, mac: keyText }).optional(),
};

const mutualKeys = z.strictObject({
  mechanism: z.literal('mutual'),
  cipher: z.enum(['aes-128', '3des']),
  sessionKeys: z.enum(['sha-1', 'sha-256']),
  messages: z.enum(['authenticated', 'encrypted']),
  diversifier: hexText(4, 30).optional(),
  ...cardKeys,
});

const scp03Keys = z.strictObject({
  mechanism: z.literal('scp03'),
  cipher: z.enum(scp03Ciphers),
  mode: z.enum(scp03Modes),
  challenge: z.enum(['random', 'pseudo-random']),
  /** diversification data of INITIALIZE UPDATE */
  diversifier: hexText(10, 10),
  ...cardKeys,
});

function keyLength(keys: z.infer<typeof mutualKeys> | z.infer<typeof scp03Keys>): number {
  return keys.mechanism === 'scp03' ? scp03KeyLengths[keys.cipher] : 16;
}

const keys = z
  .discriminatedUnion('mechanism', [mutualKeys, scp03Keys])
  .refine((it) => (it.master === undefined) !== (it.card === undefined), 'must have one of master and card')
  .refine((it) => !it.master || it.diversifier, 'must have a diversifier beside master')
  .refine(
    (it) =>
      [it.master, it.card?.encryption, it.card?.mac].every(
        (key) => key === undefined || key.length === 2 * keyLength(it),
      ),
    'must have keys of the length of their cipher',
  );

const pin = z
  .strictObject({
    /** P2 of VERIFY */
    reference: z.int().min(1).max(159),
    ...pinFormatShape,
    digits: z.string().regex(/^[0-9]{4,12}$/, 'must be 4 to 12 digits, in quotes'),
    tries: z.int().min(1).max(15),
    /** tries left when the card is new; `tries` if absent */
    triesLeft: z.int().min(0).max(15).optional(),
  })
  .superRefine((it, context) =>
    checkPinFormat(it, it.digits.length, (path, message) =>
      context.addIssue({ code: 'custom', path: [...path], message }),
    ),
  );

const cardApplication = z.strictObject({
  aid: hexText(5, 16),
  files: z.array(file).max(30),
  keys: keys.optional(),
  pins: z.array(pin).max(8).default([]),
});

const exchange = z.int().min(1);

/** A fault the virtual card commits; `exchange` counts the APDUs since power on, from 1. */
const cardFaultSchema = z.discriminatedUnion('kind', [
  /** the card leaves the field while it works on this APDU, which takes effect on the card all the same */
  z.strictObject({ kind: z.literal('removed'), exchange }),
  /** bit `bit` of this response arrives inverted; 0 is the most significant bit of the first byte */
  z.strictObject({ kind: z.literal('flipped-bit'), exchange, bit: z.int().min(0) }),
  /** every APDU takes this much longer */
  z.strictObject({ kind: z.literal('slow'), delayMs: z.number().positive() }),
  /** this APDU is answered by the bare status word, and not worked on */
  z.strictObject({ kind: z.literal('status'), exchange, status: z.int().min(0x6000).max(0x9fff) }),
  /** this APDU is not answered until the power goes off */
  z.strictObject({ kind: z.literal('silent'), exchange }),
]);
export type CardFault = z.infer<typeof cardFaultSchema>;

/** A virtual My Number Card: what is in its free space, how fast its link is, and how it misbehaves. */
export const cardDescriptionSchema = z.strictObject({
  formatVersion: z.literal(1),
  cardApplications: z.array(cardApplication).max(16),
  /** false: commands of extended length are refused, and long ones have to be chained */
  extendedLength: z.boolean().default(true),
  link: z
    .strictObject({
      /** bit rate of the radio link; without it an exchange takes no time */
      kilobitsPerSecond: z.union([z.literal(106), z.literal(212), z.literal(424), z.literal(848)]),
    })
    .optional(),
  misbehaviour: z.array(cardFaultSchema).default([]),
});

export type CardDescription = z.infer<typeof cardDescriptionSchema>;
export type CardApplicationDescription = CardDescription['cardApplications'][number];
export type KeysDescription = NonNullable<CardApplicationDescription['keys']>;
export type FileDescription = CardApplicationDescription['files'][number];
