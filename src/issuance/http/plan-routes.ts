import { z } from 'zod';
import type { JsonValue } from '#core/journal/record.ts';
import type { ChangeSet, PlanOutcome } from '../permissions/change-sets.ts';
import type { RulesOutcome, RulesVersion } from '../permissions/rules-versions.ts';
import type { KeyReused } from '../storage/ledger.ts';
import { type Answer, nothing, type Routes } from './route.ts';
import { afterCursor, cursorQuery, moment, momentOf, paged, pageOf } from './wire.ts';

const versionAnswer = z.object({
  version: z.int(),
  state: z.enum(['planned', 'in-force', 'replaced', 'cancelled']),
  inForceFrom: moment,
  madeBy: z.string(),
  madeAt: moment,
});
const setAnswer = z.object({
  id: z.string(),
  title: z.string(),
  state: z.enum(['draft', 'importing', 'scheduled', 'applying', 'applied', 'cancelled']),
  inForceFrom: moment.optional(),
  madeBy: z.string(),
  madeAt: moment,
  revision: z.int(),
});
const document = z.json().describe('the rules as docs/permissions.md describes them');

/** The rules of the organization, version by version. */
export function addRulesRoutes(routes: Routes): void {
  const tag = 'rules';
  const version = { tag, params: z.object({ version: z.coerce.number().int().min(1) }) } as const;
  routes.add(
    {
      method: 'GET',
      url: '/rules',
      summary: 'Versions of the rules, the last one first',
      tag,
      scope: 'rules:read',
      answer: z.object({ items: z.array(versionAnswer) }),
    },
    async ({ services }) => ({ body: { items: (await services.rules.list()).map(shownVersion) } }),
  );
  routes.add(
    {
      ...version,
      method: 'GET',
      url: '/rules/:version',
      summary: 'One version with its document',
      scope: 'rules:read',
      answer: versionAnswer.extend({ document }),
    },
    async ({ services, params }) => {
      const found = await services.rules.find(params.version);
      return found
        ? { body: { ...shownVersion(found), document: found.document as z.input<typeof document> } }
        : { refuse: 'not-there' };
    },
  );
  routes.add(
    {
      method: 'POST',
      url: '/rules',
      summary:
        'Make a version of the rules, in force at once or from a moment on; with `check` only look at it',
      tag,
      scope: 'rules:write',
      idempotent: true,
      body: z.strictObject({
        document,
        inForceFrom: moment.optional(),
        editedVersion: z
          .int()
          .min(1)
          .optional()
          .describe('the last version, which was edited; none for the first'),
        check: z.boolean().default(false),
      }),
      answer: versionAnswer.or(z.object({ checked: z.literal(true) })),
      bodyLimit: 4 * 1_048_576,
    },
    async ({ services: { rules }, principal, body }) => {
      const { check, inForceFrom, editedVersion } = body;
      const written = body.document as JsonValue;
      if (check) {
        const invalid = rules.check(written);
        return invalid ? rulesAnswer(invalid) : { body: { checked: true as const } };
      }
      return rulesAnswer(
        await rules.make(
          {
            document: written,
            ...(inForceFrom !== undefined && { inForceFromMs: Date.parse(inForceFrom) }),
            ...(editedVersion !== undefined && { editedVersion }),
          },
          principal.actor,
        ),
      );
    },
  );
  routes.add(
    {
      ...version,
      method: 'DELETE',
      url: '/rules/:version',
      summary: 'Cancel a version that is not in force yet',
      scope: 'rules:write',
    },
    async ({ services, principal, params }) =>
      (await services.rules.cancel(params.version, principal.actor)) ? nothing : { refuse: 'not-there' },
  );
}

/** Changes that come into force together at one moment. */
export function addChangeSetRoutes(routes: Routes): void {
  const tag = 'change sets';
  const params = z.object({ changeSet: z.string().regex(/^[0-9a-f]{16}$/) });
  const one = { tag, params, answer: setAnswer } as const;
  const reading = { method: 'GET', tag, scope: 'holders:read' } as const;
  const deciding = {
    ...one,
    method: 'POST',
    scope: 'holders:write',
    condition: 'match',
    idempotent: true,
  } as const;
  routes.add(
    {
      ...reading,
      url: '/change-sets',
      summary: 'Change sets, the last made first',
      answer: z.object({ items: z.array(setAnswer) }),
    },
    async ({ services }) => ({ body: { items: (await services.changeSets.list()).map(shownSet) } }),
  );
  routes.add(
    {
      method: 'POST',
      url: '/change-sets',
      summary: 'Make a draft; holders are planned in it by PUT and DELETE with `changeSet`',
      tag,
      scope: 'holders:write',
      idempotent: true,
      body: z.strictObject({ title: z.string().min(1).max(200), inForceFrom: moment.optional() }),
      answer: setAnswer,
      status: 201,
    },
    async ({ services, principal, body: { title, inForceFrom } }) => {
      const fromMs = inForceFrom === undefined ? undefined : Date.parse(inForceFrom);
      const made: ChangeSet | KeyReused = await services.changeSets.make(title, fromMs, principal.actor);
      return 'kind' in made ? { refuse: made.kind } : { body: shownSet(made), etag: made.revision };
    },
  );
  routes.add(
    { ...reading, ...one, url: '/change-sets/:changeSet', summary: 'One change set' },
    async ({ services, params }) => {
      const found = await services.changeSets.find(params.changeSet);
      return found ? { body: shownSet(found), etag: found.revision } : { refuse: 'not-there' };
    },
  );
  routes.add(
    {
      ...reading,
      params,
      url: '/change-sets/:changeSet/changes',
      summary: 'What a change set changes, holder by holder, and what of it could not be applied',
      query: cursorQuery,
      answer: pageOf(
        z.object({
          holderId: z.string(),
          change: z.json(),
          applied: z.boolean(),
          conflicts: z.array(z.string()),
        }),
      ),
    },
    async ({ services, params, query: { cursor, limit } }) => {
      const found = await services.changeSets.changes(params.changeSet, afterCursor(cursor), limit + 1);
      const show = ({ change, conflicts, ...planned }: (typeof found)[number]) => ({
        ...planned,
        change: change as unknown as z.input<typeof document>,
        conflicts: [...conflicts],
      });
      return { body: paged(found, limit, (planned) => planned.holderId, show) };
    },
  );
  routes.add(
    {
      ...deciding,
      url: '/change-sets/:changeSet/schedule',
      summary: 'Decide that a draft comes into force at its moment',
      body: z.strictObject({ inForceFrom: moment }),
    },
    async ({ services, principal, params, body, expected }) =>
      setOutcome(
        await services.changeSets.schedule(
          params.changeSet,
          expected ?? 0,
          Date.parse(body.inForceFrom),
          principal,
        ),
      ),
  );
  routes.add(
    { ...deciding, url: '/change-sets/:changeSet/cancel', summary: 'Give up a set that is not in force yet' },
    async ({ services, principal, params, expected }) =>
      setOutcome(await services.changeSets.cancel(params.changeSet, expected ?? 0, principal)),
  );
}

function rulesAnswer(outcome: RulesOutcome | KeyReused): Answer<z.input<typeof versionAnswer>> {
  if (outcome.kind === 'made') return { body: shownVersion(outcome.version) };
  return outcome.kind === 'invalid'
    ? { refuse: 'invalid', problems: outcome.problems }
    : { refuse: outcome.kind };
}

function setOutcome(outcome: PlanOutcome | KeyReused): Answer<z.input<typeof setAnswer>> {
  if (outcome.kind !== 'done') return { refuse: outcome.kind };
  return { body: shownSet(outcome.changeSet), etag: outcome.changeSet.revision };
}

function shownVersion({ version, state, inForceFromMs, madeBy, madeAtMs }: RulesVersion) {
  return { version, state, inForceFrom: momentOf(inForceFromMs), madeBy, madeAt: momentOf(madeAtMs) };
}

function shownSet({ inForceFromMs, madeAtMs, ...set }: ChangeSet) {
  return {
    ...set,
    ...(inForceFromMs !== undefined && { inForceFrom: momentOf(inForceFromMs) }),
    madeAt: momentOf(madeAtMs),
  };
}
