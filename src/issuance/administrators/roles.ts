/** What an administrator or an API token may do. */
export const scopes = [
  'holders:read',
  'holders:write',
  'holders:suspend',
  'rules:read',
  'rules:write',
  'imports:write',
  'terminals:read',
  'terminals:write',
  'commands:send',
  'journal:read',
  /** user numbers in journals, and who somebody looked for */
  'journal:personal',
  'journal:erase',
  'administrators:read',
  'administrators:write',
  'audit:read',
] as const;
export type Scope = (typeof scopes)[number];

/**
 * - `organization-admin`: everything in the organization
 * - `facilities-admin`: holders of the groups of the sites it looks after, and the terminals of these sites
 * - `operator`: looks up, suspends at once, sends commands to doors
 * - `auditor`: reads everything, changes nothing
 */
export const roles = ['organization-admin', 'facilities-admin', 'operator', 'auditor'] as const;
export type Role = (typeof roles)[number];

const scopesOfRole: Readonly<Record<Role, readonly Scope[]>> = {
  'organization-admin': scopes,
  'facilities-admin': [
    'holders:read',
    'holders:write',
    'holders:suspend',
    'rules:read',
    'terminals:read',
    'commands:send',
    'journal:read',
  ],
  operator: [
    'holders:read',
    'holders:suspend',
    'rules:read',
    'terminals:read',
    'commands:send',
    'journal:read',
  ],
  auditor: [
    'holders:read',
    'rules:read',
    'terminals:read',
    'journal:read',
    'journal:personal',
    'administrators:read',
    'audit:read',
  ],
};

export function scopesOf(granted: readonly Role[]): ReadonlySet<Scope> {
  return new Set(granted.flatMap((role) => scopesOfRole[role]));
}
