import { listOf, objectOf, optional, recordOf, type Shape, text } from '#core/shape.ts';
import type { SiteRules } from './site-rules.ts';

const objects = listOf(objectOf({}));
const days = objectOf({ days: recordOf(text) });

/**
 * The outline of `SiteRules` as they are stored and sent, once they are made of what a person wrote. What is missing
 * here would be a rule less, and a rule less opens doors.
 */
export const madeRulesShape = objectOf({
  organization: text,
  timeZone: text,
  profiles: objects,
  calendars: listOf(days),
  schedules: listOf(objectOf({ periods: objects })),
  groups: listOf(text),
  zones: objects,
  doors: listOf(objectOf({ id: text, assurance: listOf(text), additional: objects })),
  permissions: objects,
  services: objects,
  terminalGroups: objects,
  clearances: objects,
  longerAccess: listOf(text),
  lockOut: objectOf({}),
  lockdown: optional(objectOf({})),
  evacuation: optional(objectOf({})),
  master: optional(objectOf({})),
  duress: optional(objectOf({})),
  japaneseHolidays: optional(days),
} satisfies Readonly<Record<keyof SiteRules, Shape>>);
