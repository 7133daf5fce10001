import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { holderList } from '../permissions/holder-export.ts';
import type { HolderListImport } from '../permissions/import-requests.ts';
import type { KeyReused } from '../storage/ledger.ts';
import { type Answer, nothing, type Routes } from './route.ts';
import { moment, momentOf } from './wire.ts';

/** What takes in lists; `look` tells the thread that reads them. */
export interface ListIntake {
  /** folder for files of lists, with one of each organization in it */
  readonly directory: string;
  readonly look: () => void;
}

const tag = 'lists';
const longestList = 512 * 1_048_576;
const silentMs = 60_000;
const formats = { 'text/csv': 'csv', 'application/x-ndjson': 'ndjson' } as const;
const params = z.object({ list: z.string().regex(/^[0-9a-f]{16}$/) });
const preview = z.object({
  holdersBefore: z.int(),
  holdersAfter: z.int(),
  added: z.int(),
  changed: z.int(),
  removed: z.int(),
  cardsAdded: z.int(),
  cardsChanged: z.int(),
  cardsRemoved: z.int(),
  losingAccess: z.int(),
  needsConfirmation: z.boolean(),
  staySuspended: z
    .int()
    .describe(
      "active in the list and suspended by an administrator, or with a card that was such a holder's: they stay so",
    ),
});
const listAnswer = z.object({
  id: z.string(),
  state: z.enum(['received', 'working', 'refused', 'ready', 'decided', 'cancelled']),
  mode: z.enum(['complete', 'delta']),
  goodLines: z.boolean(),
  inForceFrom: moment.optional(),
  changeSet: z.string().describe('its changes one by one, and how far they are in force'),
  madeBy: z.string(),
  madeAt: moment,
  bytesRead: z.int(),
  lines: z.int(),
  compared: z.int(),
  problemCount: z.int(),
  problems: z.array(z.object({ line: z.int(), text: z.string() })),
  preview: preview.optional(),
});

/** Lists of holders: sent, looked at, decided; and all holders as such a list. */
export function addImportRoutes(routes: Routes, app: FastifyInstance, intake: ListIntake): void {
  // a list goes to a file as it comes
  for (const type of Object.keys(formats)) {
    app.addContentTypeParser(type, (_request, payload, done) => done(null, payload));
  }
  addReceiving(routes, intake);
  addDeciding(routes, intake);
  routes.add(
    {
      method: 'GET',
      url: '/holder-list',
      summary: 'All holders with cards as a list (CSV) that can be sent again as a complete one',
      tag,
      scope: 'holders:read',
      answer: z.any(),
    },
    async ({ services, reply }) => {
      reply.header('content-type', 'text/csv; charset=utf-8');
      return { body: Readable.from(holderList(services.feed)) };
    },
  );
}

function addReceiving(routes: Routes, { directory, look }: ListIntake): void {
  routes.add(
    {
      method: 'POST',
      url: '/lists',
      summary:
        'Send a list of holders (text/csv or application/x-ndjson); nothing is applied before it is decided',
      tag,
      scope: 'imports:write',
      query: z.object({
        mode: z.enum(['complete', 'delta']),
        goodLines: z
          .stringbool()
          .default(false)
          .describe('of a delta: take the good lines though others are wrong'),
        inForceFrom: moment.optional(),
      }),
      answer: listAnswer,
      status: 202,
      bodyLimit: longestList,
      mayTakeLong: true,
    },
    async ({ services, principal, query: { mode, goodLines, inForceFrom }, request }) => {
      const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim() ?? '';
      const format = Object.entries(formats).find(([name]) => name === type)?.[1];
      if (!format || !(request.body instanceof Readable) || (goodLines && mode === 'complete')) {
        return { refuse: 'request-invalid' };
      }
      // slow is no fault, silent is one
      request.raw.setTimeout(silentMs, () => request.raw.destroy());
      const id = services.lists.newId();
      const folder = join(directory, services.organization.id);
      if (!(await keep(request.body, folder, id))) return { refuse: 'too-large' };
      const fromMs = inForceFrom === undefined ? {} : { inForceFromMs: Date.parse(inForceFrom) };
      const list = await services.lists.receive(id, { mode, format, goodLines, ...fromMs }, principal.actor);
      look();
      return { body: shown(list) };
    },
  );
  routes.add(
    {
      method: 'GET',
      url: '/lists',
      summary: 'Lists that were sent, the last first',
      tag,
      scope: 'holders:read',
      answer: z.object({ items: z.array(listAnswer) }),
    },
    async ({ services }) => ({ body: { items: (await services.lists.list()).map(shown) } }),
  );
  routes.add(
    {
      method: 'GET',
      url: '/lists/:list',
      summary: 'How far a list is, everything wrong with it by line, and what it would change',
      tag,
      scope: 'holders:read',
      params,
      answer: listAnswer,
    },
    async ({ services, params: { list } }) => {
      const found = await services.lists.find(list);
      return found ? { body: shown(found) } : { refuse: 'not-there' };
    },
  );
}

function addDeciding(routes: Routes, { look }: ListIntake): void {
  const deciding = { tag, scope: 'imports:write', params, idempotent: true } as const;
  routes.add(
    {
      ...deciding,
      method: 'POST',
      url: '/lists/:list/apply',
      summary: 'Decide that a list comes into force; without this it was a dry run',
      body: z.strictObject({
        losingAccess: z
          .int()
          .min(0)
          .exactOptional()
          .describe('as its preview says, where that needs confirmation'),
      }),
    },
    async ({ services, principal, params: { list }, body }): Promise<Answer<never>> => {
      const outcome = await services.lists.decide(list, body.losingAccess, principal.actor);
      if (outcome.kind === 'confirmation-missing') {
        const text = `${outcome.losingAccess} holders lose access; repeat with this number if that is meant`;
        return { refuse: 'confirmation-missing', problems: [{ path: 'losingAccess', text }] };
      }
      if (outcome.kind !== 'decided') return { refuse: outcome.kind };
      look();
      return nothing;
    },
  );
  routes.add(
    { ...deciding, method: 'DELETE', url: '/lists/:list', summary: 'Give up a list that was not decided' },
    async ({ services, principal, params: { list } }) => {
      const cancelled = (await services.lists.cancel(list, principal.actor)) as boolean | KeyReused;
      if (typeof cancelled !== 'boolean') return { refuse: cancelled.kind };
      return cancelled ? nothing : { refuse: 'not-there' };
    },
  );
}

/** Writes a list to its file, which has its name only once it is whole. Resolves to false for one that is too long. */
async function keep(body: Readable, folder: string, id: string): Promise<boolean> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const draft = join(folder, `${id}.part`);
  let length = 0;
  const counting = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      length += chunk.length;
      done(length > longestList ? new RangeError('the list is too long') : null, chunk);
    },
  });
  try {
    await pipeline(body, counting, createWriteStream(draft, { flags: 'wx', mode: 0o600, flush: true }));
    await rename(draft, join(folder, id));
    return true;
  } catch (error) {
    await rm(draft, { force: true });
    if (error instanceof RangeError) return false;
    throw error;
  }
}

function shown({ id, state, request, report, changeSetId, madeBy, madeAtMs }: HolderListImport) {
  const { mode, goodLines, inForceFromMs } = request;
  const { problems, rulesVersion: _, ...progress } = report;
  return {
    id,
    state,
    mode,
    goodLines,
    ...(inForceFromMs !== undefined && { inForceFrom: momentOf(inForceFromMs) }),
    changeSet: changeSetId,
    madeBy,
    madeAt: momentOf(madeAtMs),
    ...progress,
    problems: problems.map(({ line, text }) => ({ line, text })),
  };
}
