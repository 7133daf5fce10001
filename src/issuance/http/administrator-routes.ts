import { z } from 'zod';
import { id } from '#core/access/rule-config.ts';
import type { Administrator } from '../administrators/administrators.ts';
import type { ApiToken, Principal } from '../administrators/principals.ts';
import { type Role, roles, scopes, scopesOf } from '../administrators/roles.ts';
import { shortId } from '../organizations/organizations.ts';
import type { OrganizationServices } from '../services.ts';
import { nothing, type Routes } from './route.ts';
import { afterCursor, cursorQuery, moment, momentOf, paged, pageOf } from './wire.ts';

const name = z.string().min(1).max(200);
const administratorAnswer = z.object({
  id: z.string(),
  name: z.string(),
  roles: z.array(z.enum(roles)),
  sites: z.array(z.string()),
  enabled: z.boolean(),
  breakGlass: z.boolean(),
  revision: z.int(),
});
const credentials = z.object({
  password: z.string(),
  oneTimePasswordAddress: z.string().optional().describe('for the authenticator app (otpauth:)'),
});
const tokenAnswer = z.object({
  id: z.string(),
  name: z.string(),
  scopes: z.array(z.enum(scopes)),
  madeBy: z.string(),
  expires: moment,
  revoked: z.boolean(),
});
const siteAnswer = z.object({
  id: z.string(),
  name: z.string(),
  groups: z.array(z.string()),
  terminals: z.array(z.string()),
  revision: z.int(),
});
const longestTokenMs = 366 * 86_400_000;

/** Who may administer the organization, by which way, and what was done. */
export function addAdministratorRoutes(routes: Routes): void {
  addAccounts(routes);
  addTokens(routes);
  addSites(routes);
  addAudit(routes);
}

function addAccounts(routes: Routes): void {
  const tag = 'administrators';
  const params = z.object({ administrator: shortId });
  const writing = { tag, scope: 'administrators:write' } as const;
  routes.add(
    {
      method: 'GET',
      url: '/administrators',
      summary: 'All administrators',
      tag,
      scope: 'administrators:read',
      answer: z.object({ items: z.array(administratorAnswer) }),
    },
    async ({ services }) => ({ body: { items: (await services.administrators.list()).map(shown) } }),
  );
  routes.add(
    {
      ...writing,
      method: 'POST',
      url: '/administrators',
      summary: 'Make an administrator; its credentials are answered this once',
      body: z.strictObject({
        id: shortId,
        name,
        roles: z.array(z.enum(roles)).min(1),
        sites: z.array(shortId).default([]),
        breakGlass: z.boolean().default(false),
      }),
      answer: z.object({ administrator: administratorAnswer, credentials }),
      status: 201,
    },
    async ({ services, principal, body }) => {
      if (!mayGrant(principal, body.roles)) return { refuse: 'scope-missing' };
      const made = await services.administrators.create(body, principal.actor);
      return { body: { administrator: shown(made.administrator), credentials: made.credentials } };
    },
  );
  routes.add(
    {
      ...writing,
      method: 'PATCH',
      url: '/administrators/:administrator',
      summary:
        'Change roles, sites or name, or switch an account off; its sessions end, and its API tokens where it may make none any more',
      params,
      condition: 'match',
      body: z.strictObject({
        name: name.exactOptional(),
        roles: z.array(z.enum(roles)).min(1).exactOptional(),
        sites: z.array(shortId).exactOptional(),
        enabled: z.boolean().exactOptional(),
      }),
      answer: administratorAnswer,
    },
    async ({ services, principal, params: { administrator }, body, expected }) => {
      if (!(await mayChange(services, principal, administrator)) || !mayGrant(principal, body.roles ?? []))
        return { refuse: 'scope-missing' };
      const changed = await services.administrators.update(
        administrator,
        expected ?? 0,
        body,
        principal.actor,
      );
      return changed ? { body: shown(changed), etag: changed.revision } : { refuse: 'changed-meanwhile' };
    },
  );
  routes.add(
    {
      ...writing,
      method: 'POST',
      url: '/administrators/:administrator/credentials',
      summary: 'New credentials for an account whose own are lost; answered this once',
      params,
      answer: credentials,
    },
    async ({ services, principal, params: { administrator } }) => {
      if (!(await mayChange(services, principal, administrator))) return { refuse: 'scope-missing' };
      const made = await services.administrators.renewCredentials(administrator, principal.actor);
      return made ? { body: made } : { refuse: 'not-there' };
    },
  );
}

/** Nobody makes another who may do more: a token that looks after accounts must not become everything else. */
function mayGrant({ scopes: own }: Principal, granted: readonly Role[]): boolean {
  return [...scopesOf(granted)].every((scope) => own.has(scope));
}

async function mayChange(
  { administrators }: OrganizationServices,
  principal: Principal,
  id: string,
): Promise<boolean> {
  const one = (await administrators.list()).find((administrator) => administrator.id === id);
  return mayGrant(principal, one?.roles ?? []);
}

function addTokens(routes: Routes): void {
  const writing = { tag: 'API tokens', scope: 'administrators:write' } as const;
  routes.add(
    {
      method: 'GET',
      url: '/api-tokens',
      summary: 'All API tokens, without the tokens themselves',
      tag: 'API tokens',
      scope: 'administrators:read',
      answer: z.object({ items: z.array(tokenAnswer) }),
    },
    async ({ services }) => ({ body: { items: (await services.principals.apiTokens()).map(shownToken) } }),
  );
  routes.add(
    {
      ...writing,
      method: 'POST',
      url: '/api-tokens',
      summary: 'Make an API token with scopes that its maker has; answered this once',
      body: z.strictObject({
        name,
        scopes: z.array(z.enum(scopes)).min(1),
        days: z
          .int()
          .min(1)
          .max(longestTokenMs / 86_400_000),
      }),
      answer: z.object({ apiToken: tokenAnswer, token: z.string() }),
      status: 201,
    },
    async ({ services, principal, body }) => {
      if (principal.groups || body.scopes.some((scope) => !principal.scopes.has(scope))) {
        return { refuse: 'scope-missing' };
      }
      const made = await services.principals.makeApiToken(body, principal.actor);
      return { body: { apiToken: shownToken(made.apiToken), token: made.token } };
    },
  );
  routes.add(
    {
      ...writing,
      method: 'DELETE',
      url: '/api-tokens/:apiToken',
      summary: 'Revoke an API token, and those that were made with it',
      params: z.object({ apiToken: z.string().regex(/^[0-9a-f]{16}$/) }),
    },
    async ({ services, principal, params }) =>
      (await services.principals.revokeApiToken(params.apiToken, principal.actor))
        ? nothing
        : { refuse: 'not-there' },
  );
}

function addSites(routes: Routes): void {
  const tag = 'sites';
  routes.add(
    {
      method: 'GET',
      url: '/sites',
      summary: 'All sites',
      tag,
      scope: 'administrators:read',
      answer: z.object({ items: z.array(siteAnswer) }),
    },
    async ({ services }) => ({
      body: {
        items: (await services.sites.list()).map((site) => ({
          ...site,
          groups: [...site.groups],
          terminals: [...site.terminals],
        })),
      },
    }),
  );
  routes.add(
    {
      method: 'PUT',
      url: '/sites/:site',
      summary: 'Make or change a site: groups and terminals that its facilities administrators look after',
      tag,
      scope: 'administrators:write',
      params: z.object({ site: shortId }),
      condition: 'match-or-none',
      body: z.strictObject({
        name,
        groups: z.array(id).max(500),
        terminals: z.array(shortId).max(5_000),
      }),
      answer: siteAnswer,
    },
    async ({ services, principal, params, body, expected }) => {
      const site = await services.sites.put(params.site, body, expected ?? 0, principal.actor);
      if (!site) return { refuse: 'changed-meanwhile' };
      const shownSite = { ...site, groups: [...site.groups], terminals: [...site.terminals] };
      return { body: shownSite, etag: site.revision };
    },
  );
}

function addAudit(routes: Routes): void {
  routes.add(
    {
      method: 'GET',
      url: '/audit',
      summary: 'What administrators did, the last first',
      tag: 'audit',
      scope: 'audit:read',
      query: cursorQuery,
      answer: pageOf(
        z.object({
          sequence: z.int(),
          at: moment,
          body: z.record(z.string(), z.json()),
          personal: z.record(z.string(), z.string()),
        }),
      ),
    },
    async ({ services, query: { cursor, limit } }) => {
      const before = Number(afterCursor(cursor) || Number.MAX_SAFE_INTEGER);
      const found = await services.audit.page({ before, limit: limit + 1 });
      const show = ({ sequence, atMs, body, personal }: (typeof found)[number]) => ({
        sequence,
        at: momentOf(atMs),
        body: body as Record<string, z.core.util.JSONType>,
        personal,
      });
      return { body: paged(found, limit, ({ sequence }) => String(sequence), show) };
    },
  );
}

function shown(one: Administrator) {
  return { ...one, roles: [...one.roles], sites: [...one.sites] };
}

function shownToken({ expiresAtMs, ...token }: ApiToken) {
  return { ...token, scopes: [...token.scopes], expires: momentOf(expiresAtMs) };
}
