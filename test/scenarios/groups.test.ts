import { expect } from 'vitest';
import { conflictIn } from '#core/access/fact-kinds.ts';
import type { JsonValue } from '#core/journal/record.ts';
import { doorRules } from '../policy-slices.ts';
import type { Building } from './building.ts';
import { changed, counter, counterRules, one, other, third } from './counter.ts';
import { rulesOf } from './rule.ts';

const rule = rulesOf('Groups of terminals');

const readers = {
  door: '',
  ballot: 'service: { id: poll }',
  ride: 'service: { id: taxi }',
  lend: 'service: { id: library, action: lend, item: book }',
  'lend-map': 'service: { id: library, action: lend, item: map }',
  return: 'service: { id: library, action: return, item: book }',
};

interface Scoped {
  /** what holds while the group cannot talk, such as `apart: deny` */
  readonly apart: string;
  readonly members?: string;
  /** rule of the hall that counts, without its scope */
  readonly hall?: string;
  readonly services?: readonly string[];
}

const all = ['poll, kind: once', 'taxi, kind: uses, limit: 4', 'library, kind: loan, limit: 2'];

/** Rules of a site where what counts does so for a pair of terminals: that of the building, and another. */
function paired({ apart, members = 'building, annex', hall = '', services = all }: Scoped): string {
  const scope = `scope: { group: pair, ${apart} }`;
  return counterRules(
    `terminalGroups: [{ id: pair, terminals: [${members}] }]
      services: [${services.map((service) => `{ id: ${service}, ${scope} }`).join(', ')}]`,
    hall.replace(/ }$/, `, ${scope} }`),
  );
}

/** Rules of the hall that count, one at a time: each knows nobody yet. */
const zoneRules = ['passback: { mode: hard }', 'reentry: { after: 1 h }', 'occupancy: { limit: 4 }'];

/** Whatever counts is denied, by each service and each rule of a zone. */
async function deniesAll(b: Building, scoped: Scoped): Promise<void> {
  for (const reader of ['ballot', 'ride', 'lend']) await b.refuses(one, reader, 'group-apart');
  for (const hall of zoneRules) {
    await b.install({ rules: paired({ ...scoped, hall }) });
    await b.refuses(one, 'door', 'group-apart');
  }
}

rule('deny', {
  passes: {
    'what counts nothing: an item brought back, somebody who is inside already, a door': async () => {
      const b = await counter(
        counterRules('services: [{ id: library, kind: loan, limit: 2 }]', 'occupancy: { limit: 4 }'),
        readers,
      );
      await b.lets(one, 'lend');
      await b.install({ rules: paired({ apart: 'apart: deny', hall: 'occupancy: { limit: 4 }' }) });
      await b.lets(one, 'return');
      await b.refuses(other, 'door', 'group-apart');
      await b.install({ rules: paired({ apart: 'apart: deny' }) });
      await b.lets(other, 'door');
    },
  },
  denies: {
    'whatever counts': async () => {
      const scoped = { apart: 'apart: deny' };
      await deniesAll(await counter(paired(scoped), readers), scoped);
    },
  },
  afterReboot: {
    'is the same': async () => {
      const b = await counter(paired({ apart: 'apart: deny' }), readers);
      await b.reboot();
      await b.refuses(one, 'ballot', 'group-apart');
    },
  },
  untrustedClock: {
    'is the same': async () => {
      const b = await counter(paired({ apart: 'apart: deny' }), readers);
      b.untrustedClock();
      b.stepClock('1 d');
      await b.refuses(one, 'ride', 'group-apart');
    },
  },
});

const grant: Scoped = { apart: 'apart: grant' };

rule('grant', {
  passes: {
    'by what the terminal knows; what both have granted is found as a conflict': async () => {
      const here = await counter(paired(grant), readers);
      const there = await counter(paired(grant), readers, { name: 'annex' });
      const factOf = async (b: Building) => changed(await b.lets(one, 'ballot'), 'once/poll')?.value;
      const ours = (await factOf(here)) as JsonValue;
      const theirs = (await factOf(there)) as JsonValue;
      const rules = doorRules({ id: 'front' });
      expect(conflictIn({ key: 'once/poll', base: undefined, ours, theirs, rules })).toBe('admitted-twice');
      await here.lets(one, 'ride');
      await here.lets(one, 'lend');
    },
  },
  denies: {
    'what this terminal alone knows to be too much': async () => {
      const b = await counter(paired({ ...grant, hall: 'occupancy: { limit: 1 }' }), readers);
      await b.lets(one, 'ballot');
      await b.refuses(one, 'ballot', 'already-admitted');
      await b.refuses(other, 'door', 'zone-full');
      for (let ride = 0; ride < 4; ride += 1) await b.lets(one, 'ride');
      await b.refuses(one, 'ride', 'no-uses-left');
    },
  },
  afterReboot: {
    'what it knows stays': async () => {
      const b = await counter(paired(grant), readers);
      await b.lets(one, 'ballot');
      await b.crash();
      await b.refuses(one, 'ballot', 'already-admitted');
      await b.lets(other, 'ballot');
    },
  },
  untrustedClock: {
    'is the same': async () => {
      const b = await counter(paired(grant), readers);
      b.untrustedClock();
      await b.lets(one, 'ballot');
      b.stepClock('-1 d');
      await b.refuses(one, 'ballot', 'already-admitted');
    },
  },
});

const share: Scoped = {
  apart: 'apart: share, share: 1',
  hall: 'occupancy: { limit: 3 }',
  services: ['taxi, kind: uses, limit: 3', 'library, kind: loan, limit: 3'],
};

rule('share', {
  passes: {
    'up to the share of this terminal': async () => {
      const b = await counter(paired(share), readers);
      await b.lets(one, 'ride');
      await b.lets(one, 'lend');
      await b.lets(one, 'return');
      await b.lets(one, 'lend-map');
    },
  },
  denies: {
    'more than its share, though the limit is not reached': async () => {
      const b = await counter(paired(share), readers);
      await b.lets(one, 'ride');
      await b.refuses(one, 'ride', 'no-uses-left');
      await b.lets(one, 'lend');
      await b.refuses(one, 'lend-map', 'loan-limit');
      await b.refuses(other, 'door', 'zone-full');
    },
    'shares that exceed the limit together, at configuration': async () => {
      const rules = paired({ ...share, apart: 'apart: share, share: 2' });
      await expect(counter(rules, readers)).rejects.toThrow('the shares of all terminals are 4 together');
    },
  },
  afterReboot: {
    'what it used of its share stays': async () => {
      const b = await counter(paired(share), readers);
      await b.lets(one, 'ride');
      await b.crash();
      await b.refuses(one, 'ride', 'no-uses-left');
      await b.refuses(other, 'door', 'zone-full');
    },
  },
  untrustedClock: {
    'is the same': async () => {
      const b = await counter(paired({ ...share, hall: '' }), readers);
      b.untrustedClock();
      await b.lets(one, 'ride');
      b.stepClock('365 d');
      await b.refuses(one, 'ride', 'no-uses-left');
      await b.lets(third, 'ride');
    },
  },
});

const stranger: Scoped = { apart: 'apart: grant', members: 'annex, attic' };

rule('a terminal outside its group', {
  passes: {
    'what counts for each terminal alone': async () => {
      const b = await counter(
        paired(stranger).replace('services: [', 'services: [{ id: meal, kind: once }, '),
        {
          meal: 'service: { id: meal }',
        },
      );
      await b.lets(one, 'meal');
      await b.refuses(one, 'meal', 'already-admitted');
    },
  },
  denies: {
    'whatever counts with the group, whatever `apart` says': async () => {
      await deniesAll(await counter(paired(stranger), readers), stranger);
    },
  },
  afterReboot: {
    'is the same': async () => {
      const b = await counter(paired(stranger), readers);
      await b.crash();
      await b.refuses(one, 'ride', 'group-apart');
    },
  },
  untrustedClock: {
    'is the same': async () => {
      const b = await counter(paired(stranger), readers);
      b.untrustedClock();
      await b.refuses(one, 'ride', 'group-apart');
    },
  },
});
