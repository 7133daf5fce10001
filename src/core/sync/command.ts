import { z } from 'zod';
import { id as named } from '#core/access/rule-config.ts';
import { containsIndividualNumber, individualNumberRefused } from '#core/card/user-number.ts';

/** Version of the form that commands and their results are sent and stored in. */
const commandFormat = 1;
const numberOnce = z.string().regex(/^[0-9a-f]{32}$/, 'must be 32 lower-case hexadecimal digits');

/** how long a command may be valid at most, in milliseconds: its id is remembered until nobody could believe it */
export const longestValidityMs = 86_400_000;
/** how long a door may be held unlocked by one command, in milliseconds; for longer there are schedules */
export const longestHoldMs = 7 * 86_400_000;

/** Words of a person for a record: one line, nothing that moves a cursor or turns the direction of writing. */
const words = (length: number) =>
  z
    .string()
    .trim()
    .min(1, 'must not be empty')
    .max(length)
    .regex(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+$/u, 'must be one line of plain text')
    .refine((text) => !containsIndividualNumber(text), individualNumberRefused);
const zones = z.array(named).min(1).max(1_000).optional();
const time = z.int().min(0);

/**
 * What a terminal can be told to do: a closed set. Zones, doors, readers, floors and services go by the names of the
 * configuration and of the policy; without `zones` a condition is of the whole site.
 */
export const commandActionSchema = z.discriminatedUnion('kind', [
  /** Unlocks once, as a grant does: for `seconds`, else the strike time; of an elevator these floors, else all. */
  z.strictObject({
    kind: z.literal('unlock-once'),
    door: named,
    floors: z.array(named).min(1).optional(),
    seconds: z.int().min(1).max(300).optional(),
  }),
  /** Holds the door unlocked, either for some time, which a reboot ends, or until a moment that outlasts one. */
  z
    .strictObject({
      kind: z.literal('hold'),
      door: named,
      seconds: z
        .int()
        .min(1)
        .max(longestHoldMs / 1_000)
        .optional(),
      untilMs: time.optional(),
    })
    .refine(({ seconds, untilMs }) => (seconds === undefined) !== (untilMs === undefined), {
      error: 'either "seconds" or "untilMs" is needed',
    }),
  /** Ends what cards and commands hold unlocked: the door goes by its schedule again. */
  z.strictObject({ kind: z.literal('resume'), door: named }),
  z.strictObject({ kind: z.literal('lockdown'), zones }),
  z.strictObject({ kind: z.literal('end-lockdown'), zones }),
  z.strictObject({ kind: z.literal('evacuation'), zones }),
  z.strictObject({ kind: z.literal('end-evacuation'), zones }),
  /** Fire is declared by the contact of the panel alone; where no rule on that input ends it, somebody does. */
  z.strictObject({ kind: z.literal('end-fire'), zones }),
  /** 0 is the usual level */
  z.strictObject({ kind: z.literal('threat-level'), level: z.int().min(0).max(9) }),
  /** Forgets where a holder is: the next tap offends no anti-passback. */
  z.strictObject({ kind: z.literal('reset-position'), holder: named }),
  /** Forgets who is in a zone, all at once. */
  z.strictObject({ kind: z.literal('reset-zone'), zone: named }),
  /** Who is in which zone, as far as grants tell; `after`: the rest of what did not fit one message. */
  z.strictObject({
    kind: z.literal('roll-call'),
    zone: named.optional(),
    after: z
      .string()
      .regex(/^[0-9A-F]{32}$/)
      .optional(),
  }),
  /** Says that a holder came or went at a moment, as no tap has told rightly; the next tap goes on from there. */
  z.strictObject({
    kind: z.literal('correct-attendance'),
    holder: named,
    service: named,
    is: z.enum(['in', 'out']),
    atMs: time.optional(),
  }),
  /** Blinks and beeps, so that whoever stands there finds the reader, or those of the door. */
  z
    .strictObject({
      kind: z.literal('identify'),
      reader: named.optional(),
      door: named.optional(),
      seconds: z.int().min(1).max(600).default(30),
    })
    .refine(({ reader, door }) => (reader === undefined) !== (door === undefined), {
      error: 'either "reader" or "door" is needed',
    }),
  /** What support asks for; holds no personal data and no secret. */
  z.strictObject({ kind: z.literal('diagnostics') }),
  z.strictObject({ kind: z.literal('restart') }),
]);
export type CommandAction = z.output<typeof commandActionSchema>;
export type CommandKind = CommandAction['kind'];

/** What every command has, whoever gives it. */
const commandBase = z.strictObject({
  format: z.literal(commandFormat),
  /** a number used once, 32 hexadecimal digits: the same again does nothing */
  id: numberOnce,
  /** who, and why */
  issuedBy: words(100),
  reason: words(500),
  action: commandActionSchema,
});

/** A command as it is given on the device itself, where it is obeyed at once or not at all. */
export const localCommandSchema = commandBase;
export type LocalCommand = z.output<typeof localCommandSchema>;

/**
 * A command for one terminal, good from `issuedAtMs` until before `expiresAtMs` (UTC). One that was signed anew says in
 * `givenAtMs` when somebody gave it: it counts as of then against what was declared since.
 */
export const commandSchema = commandBase
  .extend({ terminal: named, issuedAtMs: time, expiresAtMs: time, givenAtMs: time.exactOptional() })
  .refine(({ issuedAtMs, expiresAtMs }) => expiresAtMs > issuedAtMs, {
    error: '"expiresAtMs" must be after "issuedAtMs"',
  })
  .refine(({ issuedAtMs, expiresAtMs }) => expiresAtMs - issuedAtMs <= longestValidityMs, {
    error: 'a command is valid for a day at most',
  })
  .refine(({ issuedAtMs, givenAtMs = issuedAtMs }) => givenAtMs <= issuedAtMs, {
    error: '"givenAtMs" must not be after "issuedAtMs"',
  });
export type Command = z.output<typeof commandSchema>;

/** When somebody gave a command, UTC in milliseconds, however late it was signed. */
export function givenAtMs(command: Pick<Command, 'issuedAtMs' | 'givenAtMs'>): number {
  return command.givenAtMs ?? command.issuedAtMs;
}

/**
 * What came of a command: a closed set, with texts in core/texts/commands.ts. Only `done` has changed anything, and
 * `door-failed` perhaps: the door tells.
 */
export const commandOutcomes = [
  'done',
  // not for here and now
  'expired',
  'time-unknown',
  'replayed',
  'other-terminal',
  // something declared later holds
  'superseded',
  // no such thing here
  'unknown-door',
  'unknown-floor',
  'unknown-reader',
  'unknown-zone',
  'unknown-service',
  'nothing-known',
  // something of higher precedence stands in the way
  'fire',
  'evacuation',
  'lockdown',
  'interlock-busy',
  'tampered',
  // it cannot be done
  'time-past',
  'journal-unwritable',
  'door-failed',
  'busy',
  'unavailable',
  'failed',
] as const;
export type CommandOutcome = (typeof commandOutcomes)[number];

/** Who is in which zone, the longest inside first. Names holders: for whoever asked, never for a log. */
const rollCallSchema = z.array(
  z.strictObject({
    zone: z.string(),
    holders: z.array(z.strictObject({ holder: z.string(), sinceMs: z.number() })),
  }),
);
export type RollCall = z.output<typeof rollCallSchema>;

const fault = z.strictObject({ code: z.string(), atMs: z.number(), where: z.string() });

/** The state of a terminal for support, without personal data and secrets. */
export const diagnosticsSchema = z.strictObject({
  terminal: z.string(),
  /** of the program and of what runs it */
  versions: z.record(z.string(), z.string()),
  startedAtMs: z.number(),
  clock: z.strictObject({ utcMs: z.number(), trusted: z.boolean(), floorMs: z.number() }),
  /** as `config parameters` prints them */
  parameters: z.array(z.strictObject({ name: z.string(), value: z.string() })),
  /** absent while no policy is installed, or it cannot be read */
  policy: z
    .strictObject({ number: z.number(), installedAtMs: z.number(), freshAtMs: z.number().optional() })
    .optional(),
  journal: z.strictObject({
    writable: z.boolean(),
    sequence: z.number().optional(),
    space: z.looseObject({ level: z.string() }).optional(),
  }),
  doors: z.array(
    z.strictObject({
      door: z.string(),
      floor: z.string().optional(),
      state: z.string(),
      mode: z.string(),
      locked: z.boolean(),
      fault: z.string().optional(),
    }),
  ),
  readers: z.array(z.strictObject({ reader: z.string(), door: z.string(), ready: z.boolean() })),
  /** what the status line says of keys; absent where none are configured */
  keys: z.string().optional(),
  /** those that the journal was told of last, newest last */
  faults: z.array(fault),
  /** names of the reports that earlier runs of the program left when they failed, oldest first; absent where there is none */
  failures: z.array(z.string()).optional(),
});
export type Diagnostics = z.output<typeof diagnosticsSchema>;

/** The answer to a command, for whoever gave it; the journal has its outcome alone. */
export const commandResultSchema = z.strictObject({
  format: z.literal(commandFormat),
  id: numberOnce,
  outcome: z.enum(commandOutcomes),
  /** of `replayed`: what came of it the first time; absent where that is going on, or was cut off */
  first: z.enum(commandOutcomes).optional(),
  /** the names there are, where one was unknown */
  known: z.array(z.string()).optional(),
  fault: z.string().optional(),
  rollCall: rollCallSchema.optional(),
  /** how much of what was asked for did not fit the message */
  omitted: z.int().min(1).optional(),
  /** of a roll call of which something is omitted: asked for with this as `after`, the rest follows */
  next: z.string().optional(),
  diagnostics: diagnosticsSchema.optional(),
});
export type CommandResult = z.output<typeof commandResultSchema>;

/** What a result consists of besides the command it belongs to. */
export type CommandAnswer = Omit<CommandResult, 'format' | 'id'>;

export function resultOf(id: string, answer: CommandAnswer): CommandResult {
  return { format: commandFormat, id, ...answer };
}

/** how long a command given on the device itself counts as valid, in milliseconds */
const localValidityMs = 60_000;

/** A command given at `terminal` itself at `nowMs` (UTC). */
export function commandAt(terminal: string, nowMs: number, given: LocalCommand): Command {
  return { ...given, terminal, issuedAtMs: nowMs, expiresAtMs: nowMs + localValidityMs };
}
