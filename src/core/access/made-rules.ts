import { z } from 'zod';

const list = z.array(z.looseObject({}));

/**
 * The outline of `SiteRules` as they are stored and sent, once they are made of what a person wrote. What is missing
 * here would be a rule less, and a rule less opens doors.
 */
export const madeRulesSchema = z.looseObject({
  organization: z.string(),
  timeZone: z.string(),
  profiles: list,
  calendars: z.array(z.looseObject({ days: z.record(z.string(), z.string()) })),
  schedules: z.array(z.looseObject({ periods: list })),
  groups: z.array(z.string()),
  zones: list,
  doors: z.array(z.looseObject({ id: z.string(), assurance: z.array(z.string()), additional: list })),
  permissions: list,
  services: list,
  terminalGroups: list,
  clearances: list,
  longerAccess: z.array(z.string()),
  lockOut: z.looseObject({}),
  japaneseHolidays: z.looseObject({ days: z.record(z.string(), z.string()) }).optional(),
});
