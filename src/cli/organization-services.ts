import { Fault } from '#core/fault.ts';
import type { Language } from '#core/texts/language.ts';
import type { Principal } from '#issuance/administrators/principals.ts';
import { scopes } from '#issuance/administrators/roles.ts';
import type { OrganizationServices } from '#issuance/services.ts';
import { commandActor, withIssuance } from './issuance-organization.ts';

export interface OrganizationOptions {
  readonly config: string;
  readonly organization: string;
  readonly language: Language;
  readonly json?: boolean;
}

/** Runs `action` on the services of the organization named. Rejects with `argument-invalid` where there is none. */
export async function withOrganizationServices(
  { config, organization }: OrganizationOptions,
  action: (services: OrganizationServices) => Promise<void>,
): Promise<void> {
  await withIssuance(config, async ({ services }) => {
    const found = await services.find(organization);
    if (!found) throw new Fault('argument-invalid', `there is no organization "${organization}"`);
    await action(found);
  });
}

/** Whoever may run commands on the server may do everything in it. */
export function commandPrincipal(): Principal {
  return { actor: commandActor(), scopes: new Set(scopes), tokenHash: '' };
}
