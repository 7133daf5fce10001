import { expect, it } from 'vitest';
import { Fault } from '#core/fault.ts';
import { OrganizationFaults } from '#issuance/organizations/organization-faults.ts';
import { type TerminalFeature, takeByKind } from '#issuance/terminals/terminal-feature.ts';
import type { TakenMessage } from '#ports/intake.ts';

const from = { organization: 'city', terminal: 'lobby' };
const payload = new Uint8Array();

it('gives each feature the messages of its kinds in their order, and the others theirs where one cannot keep them', async () => {
  const taken: [string, number][] = [];
  const feature = (name: string, fails = false): NonNullable<TerminalFeature['takes']> => ({
    journal: async (messages) => {
      taken.push([name, messages.length]);
      if (fails) throw new Fault('database-unavailable', name);
    },
  });
  const features: readonly TerminalFeature[] = [
    { takes: feature('first', true) },
    { takes: feature('second') },
    { takes: { state: async (messages) => void taken.push(['states', messages.length]) } },
    {},
  ];
  const batch: readonly TakenMessage[] = (['journal', 'state', 'journal', 'live'] as const).map((kind) => ({
    ...{ from, kind, payload },
  }));
  await expect(takeByKind(features, batch)).rejects.toThrow('first');
  expect(taken).toEqual([
    ['first', 2],
    ['second', 2],
    ['states', 1],
  ]);
});

it('a fault of one organization is told once, and keeps nothing from the others', async () => {
  const told: string[] = [];
  const done: string[] = [];
  const faults = new OrganizationFaults({ tell: (id, { code }) => void told.push(`${id} ${code}`) });
  const broken = new Map<string, 'database-invalid' | 'database-unavailable'>();
  const look = () =>
    faults.each([{ id: 'annex' }, { id: 'city' }], async ({ id }) => {
      const code = broken.get(id);
      if (code) throw new Fault(code, 'broken');
      done.push(id);
    });
  broken.set('annex', 'database-unavailable');
  await look();
  await look();
  broken.set('annex', 'database-invalid');
  await look();
  broken.clear();
  await look();
  broken.set('annex', 'database-invalid');
  await look();
  expect(told).toEqual(['annex database-unavailable', 'annex database-invalid', 'annex database-invalid']);
  expect(done).toEqual(['city', 'city', 'city', 'annex', 'city', 'city']);

  const bug = faults.each([{ id: 'city' }], () => Promise.reject(new TypeError('a bug')));
  await expect(bug).rejects.toThrow(TypeError);
});
