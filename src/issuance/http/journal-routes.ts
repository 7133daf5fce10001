import { Readable } from 'node:stream';
import { z } from 'zod';
import type { Principal } from '../administrators/principals.ts';
import type { EntryCursor, EntryFilter, ShownAlarm, ShownEntry } from '../journal/journal-entries.ts';
import type { JournalState } from '../journal/journal-states.ts';
import { journalTable } from '../journal/journal-table.ts';
import type { OrganizationServices } from '../services.ts';
import { journalAlarmKinds } from '../storage/journal-tables.ts';
import { type Answer, nothing, type Routes } from './route.ts';
import { afterCursor, cursorOf, cursorQuery, moment, momentOf, pageOf } from './wire.ts';

const tag = 'journals';
const reading = { tag, scope: 'journal:read' } as const;

const filters = {
  terminal: z.string().max(64).optional(),
  kind: z.string().max(64).optional(),
  door: z.string().max(64).optional(),
  tapId: z
    .string()
    .max(64)
    .optional()
    .describe('everything that one tap has caused, from the reader to the door'),
  from: moment.optional().describe('inclusive, by the clock of the terminal'),
  until: moment.optional().describe('exclusive'),
};
const person = z
  .strictObject({
    holderId: z.string().min(1).max(64).exactOptional(),
    userNumbers: z.array(z.string().min(1).max(64)).max(50).exactOptional(),
  })
  .refine(({ holderId, userNumbers = [] }) => holderId !== undefined || userNumbers.length > 0, {
    error: 'must name a holder, or user numbers',
  });

const entryAnswer = z.object({
  terminal: z.string(),
  incarnation: z.string(),
  sequence: z.int(),
  at: moment.describe('by the clock of the terminal'),
  received: moment,
  clock: z.string().optional().describe('untrusted: the time was not known to be right'),
  kind: z.string().describe('empty where the bytes are no entry'),
  tapId: z.string().optional(),
  body: z.record(z.string(), z.json()).optional(),
  personal: z
    .record(z.string(), z.string())
    .optional()
    .describe('where the caller may see it and it is not erased'),
});
const alarmAnswer = z.object({
  terminal: z.string(),
  incarnation: z.string(),
  kind: z.enum(journalAlarmKinds),
  fromSequence: z.int(),
  toSequence: z.int(),
  raised: moment,
});
const stateAnswer = z.object({
  terminal: z.string(),
  incarnation: z.string(),
  sequence: z.int().describe('last entry that is stored; 0: none'),
  hash: z.string(),
  signedThrough: z.int(),
  lastEntry: moment.optional(),
  lastReceived: moment.optional(),
  missing: z.int().describe('entries that will not come any more'),
  alarms: z.int(),
  comparing: z.boolean().describe('entries are asked for again, since some were rewritten'),
});
const days = z.int().min(1).max(36_500).optional();
const retention = z.strictObject({
  entries: days.describe('days after which entries are let go of; absent: never'),
  personal: days.describe('days after which their personal values are erased; absent: with the entry'),
});

/** The journals of terminals: entries, how far they are, alarms, exports, and what is let go of. */
export function addJournalRoutes(routes: Routes): void {
  addEntries(routes);
  addStanding(routes);
  addExport(routes);
  addLettingGo(routes);
}

function addEntries(routes: Routes): void {
  routes.add(
    {
      ...reading,
      method: 'GET',
      url: '/journal/entries',
      summary: 'Entries of all terminals that the caller reaches, newest first',
      query: cursorQuery.extend(filters),
      answer: pageOf(entryAnswer),
    },
    ({ services, principal, query }) => pageOfEntries(services, principal, query, filterOf(query, principal)),
  );
  routes.add(
    {
      ...reading,
      method: 'POST',
      url: '/journal/entries/search',
      summary: 'Entries about one person, newest first; it is recorded that somebody looked for them',
      scope: 'journal:personal',
      body: z.strictObject({ ...cursorQuery.shape, ...filters, person }),
      answer: pageOf(entryAnswer),
    },
    async ({ services, principal, body }) => {
      const values = await (await services.journals()).lookFor(body.person, principal.actor);
      const about = { field: 'userNumber', values };
      return pageOfEntries(services, principal, body, { ...filterOf(body, principal), about });
    },
  );
}

function addStanding(routes: Routes): void {
  routes.add(
    {
      ...reading,
      method: 'GET',
      url: '/journal/terminals',
      summary: 'How far the journal of each terminal is stored, and what is wrong with it',
      answer: z.object({ items: z.array(stateAnswer) }),
    },
    async ({ services, principal: { terminals } }) => {
      const states = await (await services.journals()).states();
      const own = states.filter(({ terminal }) => terminals === undefined || terminals.has(terminal));
      return { body: { items: own.map(shownState) } };
    },
  );
  routes.add(
    {
      ...reading,
      method: 'GET',
      url: '/journal/alarms',
      summary: 'What was found to be wrong with journals, newest first',
      query: cursorQuery.extend({ terminal: filters.terminal }),
      answer: pageOf(alarmAnswer),
    },
    async ({ services, principal, query: { cursor, limit, terminal } }) => {
      const [raisedAtMs = 0, chain = 0, fromSequence = 0] = cursor === undefined ? [] : numbersIn(cursor);
      const { alarms, next } = await (await services.journals()).entries.alarms(reach(principal, terminal), {
        limit,
        ...(cursor !== undefined && { before: { raisedAtMs, chain, fromSequence } }),
      });
      const numbers = next && [next.raisedAtMs, next.chain, next.fromSequence];
      return { body: { items: alarms.map(shownAlarm), next: cursorOf(numbers && JSON.stringify(numbers)) } };
    },
  );
}

function addExport(routes: Routes): void {
  const personal = z
    .stringbool()
    .default(false)
    .describe('with user numbers; needs journal:personal, and is recorded');
  routes.add(
    {
      ...reading,
      method: 'GET',
      url: '/journal/export/:terminal',
      summary: 'The whole journal of one terminal (NDJSON) as `journal verify --export` checks it again',
      params: z.object({ terminal: z.string().max(64) }),
      query: z.object({ personal }),
      answer: z.any(),
    },
    async ({ services, principal, params: { terminal }, query, reply }): Promise<Answer<unknown>> => {
      const refused = await mayTake(services, principal, terminal, query.personal);
      if (refused) return refused;
      reply.header('content-type', 'application/x-ndjson; charset=utf-8');
      return { body: Readable.from(await (await services.journals()).exported(terminal, query.personal)) };
    },
  );
  routes.add(
    {
      ...reading,
      method: 'GET',
      url: '/journal/table',
      summary: 'Entries as a table (CSV), newest first',
      query: z.object({ ...filters, personal }),
      answer: z.any(),
    },
    async ({ services, principal, query, reply }): Promise<Answer<unknown>> => {
      const refused = await mayTake(services, principal, query.terminal, query.personal);
      if (refused) return refused;
      reply.header('content-type', 'text/csv; charset=utf-8');
      const { entries } = await services.journals();
      return { body: Readable.from(journalTable(entries, filterOf(query, principal), query.personal)) };
    },
  );
}

function addLettingGo(routes: Routes): void {
  routes.add(
    {
      ...reading,
      method: 'GET',
      url: '/journal/retention',
      summary: 'After how many days the server lets go of entries and of what is personal in them',
      answer: retention,
    },
    async ({ services }) => ({ body: await (await services.journals()).lettingGo.rule() }),
  );
  const letting = { tag, scope: 'journal:erase' } as const;
  routes.add(
    {
      ...letting,
      method: 'PUT',
      url: '/journal/retention',
      summary: 'Change this rule; it is applied within an hour, and what is gone does not come back',
      body: retention,
    },
    async ({ services, principal, body }) => {
      const { entries, personal } = body;
      await (await services.journals()).lettingGo.setRule(
        { ...(entries !== undefined && { entries }), ...(personal !== undefined && { personal }) },
        principal.actor,
      );
      return nothing;
    },
  );
  routes.add(
    {
      ...letting,
      method: 'POST',
      url: '/journal/erasures',
      summary: 'Erase what journals say of one person, for good: here, not at the terminals',
      body: person,
      answer: z.object({ entries: z.int(), values: z.int() }),
    },
    async ({ services, principal, body }) => ({
      body: await (await services.journals()).erase(body, principal.actor),
    }),
  );
}

/** A refusal, where the caller may not take this away; that personal values are taken is recorded. */
async function mayTake(
  services: OrganizationServices,
  { terminals, scopes, actor }: Principal,
  terminal: string | undefined,
  personal: boolean,
): Promise<Answer<never> | undefined> {
  if (terminal !== undefined && terminals && !terminals.has(terminal)) return { refuse: 'out-of-reach' };
  if (!personal) return undefined;
  if (!scopes.has('journal:personal')) return { refuse: 'scope-missing' };
  await (await services.journals()).recordExport(terminal ?? '', actor);
  return undefined;
}

async function pageOfEntries(
  services: OrganizationServices,
  { scopes }: Principal,
  { cursor, limit }: { readonly cursor?: string | undefined; readonly limit: number },
  filter: EntryFilter,
): Promise<Answer<{ items: z.input<typeof entryAnswer>[]; next: string | null }>> {
  const [atMs = 0, chain = 0, sequence = 0] = cursor === undefined ? [] : numbersIn(cursor);
  const before: EntryCursor = { atMs, chain, sequence };
  const { entries, next } = await (await services.journals()).entries.page(filter, {
    limit,
    ...(cursor !== undefined && { before }),
  });
  const numbers = next && [next.atMs, next.chain, next.sequence];
  const items = entries.map((entry) => shownEntry(entry, scopes.has('journal:personal')));
  return { body: { items, next: cursorOf(numbers && JSON.stringify(numbers)) } };
}

/** Numbers of a cursor; none for one that nobody was given. */
function numbersIn(cursor: string): readonly number[] {
  try {
    const numbers: unknown = JSON.parse(afterCursor(cursor));
    return Array.isArray(numbers) && numbers.every(Number.isSafeInteger) ? numbers : [];
  } catch {
    return [];
  }
}

type Filters = { readonly [name in keyof typeof filters]?: string | undefined };

function filterOf({ terminal, kind, door, tapId, from, until }: Filters, principal: Principal): EntryFilter {
  return {
    ...reach(principal, terminal),
    ...(kind !== undefined && { kind }),
    ...(door !== undefined && { door }),
    ...(tapId !== undefined && { tapId }),
    ...(from !== undefined && { fromMs: Date.parse(from) }),
    ...(until !== undefined && { untilMs: Date.parse(until) }),
  };
}

function reach({ terminals }: Principal, terminal: string | undefined) {
  return { ...(terminals && { terminals }), ...(terminal !== undefined && { terminal }) };
}

function shownEntry(
  { atMs, receivedAtMs, entry, personal, ...one }: ShownEntry,
  withPersonal: boolean,
): z.input<typeof entryAnswer> {
  return {
    ...one,
    at: momentOf(atMs),
    received: momentOf(receivedAtMs),
    ...(entry && {
      clock: entry.clock,
      ...(entry.tapId !== undefined && { tapId: entry.tapId }),
      body: entry.body as Record<string, z.core.util.JSONType>,
    }),
    ...(withPersonal && { personal }),
  };
}

function shownAlarm({ raisedAtMs, ...alarm }: ShownAlarm): z.input<typeof alarmAnswer> {
  return { ...alarm, raised: momentOf(raisedAtMs) };
}

function shownState({ lastAtMs, lastReceivedAtMs, ...state }: JournalState): z.input<typeof stateAnswer> {
  return {
    ...state,
    ...(lastAtMs !== undefined && { lastEntry: momentOf(lastAtMs) }),
    ...(lastReceivedAtMs !== undefined && { lastReceived: momentOf(lastReceivedAtMs) }),
  };
}
