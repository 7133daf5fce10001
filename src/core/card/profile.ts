import { z } from 'zod';
import { fixedApplications } from '#core/card/applications.ts';
import { diversifications } from '#core/card/diversification.ts';
import { accessMethods } from '#core/card/reading.ts';
import { userNumberFormatSchema } from '#core/card/user-number.ts';
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
    'is not a path of tags (such as 6F/A5/C1, upper case, from the outermost tag of the answer)',
  );

const application = z.strictObject({
  /** the whole application identifier, never a shortened one: cards select the first that a partial one matches */
  aid: hexText(5, 16),
  /** length in bytes as the card AP's document states it; needed when `aid` has fewer than 10 */
  aidLength: z.int().min(5).max(16).optional(),
  /** `fci`: SELECT asks for file control information (P2 00), whose AID is compared; `none`: it asks for nothing (P2 0C) */
  answer: z.enum(['fci', 'none']),
});

const userNumber = z.strictObject({
  file: z.strictObject({
    shortFileId: z.int().min(1).max(30).optional(),
    fileId: hexText(2, 2).optional(),
    /** record number; absent for a transparent file */
    record: z.int().min(1).max(254).optional(),
  }),
  /** first byte of the user number in the file or record */
  offset: z.int().min(0).max(127),
  /** bytes that hold it, padding included */
  length: z.int().min(1).max(64),
  encoding: z.enum(['ascii']),
  /** what fills the bytes behind a shorter user number */
  padding: z.enum(['none', '00', '20', 'FF']),
  format: userNumberFormatSchema,
});

const channel = z.strictObject({
  mechanism: z.enum(['mutual']),
  cipher: z.enum(['aes-128', '3des']),
  /** hash of the session key derivation */
  sessionKeys: z.enum(['sha-1', 'sha-256']),
  /** protection of what is read: `authenticated` (DO'81' and MAC) or `encrypted` (DO'87' and MAC) */
  messages: z.enum(['authenticated', 'encrypted']),
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
  /** where the answer to SELECT names the key version of the card, one byte */
  versionAt: tagPath,
  diversifier: z.strictObject({ at: tagPath, length: z.int().min(4).max(30) }).optional(),
});

const pin = z.strictObject({
  /** P2 of VERIFY */
  reference: z.int().min(1).max(159),
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

type Shape = z.infer<typeof shape>;
type Report = (path: readonly (string | number)[], message: string) => void;

function checkApplication({ aid, aidLength }: Shape['application'], report: Report): void {
  const path = ['application', 'aid'];
  const bytes = aid.length / 2;
  if (aidLength !== undefined && aidLength !== bytes) {
    report(path, `has ${bytes} bytes, but aidLength states ${aidLength} (give the whole AID)`);
  } else if (bytes < 10 && (aidLength === undefined || aid.startsWith('D392'))) {
    report(
      path,
      `has only ${bytes} bytes: a shortened AID may select another application (give the whole AID)`,
    );
  } else if (bytes <= 5) {
    report(path, 'is a registered prefix alone (give the whole AID)');
  }
  const fixed = fixedApplications.find((known) => known.aid.startsWith(aid));
  if (fixed) report(path, `selects the card's own ${fixed.name} application (give the card AP's own AID)`);
}

function checkMethod(profile: Shape, report: Report): void {
  const { method } = profile;
  if (method === 'type-c') {
    for (const section of ['channel', 'keys', 'pin'] as const) {
      if (profile[section])
        report([section], 'has no place in Type C, which has no keys and no PIN (remove it)');
    }
    return;
  }
  if (method === 'type-a' && !profile.channel) {
    report(['channel'], 'is missing: Type A authenticates mutually (add channel and keys)');
  }
  if (method === 'type-d' && profile.channel?.messages !== 'encrypted') {
    report(
      ['channel', 'messages'],
      'must be encrypted: Type D encrypts what it reads (set messages: encrypted)',
    );
  }
  if (method === 'type-d' && profile.pin) {
    report(['pin'], 'has no place in Type D, which has no PIN (remove it)');
  }
}

function checkKeys({ application: { answer }, channel, keys }: Shape, report: Report): void {
  if (channel && !keys) report(['keys'], 'is missing: the channel needs them (name versions and versionAt)');
  if (keys && !channel) report(['keys'], 'has no channel to use it (add channel, or remove keys)');
  if (!keys) return;
  if (answer !== 'fci') {
    report(['application', 'answer'], 'must be fci: the answer to SELECT names the key version');
  }
  if (new Set(keys.versions).size !== keys.versions.length) {
    report(['keys', 'versions'], 'names a version twice');
  }
  for (const version of Object.keys(keys.until ?? {})) {
    if (!keys.versions.some((known) => String(known) === version)) {
      report(['keys', 'until', version], 'is not among the versions (correct it, or remove it)');
    }
  }
  if (channel?.mechanism === 'mutual' && keys.diversification !== 'none' && !keys.diversifier) {
    report(
      ['keys', 'diversifier'],
      'is missing: each card has keys of its own, made from it (say where it is)',
    );
  }
  if (keys.diversifier?.at === keys.versionAt) {
    report(['keys', 'diversifier', 'at'], 'is where the key version is (name the tag of the diversifier)');
  }
}

function checkUserNumber({ userNumber: { file, length, padding, format } }: Shape, report: Report): void {
  const path = ['userNumber', 'file'];
  if ((file.shortFileId === undefined) === (file.fileId === undefined)) {
    report(path, 'must have one of shortFileId and fileId');
  }
  if (format.maximumLength > length) {
    report(['userNumber', 'format', 'maximumLength'], `is more than the ${length} bytes that are read`);
  }
  if (padding === 'none' && (format.minimumLength !== length || format.maximumLength !== length)) {
    report(['userNumber', 'padding'], 'is none, so the format must have exactly the length that is read');
  }
}

function checkPin({ channel, pin }: Shape, report: Report): void {
  if (!pin) return;
  if (!channel) {
    report(['pin'], 'needs a channel: a PIN crosses the air encrypted or not at all (add channel and keys)');
  }
  if (pin.maximumDigits < pin.minimumDigits) {
    report(['pin', 'maximumDigits'], 'is smaller than minimumDigits');
  }
}

/** A card profile: the data that describes one card AP to the terminal. Plain data; byte strings are upper-case hexadecimal. */
export const cardProfileSchema = shape.superRefine((profile, context) => {
  const report: Report = (path, message) => context.addIssue({ code: 'custom', path: [...path], message });
  checkApplication(profile.application, report);
  checkMethod(profile, report);
  checkKeys(profile, report);
  checkUserNumber(profile, report);
  checkPin(profile, report);
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
