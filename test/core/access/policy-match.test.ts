import { expect, it } from 'vitest';
import { lackingIn, type NamedDoor } from '#core/access/policy-match.ts';
import { doorRules } from '../../policy-slices.ts';

const rules = doorRules(
  { id: 'front' },
  {
    zones: [{ id: 'lab' }],
    services: [
      { id: 'work', kind: 'attendance' },
      { id: 'books', kind: 'loan', limit: 1 },
      { id: 'vote', kind: 'once' },
    ],
  },
);
const lacking = (named: Partial<NamedDoor>, of = rules) =>
  lackingIn(of, { doorId: 'front', zones: [], readers: [], ...named });
const nothing = { door: false, zones: [], services: [] };

it('names zones that the policy does not have, but none that may be outside', () => {
  expect(lacking({ zones: ['lab'], readers: [{ from: 'street', to: 'lab' }, { from: 'lab' }, {}] })).toEqual(
    nothing,
  );
  expect(lacking({ zones: ['lab', 'labo'] }).zones).toEqual(['labo']);
  expect(lacking({ readers: [{ from: 'street', to: 'labo' }] }).zones).toEqual(['labo', 'street']);
  expect(lacking({ readers: [{ to: 'labo' }] }).zones).toEqual(['labo']);
});

it('holds no zone against a policy that has none', () => {
  expect(lacking({ zones: ['labo'], readers: [{ to: 'labo' }] }, doorRules({ id: 'front' }))).toEqual(
    nothing,
  );
});

it.each([
  [{ id: 'work' }, true],
  [{ id: 'work', action: 'out' }, true],
  [{ id: 'work', action: 'lend' }, false],
  [{ id: 'books', action: 'lend', item: 'atlas' }, true],
  [{ id: 'books', action: 'lend' }, false],
  [{ id: 'books', item: 'atlas' }, false],
  [{ id: 'vote' }, true],
  [{ id: 'votes' }, false],
] as const)('of the service %j says whether it can be had: %s', (service, had) => {
  expect(lacking({ readers: [{ service }] }).services).toEqual(had ? [] : [service.id]);
});

it('names a door that the policy does not have', () => {
  const { door: _, ...without } = rules;
  expect(lacking({}, without).door).toBe(true);
});
