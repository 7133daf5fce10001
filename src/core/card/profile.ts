import { z } from 'zod';
import { scp03Ciphers, scp03Levels, scp03Modes } from '#core/card/channel/scp03/messages.ts';
import { diversifications } from '#core/card/diversification.ts';
import { pinFormatShape } from '#core/card/pin-format.ts';
import { checkProfile } from '#core/card/profile-rules.ts';
import { accessMethods } from '#core/card/reading.ts';
import { userNumberFormatSchema } from '#core/card/user-number-format.ts';
import { Fault } from '#core/fault.ts';

const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'is not a name (use a-z, 0-9 and hyphens, at most 63 characters)');

const hexText = (minimumBytes: number, maximumBytes: number) =>
  z
    .string('is not text (put hexadecimal in quotes, or YAML may read a number)')
    .regex(
      new RegExp(`^(?:[0-9A-Fa-f]{2}){${minimumBytes},${maximumBytes}}$`),
      `is not hexadecimal of ${minimumBytes === maximumBytes ? minimumBytes : `${minimumBytes} to ${maximumBytes}`} bytes`,
    )
    .toUpperCase();

const tagPath = z
  .string()
  .regex(
    /^[0-9A-F]{2,4}(?:\/[0-9A-F]{2,4}){0,3}$/,
    'is not a path of tags (such as 6F/A5/C1, upper case, from the outermost tag in)',
  );

const application = z.strictObject({
  /** the whole application identifier, never a shortened one: cards select the first that a partial one matches */
  aid: hexText(5, 16),
  /** length in bytes as the card AP's document states it; needed when `aid` has fewer than 10 */
  aidLength: z.int().min(5).max(16).optional(),
  /** `fci`: SELECT asks for file control information (P2 00), whose AID is compared; `none`: it asks for nothing (P2 0C) */
  answer: z.enum(['fci', 'none']),
  /** true: commands and answers may be of extended length; else long ones are chained, or read in pieces */
  extendedLength: z.boolean().optional(),
});

const userNumber = z.strictObject({
  file: z.strictObject({
    shortFileId: z.int().min(1).max(30).optional(),
    fileId: hexText(2, 2).optional(),
    /** record number; absent for a transparent file */
    record: z.int().min(1).max(254).optional(),
  }),
  /** first byte of the user number, or of the data object that holds it, in the file or record */
  offset: z.int().min(0).max(32_767),
  /** bytes that hold it, padding included; with `at`, the most bytes that the data object takes */
  length: z.int().min(1).max(2048),
  /** path of tags to the user number where it stands in a data object */
  at: tagPath.optional(),
  /** `bcd`: two digits a byte, the last nibble F where their count is odd */
  encoding: z.enum(['ascii', 'bcd']),
  /** what fills the bytes behind a shorter user number */
  padding: z.enum(['none', '00', '20', 'FF']),
  format: userNumberFormatSchema,
});

/** ISO 7816-4 style mutual authentication and secure messaging. */
const mutualChannel = z.strictObject({
  mechanism: z.literal('mutual'),
  cipher: z.enum(['aes-128', '3des']),
  /** hash of the session key derivation */
  sessionKeys: z.enum(['sha-1', 'sha-256']),
  /** protection of what is read: `authenticated` (DO'81' and MAC) or `encrypted` (DO'87' and MAC) */
  messages: z.enum(['authenticated', 'encrypted']),
});

/** GlobalPlatform SCP03. INITIALIZE UPDATE names the key version, and the diversification data as the diversifier. */
const scp03Channel = z.strictObject({
  mechanism: z.literal('scp03'),
  cipher: z.enum(scp03Ciphers),
  /** security level, hexadecimal: 01 C-MAC, 03 and C-ENC, 11 C-MAC and R-MAC, 13 and C-ENC, 33 and R-ENC */
  level: z.enum(scp03Levels),
  /** challenges, cryptograms and MACs of 8 (`s8`) or 16 bytes (`s16`) */
  mode: z.enum(scp03Modes),
  /** P1 of INITIALIZE UPDATE; 0 leaves the choice of the key version to the card, as it must be while several are accepted */
  askedKeyVersion: z.int().min(0).max(127),
});

const channel = z.discriminatedUnion('mechanism', [mutualChannel, scp03Channel], {
  error: 'must have a mechanism: mutual or scp03',
});

const keys = z.strictObject({
  /** key versions this terminal accepts */
  versions: z.array(z.int().min(1).max(255)).min(1).max(16),
  /** when a version ceases to be accepted, such as `1: "2027-04-01T00:00:00+09:00"`, for versions of a rotation that ends */
  until: z
    .record(
      z.string(),
      z.iso.datetime({
        offset: true,
        error: 'is no date and time with its offset, such as "2027-04-01T00:00:00+09:00"',
      }),
    )
    .optional(),
  /** how the keys of a card come from the master key; `none`: all cards share it, which only a software vault serves */
  diversification: z.enum(diversifications),
  /** where the answer to SELECT names the key version of the card, one byte; for `mutual` */
  versionAt: tagPath.optional(),
  /** where the answer to SELECT holds the diversifier; for `mutual` */
  diversifier: z.strictObject({ at: tagPath, length: z.int().min(4).max(30) }).optional(),
});

const pin = z.strictObject({
  /** P2 of VERIFY */
  reference: z.int().min(1).max(159),
  ...pinFormatShape,
  minimumDigits: z.int().min(4).max(12),
  maximumDigits: z.int().min(4).max(12),
  /** a PIN is sent to the card only while at least this many tries are left; 1 risks locking the card AP */
  minimumTriesLeft: z.int().min(1).max(15),
});

const shape = z.strictObject({
  formatVersion: z.literal(1),
  id: name,
  /** true for a made-up card AP; the wire formats of real ones come with an organization's contract */
  synthetic: z.boolean(),
  organization: name,
  method: z.enum(accessMethods),
  application,
  userNumber,
  channel: channel.optional(),
  keys: keys.optional(),
  pin: pin.optional(),
});

export type ProfileShape = z.infer<typeof shape>;

/** A card profile: the data that describes one card AP to the terminal. Plain data; byte strings are upper-case hexadecimal. */
export const cardProfileSchema = shape.superRefine((profile, context) => {
  checkProfile(profile, (path, message) => context.addIssue({ code: 'custom', path: [...path], message }));
});

export type CardProfile = z.infer<typeof cardProfileSchema>;

function describeProblem({ path, code, message }: z.core.$ZodIssue): string {
  const place = path.length === 0 ? 'profile' : path.join('.');
  if (code === 'unrecognized_keys') return `${place}: ${message} (misspelled, or of a later version)`;
  return `${place}: ${message.endsWith('received undefined') ? 'is missing' : message}`;
}

/**
 * Checks a card profile read from `source` (a file name, for the message).
 * Throws a Fault `profile-invalid` that lists every problem with its place and what to do.
 */
export function parseCardProfile(data: unknown, source: string): CardProfile {
  const result = cardProfileSchema.safeParse(data);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => `  ${describeProblem(issue)}`);
  throw new Fault('profile-invalid', `${source} is not a card profile:\n${problems.join('\n')}`);
}
