import { z } from 'zod';
import { individualNumberRefused, looksLikeIndividualNumber } from '#core/card/user-number.ts';

/** Names of things in a policy: letters of any script, digits and `. _ -`, so that lists of them need no quoting. */
export const id = z
  .string({ error: 'must be text; put it in quotes when it looks like a number' })
  .regex(
    /^[\p{L}\p{N}][\p{L}\p{M}\p{N}._-]{0,63}$/u,
    'must be 1 to 64 letters, digits, ".", "_" or "-" and begin with a letter or digit',
  )
  .refine((text) => !looksLikeIndividualNumber(text), individualNumberRefused);

/** Minutes after midnight of a time written `"08:30"`, at most `"24:00"`. */
export const timeOfDay = z
  .string({ error: 'must be a time in quotes such as "08:30"' })
  .regex(/^(?:[01]\d|2[0-3]):[0-5]\d$|^24:00$/, 'must be a time such as "08:30", at most "24:00"')
  .transform((text) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3)));

/** Groups by name; those that the rules do not list are refused with the rest of the references. */
export const groupIds = z.array(id).min(1, 'must name at least one group');

/**
 * Where a rule counts: at this terminal alone, or across a group of terminals, with what holds while they cannot talk:
 * `deny`: nothing is granted; `grant`: by what the terminal knows, and what should not have been is found afterwards.
 */
const groupScope = z.strictObject({ group: id, apart: z.enum(['deny', 'grant']) });
const each = 'group of terminals that count together; each terminal for itself where absent';
export const scope = groupScope.optional().describe(each);
export type Scope = z.output<typeof scope>;

/** As `scope`, of something counted: with `share` each terminal keeps to its share of the limit. */
export const countScope = z
  .union([
    z.strictObject({ group: id, apart: z.literal('share'), share: z.int().min(1).max(1_000_000) }),
    groupScope,
  ])
  .optional()
  .describe(each);
export type CountScope = z.output<typeof countScope>;
