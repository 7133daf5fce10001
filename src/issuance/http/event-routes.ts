import { PassThrough } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { isAlarm, type LiveItem } from '../journal/live-feed.ts';
import type { Answer, Routes } from './route.ts';
import { momentOf } from './wire.ts';

/** so that nothing between takes the connection for dead */
const sayEveryMs = 15_000;
/** Whoever watches comes back after this and shows again who that is. */
const longestMs = 5 * 60_000;
/** what may wait for a watcher that is slow, in bytes; more ends it, and it comes back to what is kept */
const mostWaiting = 1_048_576;
const mostWatchers = 200;

const list = (name: string) =>
  z
    .string()
    .max(1_000)
    .transform((text) => new Set(text.split(',')))
    .optional()
    .describe(`${name}, with commas between them; absent: all`);

/** What happens at terminals now, as server-sent events (HTML Living Standard, 9.2). */
export function addEventRoutes(routes: Routes, app: FastifyInstance): void {
  const open = new Set<PassThrough>();
  // a watcher that does not read would never let the server end
  app.addHook('preClose', async () => {
    for (const stream of open) stream.destroy();
  });
  routes.add(
    {
      method: 'GET',
      url: '/events',
      summary: 'Events at terminals that the caller reaches as they happen (text/event-stream)',
      tag: 'journals',
      scope: 'journal:read',
      query: z.object({
        terminals: list('terminals'),
        kinds: list('kinds of entries'),
        doors: list('doors'),
      }),
      answer: z.any(),
    },
    async ({ services, principal, query, request, reply }): Promise<Answer<unknown>> => {
      if (open.size >= mostWatchers) return { refuse: 'busy' };
      const stream = new PassThrough();
      open.add(stream);
      reply.header('content-type', 'text/event-stream; charset=utf-8');
      // a proxy that waits for more before it passes anything on
      reply.header('x-accel-buffering', 'no');
      const { kinds, doors } = query;
      const terminals = reached(principal.terminals, query.terminals);
      const filter = { ...(terminals && { terminals }), ...(kinds && { kinds }), ...(doors && { doors }) };
      const seen = Number(request.headers['last-event-id'] ?? Number.NaN);
      const after = Number.isSafeInteger(seen) ? seen : undefined;
      const say = (text: string) => {
        if (stream.writableLength > mostWaiting) stream.end();
        else if (!stream.writableEnded) stream.write(text);
      };
      say('retry: 2000\n\n');
      const leave = services.live.watch(filter, after, (item) => say(eventText(item)));
      const saying = setInterval(() => say(':\n\n'), sayEveryMs);
      const ending = setTimeout(() => stream.end(), longestMs);
      stream.once('close', () => {
        open.delete(stream);
        leave();
        clearInterval(saying);
        clearTimeout(ending);
      });
      return { body: stream };
    },
  );
}

function reached(
  own: ReadonlySet<string> | undefined,
  asked: ReadonlySet<string> | undefined,
): ReadonlySet<string> | undefined {
  if (!own || !asked) return own ?? asked;
  return new Set([...asked].filter((terminal) => own.has(terminal)));
}

function eventText(item: LiveItem): string {
  const { number, heardAtMs, terminal } = item;
  const told = item.kind === 'entry' ? { ...item.event, at: momentOf(item.event.atMs) } : item.alarm;
  const data = JSON.stringify({ terminal, heard: momentOf(heardAtMs), ...told });
  const name = item.kind === 'journal-alarm' ? item.kind : isAlarm(item) ? 'alarm' : 'entry';
  return `id: ${number}\nevent: ${name}\ndata: ${data}\n\n`;
}
