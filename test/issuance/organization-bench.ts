import { TOTP, URI } from 'otpauth';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { commandPrincipal } from '#cli/organization-services.ts';
import { Administrators } from '#issuance/administrators/administrators.ts';
import { OneTimePasswords } from '#issuance/administrators/one-time-passwords.ts';
import { Passwords } from '#issuance/administrators/passwords.ts';
import { Principals } from '#issuance/administrators/principals.ts';
import { type AdministratorAlarm, SignIn } from '#issuance/administrators/sign-in.ts';
import { Organizations } from '#issuance/organizations/organizations.ts';
import { type HolderState, inOrder } from '#issuance/permissions/holder-state.ts';
import type { OrganizationServices } from '#issuance/services.ts';
import { Databases } from '#issuance/storage/databases.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import type { StartedRig } from './database-rigs.ts';

export const commissioner = { id: 'commissioner', via: 'command-line' } as const;
const entropy = new SystemEntropy();

/** One organization with all that looks after it, on a clock that stands still. */
export async function makeOrganization(rig: StartedRig, id: string) {
  const clock = new SimulatedClock({ utcMs: Date.parse('2026-02-02T00:00:00Z') });
  const databases = new Databases({ source: rig.source() });
  const organizations = new Organizations({ databases, clock, entropy });
  const organization =
    (await organizations.find(id)) ?? (await organizations.create({ id, name: '市役所' }, commissioner));
  const ledger = await organizations.ledger(organization);
  // the cost of a password in production takes a third of a second
  const passwords = new Passwords({ cost: { logN: 10, r: 8, p: 1 }, entropy });
  const oneTimePasswords = new OneTimePasswords({ key: new Uint8Array(32).fill(7), entropy });
  const alarms: AdministratorAlarm[] = [];
  const shared = { organization: id, ledger, passwords, oneTimePasswords, clock, entropy };
  return {
    clock,
    databases,
    organizations,
    organization,
    ledger,
    shared,
    alarms,
    administrators: new Administrators(shared),
    signIn: new SignIn({ ...shared, alarm: (alarm) => alarms.push(alarm) }),
    principals: new Principals({ ledger, clock, entropy }),
  };
}

/** The one-time password that an authenticator app shows at `atMs`. */
export function shownByApp(address: string | undefined, atMs: number): string {
  const totp = URI.parse(address ?? '');
  if (!(totp instanceof TOTP)) throw new Error('no address of one-time passwords by time');
  return totp.generate({ timestamp: atMs });
}

/** Rules with groups of two sites. */
export const rulesDocument = {
  formatVersion: 1,
  organization: 'city',
  profiles: [
    {
      id: 'type-a',
      userNumberFormat: { alphabet: 'uppercase-alphanumeric', minimumLength: 8, maximumLength: 10 },
    },
  ],
  groups: ['staff', 'cleaning', 'annex'],
  doors: [{ id: 'main' }],
  permissions: [{ group: 'staff', door: 'main' }],
};

/** One of the staff, whose only card has this user number. */
export function staffWith(userNumber: string): HolderState {
  return inOrder({
    ...{ status: 'active', validFromMs: null, validUntilMs: null, groups: ['staff'] },
    cards: [{ profileId: 'type-a', userNumber, diversifier: '', status: 'active', keyVersion: null }],
  });
}

/** Enters `rulesDocument`, and two people who may go through its door, with the cards USER0001 and USER0002. */
export async function enterPeople(city: OrganizationServices): Promise<void> {
  await city.rules.make({ document: rulesDocument }, commandPrincipal().actor);
  for (const [holder, userNumber] of [
    ['hanako', 'USER0001'],
    ['taro', 'USER0002'],
  ] as const) {
    await city.holders.put(holder, staffWith(userNumber), undefined, commandPrincipal());
  }
}
