import { z } from 'zod';
import type { Principal } from '../administrators/principals.ts';
import type { FoundConflict } from '../groups/group-store.ts';
import type { Routes } from './route.ts';
import { afterCursor, cursorQuery, moment, momentOf, paged, pageOf } from './wire.ts';

const conflictAnswer = z.object({
  kind: z.enum([
    'entered-twice',
    'zone-overfull',
    'admitted-twice',
    'uses-exceeded',
    'loans-exceeded',
    'lent-twice',
  ]),
  about: z.string().describe('zone, service or item'),
  holder: z.string().optional().describe('only for whoever may read holders'),
  terminals: z.array(z.string()).describe('the later first'),
  found: moment,
});

/** What terminals that count together did to each other while they could not talk. */
export function addGroupRoutes(routes: Routes): void {
  routes.add(
    {
      method: 'GET',
      url: '/group-conflicts',
      summary: 'What terminals that count together granted without knowing of each other, the last first',
      tag: 'terminals',
      scope: 'terminals:read',
      query: cursorQuery,
      answer: pageOf(conflictAnswer),
    },
    async ({ services, principal, query: { cursor, limit } }) => {
      const after = afterCursor(cursor);
      const before = after === '' ? Number.MAX_SAFE_INTEGER : Number(after);
      const found = await services.groups.conflicts(Number.isSafeInteger(before) ? before : 0, limit + 1);
      const page = paged(
        found,
        limit,
        ({ number }) => String(number),
        (one) => shown(one, principal),
      );
      return { body: { ...page, items: page.items.filter((one) => reaches(one.terminals, principal)) } };
    },
  );
}

function reaches(terminals: readonly string[], { terminals: reached }: Principal): boolean {
  return reached === undefined || terminals.some((terminal) => reached.has(terminal));
}

function shown(
  { kind, key, holder, terminal, other, foundAtMs }: FoundConflict,
  { scopes }: Principal,
): z.input<typeof conflictAnswer> {
  return {
    ...{ kind, about: key.split('/').slice(1).join('/'), terminals: [terminal, other] },
    ...(holder !== undefined && scopes.has('holders:read') && { holder }),
    found: momentOf(foundAtMs),
  };
}
