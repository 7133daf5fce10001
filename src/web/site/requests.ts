import { z } from 'zod';
import { padKeys, ruleSets, visitorActions } from './api.ts';

/** What the server accepts from the page; everything else is a problem document. Apart from the types in api.ts so that the page carries no validator. */

export const holdBody = z.strictObject({ readerId: z.string().min(1).max(64) });
export const padBody = z.strictObject({ key: z.enum(padKeys) });
export const visitBody = z.strictObject({ action: z.enum(visitorActions) });
export const rulesBody = z.strictObject({ rules: z.enum(ruleSets) });
export const emptyBody = z.strictObject({});
export const journalQuery = z.strictObject({
  before: z.coerce.number().int().min(1).optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});
