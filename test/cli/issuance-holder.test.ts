import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandPrincipal } from '#cli/holder-administration.ts';
import { withIssuance } from '#cli/issuance-organization.ts';
import { inOrder } from '#issuance/permissions/holder-state.ts';
import { rulesDocument } from '../issuance/organization-bench.ts';
import { kazasu, refusal } from './kazasu.ts';

let folder: string;
let config: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kazasu-holders-'));
  config = join(folder, 'issuance.yaml');
  writeFileSync(config, `formatVersion: 1\nstateDirectory: ${join(folder, 'state')}\n`);
  await withIssuance(config, async ({ organizations, services }) => {
    const { actor } = commandPrincipal();
    await organizations.create({ id: 'city', name: '市役所' }, actor);
    const city = await services.find('city');
    await city?.rules.make({ document: rulesDocument }, actor);
    const card = { profileId: 'type-a', diversifier: '', status: 'active', keyVersion: null } as const;
    const state = inOrder({
      status: 'active',
      validFromMs: null,
      validUntilMs: null,
      groups: ['staff'],
      cards: [
        { ...card, userNumber: 'USER0001' },
        { ...card, userNumber: 'USER0002' },
      ],
    });
    await city?.holders.put('hanako', state, undefined, commandPrincipal());
  });
});
afterAll(() => rmSync(folder, { recursive: true }));

const beside = ['--organization', 'city', '--config'] as const;
const said = async (...words: string[]) => {
  const { code, out, err } = await kazasu('issuance', 'holder', ...words, ...beside, config);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return out;
};
const shown = async () => JSON.parse(await said('show', 'hanako', '--json'));

describe('issuance holder', () => {
  it('suspends a holder, who stays so until resumed', async () => {
    expect(await said('suspend', 'hanako', '--reason', '退職')).toBe('hanako 利用を停止した\n');
    expect(await shown()).toMatchObject({ status: 'active', suspended: { reason: '退職' } });
    expect(await said('resume', 'hanako', '--language', 'en')).toBe('hanako is suspended no more\n');
    expect((await shown()).suspended).toBeUndefined();
    expect(await said('resume', 'hanako', '--language', 'en')).toBe('hanako was not suspended\n');
  });

  it('suspends one card while the others go on', async () => {
    await said('suspend', 'hanako', '--card', 'USER0002');
    const { cards, suspended } = await shown();
    expect(suspended).toBeUndefined();
    expect(cards.map((card: { suspended?: object }) => card.suspended !== undefined)).toEqual([false, true]);
    await said('resume', 'hanako', '--card', 'USER0002');
    expect((await shown()).cards[1].suspended).toBeUndefined();
  });

  it.each([
    ['a holder who is not there', ['suspend', 'jiro'], 'city has no holder "jiro"'],
    ['a card that is not there', ['suspend', 'hanako', '--card', 'USER0009'], 'no such card'],
    ['a profile without a card', ['suspend', 'hanako', '--profile', 'type-a'], 'belong to --card'],
  ])('refuses %s', async (_, words, text) => {
    expect(await refusal('issuance', 'holder', ...words, ...beside, config)).toContain(text);
  });

  it('refuses an organization that is not there', async () => {
    const words = ['show', 'hanako', '--organization', 'town', '--config', config];
    expect(await refusal('issuance', 'holder', ...words)).toContain('no organization "town"');
  });
});
