import { z } from 'zod';
import { recordStatuses } from '#core/access/policy.ts';
import { id } from '#core/access/rule-config.ts';
import type { StoredHolder } from '../permissions/holder-rows.ts';
import { type CardState, cardKeyText, type HolderState, inOrder } from '../permissions/holder-state.ts';

/** A moment as the interface writes it: RFC 3339 with an offset, answered in UTC. */
export const moment = z.iso.datetime({ offset: true });
export const momentOf = (ms: number): string => new Date(ms).toISOString();

export const cursorQuery = z.object({
  cursor: z.string().max(512).optional().describe('`next` of the page before'),
  limit: z.coerce.number().int().min(1).max(500).default(100),
});

/** Cursors are opaque to callers. */
export const cursorOf = (last: string | undefined): string | null =>
  last === undefined ? null : Buffer.from(last).toString('base64url');
export const afterCursor = (cursor: string | undefined): string =>
  cursor === undefined ? '' : Buffer.from(cursor, 'base64url').toString();

export function pageOf<T extends z.ZodType>(item: T) {
  return z.object({
    items: z.array(item),
    next: z.string().nullable().describe('cursor of the next page; null: there is none'),
  });
}

/** The ends of `limit + 1` items read: whether there are more tells the last one. */
export function paged<I, O>(
  items: readonly I[],
  limit: number,
  key: (item: I) => string,
  show: (item: I) => O,
) {
  const shown = items.slice(0, limit);
  const last = shown.at(-1);
  return {
    items: shown.map(show),
    next: items.length > limit && last !== undefined ? cursorOf(key(last)) : null,
  };
}

const suspension = z.object({ since: moment, by: z.string(), reason: z.string() });
const status = z.enum(recordStatuses);
export const cardKeySchema = z.object({
  profileId: id,
  userNumber: z.string().min(1).max(64),
  diversifier: z
    .string()
    .regex(/^(?:[0-9A-F]{2}){1,32}$/, 'must be upper-case hexadecimal of 1 to 32 bytes')
    .optional()
    .describe('names one physical card; absent: any card with the user number'),
});
const cardSchema = cardKeySchema.extend({
  status: status.default('active'),
  keyVersion: z
    .int()
    .min(1)
    .max(255)
    .nullable()
    .default(null)
    .describe('the card has these keys or later ones'),
});

/** What a caller says a holder is to be. */
export const holderBody = z.strictObject({
  status: status.default('active'),
  validFrom: moment.nullable().default(null),
  validUntil: moment
    .nullable()
    .default(null)
    .describe('from this moment on the holder is not valid any more'),
  groups: z.array(id).max(200),
  cards: z.array(cardSchema).max(50),
});

/** What a holder is. `suspended` outranks the status, and stays whatever lists and plans say. */
export const holderAnswer = z.object({
  holderId: z.string(),
  status,
  validFrom: moment.nullable(),
  validUntil: moment.nullable(),
  groups: z.array(z.string()),
  cards: z.array(
    cardSchema.extend({
      suspended: suspension
        .extend({
          diversifier: z
            .string()
            .optional()
            .describe(
              'of the card that was suspended; absent: all with the user number. To be lifted with this',
            ),
        })
        .optional(),
    }),
  ),
  suspended: suspension.optional(),
  changeNumber: z.int(),
});

export function stateOf(body: z.output<typeof holderBody>): HolderState {
  return inOrder({
    status: body.status,
    validFromMs: body.validFrom === null ? null : Date.parse(body.validFrom),
    validUntilMs: body.validUntil === null ? null : Date.parse(body.validUntil),
    groups: body.groups,
    cards: body.cards.map((card) => ({ ...card, diversifier: card.diversifier ?? '' })),
  });
}

export function shownState({ status, validFromMs, validUntilMs, groups, cards }: HolderState) {
  return {
    status,
    validFrom: validFromMs === null ? null : momentOf(validFromMs),
    validUntil: validUntilMs === null ? null : momentOf(validUntilMs),
    groups: [...groups],
    cards: cards.map(shownCard),
  };
}

export function shownHolder(holder: StoredHolder): z.input<typeof holderAnswer> {
  const { holderId, state, suspended, suspendedCards, changeNumber } = holder;
  return {
    holderId,
    ...shownState(state),
    cards: state.cards.map((card) => {
      const one = suspendedCards[cardKeyText(card)];
      const { diversifier } = one ?? { diversifier: '' };
      const own = { ...(diversifier !== '' && { diversifier }) };
      return { ...shownCard(card), ...(one && { suspended: { ...shownSuspension(one), ...own } }) };
    }),
    ...(suspended && { suspended: shownSuspension(suspended) }),
    changeNumber,
  };
}

function shownSuspension({ sinceMs, by, reason }: NonNullable<StoredHolder['suspended']>) {
  return { since: momentOf(sinceMs), by, reason };
}

function shownCard({ diversifier, ...card }: CardState) {
  return { ...card, ...(diversifier !== '' && { diversifier }) };
}
