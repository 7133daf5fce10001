import { z } from 'zod';
import type { JournalEntry } from '#core/journal/entry.ts';
import { commandActionSchema } from '#core/sync/command.ts';
import { isSiteAction, protects, ruleChanges, siteChanges } from '#core/sync/site-command.ts';
import type { SiteEffect } from './automation.ts';
import { resetZone } from './rules/position.ts';
import { siteConditions } from './site-state.ts';
import type { Declaration } from './terminal-facts.ts';

const automationSchema = z.union([
  z.object({
    condition: z.enum(siteConditions),
    on: z.boolean(),
    zones: z.array(z.string()).optional(),
  }),
  z.object({ threatLevel: z.int().min(0) }),
]);
const doneSchema = z.looseObject({
  command: z.string(),
  outcome: z.literal('done'),
  issuedAtMs: z.int().optional(),
  givenAtMs: z.int().optional(),
});

/**
 * What `entry` records as changed of the terminal as a whole, by an input or by a command: a condition of the site, its
 * threat level, who is in a zone. Undefined for any other entry.
 */
export function recordedDeclaration(entry: JournalEntry): Declaration | undefined {
  if (entry.kind === 'command') return declaredByCommand(entry);
  const told = entry.kind === 'automation' ? automationSchema.safeParse(entry.body).data : undefined;
  if (!told) return undefined;
  const effect: SiteEffect =
    'threatLevel' in told
      ? { kind: 'threat-level', level: told.threatLevel }
      : {
          kind: 'condition',
          condition: told.condition,
          on: told.on,
          ...(told.zones && { zones: told.zones }),
        };
  return (state) => ruleChanges(effect, entry, state);
}

/** Whose position a command forgot; undefined for any other entry, and where that has been erased. */
export function forgottenHolder(
  { kind, body }: JournalEntry,
  { holder }: { readonly [field: string]: string },
): string | undefined {
  const done = kind === 'command' ? doneSchema.safeParse(body).data : undefined;
  return done?.command === 'reset-position' ? holder : undefined;
}

function declaredByCommand({ body, atMs, clock }: JournalEntry): Declaration | undefined {
  const done = doneSchema.safeParse(body).data;
  if (!done) return undefined;
  const { command: kind, zones, level, zone } = done;
  const given = Object.entries({ zones, level, zone }).filter(([, value]) => value !== undefined);
  const action = commandActionSchema.safeParse({ kind, ...Object.fromEntries(given) }).data;
  if (!action) return undefined;
  if (action.kind === 'reset-zone') return (state) => resetZone(action.zone, state);
  if (!isSiteAction(action)) return undefined;
  return (state) => {
    // on the device itself: declared then, and ended whatever is known of when that was declared
    const local = protects(action, state) ? atMs : Number.POSITIVE_INFINITY;
    const givenAtMs = done.givenAtMs ?? done.issuedAtMs ?? local;
    return siteChanges(action, { givenAtMs, nowMs: clock === 'trusted' ? atMs : undefined }, state) ?? [];
  };
}
