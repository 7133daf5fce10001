import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withIssuance } from '#cli/issuance-organization.ts';
import { commandPrincipal } from '#cli/organization-services.ts';
import { holderList } from '#issuance/permissions/holder-export.ts';
import { inOrder } from '#issuance/permissions/holder-state.ts';
import type { OrganizationServices } from '#issuance/services.ts';
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
/** What `action` finds in the databases, where it is not the command's own words that count. */
async function stored<T>(action: (city: OrganizationServices) => Promise<T>): Promise<T | undefined> {
  let found: T | undefined;
  await withIssuance(config, async ({ services }) => {
    const city = await services.find('city');
    if (city) found = await action(city);
  });
  return found;
}

describe('issuance holder', () => {
  it('suspends a holder, who stays so until resumed', async () => {
    expect(await said('suspend', 'hanako', '--reason', '退職')).toBe('hanako 利用を停止した\n');
    expect(await shown()).toMatchObject({ status: 'active', suspended: { reason: '退職' } });
    expect(await said('resume', 'hanako', '--language', 'en')).toBe('hanako is suspended no more\n');
    expect(await stored(({ holders }) => holders.find('hanako'))).not.toHaveProperty('suspended');
    expect(await said('resume', 'hanako', '--language', 'en')).toBe('hanako was not suspended\n');
  });

  it('suspends one card while the others go on', async () => {
    await said('suspend', 'hanako', '--card', 'USER0002');
    const { cards, suspended } = await shown();
    expect(suspended).toBeUndefined();
    expect(cards.map((card: { suspended?: object }) => card.suspended !== undefined)).toEqual([false, true]);
    await said('resume', 'hanako', '--card', 'USER0002');
    const after = await stored(({ holders }) => holders.find('hanako'));
    expect(after?.suspendedCards).toEqual({});
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

describe('issuance holder import and export', () => {
  const list = (name: string, ...lines: string[]) => {
    const file = join(folder, name);
    writeFileSync(file, `user_number,holder,groups\n${lines.join('\n')}\n`);
    return file;
  };
  const recorded = async () => {
    let text = '';
    await stored(async ({ feed }) => {
      for await (const part of holderList(feed)) text += part;
    });
    return text;
  };

  it('looks at a list, applies it, and gives it back', async () => {
    const file = list('some.csv', 'USER0011,goro,staff', 'USER0012,rokuro,annex');
    const before = await recorded();
    const looked = await said('import', file, '--mode', 'delta', '--dry-run', '--language', 'en');
    expect(looked).toContain('(2 added, 0 changed, 0 removed)');
    expect(looked).toContain('nothing was applied');
    expect(await recorded()).toBe(before);
    expect(await said('import', file, '--mode', 'delta')).toContain('反映した');
    expect(await said('export')).toContain('\nUSER0011,type-a,goro,active,,,staff,active,,\n');
    const copy = join(folder, 'copy.csv');
    await said('export', '--out', copy);
    expect(statSync(copy).mode & 0o777).toBe(0o600);
    const same = JSON.parse(await said('import', copy, '--mode', 'complete', '--json'));
    expect(same).toMatchObject({ outcome: 'applied', preview: { added: 0, changed: 0, removed: 0 } });
  });

  it('says every wrong line, and where many would lose access asks for their number', async () => {
    const wrong = list('wrong.csv', 'USER0021,a,staff', 'x,b,staff', 'USER0022,c,nobody');
    const refused = await kazasu('issuance', 'holder', 'import', wrong, '--mode', 'delta', ...beside, config);
    expect(refused).toMatchObject({ code: 1, out: '' });
    expect(refused.err).toMatch(/wrong\.csv:3: .*\n.*wrong\.csv:4: /);
    const many = Array.from({ length: 30 }, (_, at) => `USER1${at + 100},many-${at},staff`);
    await said('import', list('many.csv', ...many), '--mode', 'delta');
    const before = await recorded();
    const few = list('few.csv', ...many.slice(0, 3));
    const asked = await kazasu('issuance', 'holder', 'import', few, '--mode', 'complete', ...beside, config);
    const [, number = ''] = /--confirm-removal (\d+)/.exec(asked.err) ?? [];
    expect(asked.code).toBe(1);
    expect(await recorded()).toBe(before);
    await said('import', few, '--mode', 'complete', '--confirm-removal', number);
    expect((await recorded()).split('\n')).toHaveLength(5);
  });

  it('applies nothing before its moment', async () => {
    const file = list('april.csv', 'USER0031,shichiro,staff');
    const planned = await said(
      ...['import', file, '--mode', 'delta', '--in-force-from', '2099-04-01T00:00+09:00', '--language', 'en'],
    );
    expect(planned).toContain('comes into force at its moment');
    expect(await recorded()).not.toContain('shichiro');
    const then = JSON.parse(await said('show', 'shichiro', '--at', '2099-04-02T00:00+09:00', '--json'));
    expect(then.holder.groups).toEqual(['staff']);
  });
});

describe('issuance rules', () => {
  const rules = async (...words: string[]) => {
    const { code, out, err } = await kazasu('issuance', 'rules', ...words, ...beside, config);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    return out;
  };

  it('are put, planned, shown as they were written, and cancelled', async () => {
    const file = join(folder, 'rules.yaml');
    writeFileSync(file, await rules('show'));
    expect(await rules('put', file, '--check', '--language', 'en')).toContain('the rules are right');
    expect(await rules('put', file)).toMatch(/^2\t有効\t/);
    expect(await rules('plan', file, '--from', '2099-04-01T00:00+09:00', '--language', 'en')).toMatch(
      /^3\tplanned\t/,
    );
    // what is planned would undo it
    expect(await refusal('issuance', 'rules', 'put', file, ...beside, config)).toContain('version 3');
    await rules('cancel', '3');
    expect(
      JSON.parse(await rules('list', '--json')).versions.map((one: { state: string }) => one.state),
    ).toEqual(['cancelled', 'in-force', 'replaced']);
    expect(JSON.parse(await rules('show', '1', '--json')).document).toEqual(rulesDocument);
    expect(await refusal('issuance', 'rules', 'put', file, '--edited', '1', ...beside, config)).toContain(
      'not the last',
    );
    expect(await refusal('issuance', 'rules', 'cancel', '2', ...beside, config)).toContain('not planned');
  });

  it('that are wrong are refused by line', async () => {
    const file = join(folder, 'wrong.yaml');
    writeFileSync(file, 'formatVersion: 1\norganization: city\ngroups: 3\n');
    expect(await refusal('issuance', 'rules', 'put', file, ...beside, config)).toContain('wrong.yaml:3:');
  });
});

describe('issuance group', () => {
  it('takes holders in and out, lists and shows', async () => {
    const group = async (...words: string[]) => {
      const { code, out, err } = await kazasu('issuance', 'group', ...words, ...beside, config);
      expect({ code, err }).toEqual({ code: 0, err: '' });
      return out;
    };
    expect(await group('add', 'annex', 'many-0', 'many-1')).toBe('annex: many-0 many-1 追加した\n');
    expect(await group('add', 'annex', 'many-1', '--language', 'en')).toBe('annex: nothing to change\n');
    expect(await group('show', 'annex')).toBe('many-0\nmany-1\n');
    expect(await group('list')).toBe('staff\t3\ncleaning\t0\nannex\t2\n');
    await group('remove', 'annex', 'many-0');
    expect(await group('show', 'annex')).toBe('many-1\n');
    const unknown = await refusal('issuance', 'group', 'add', 'nobody', 'many-0', ...beside, config);
    expect(unknown).toContain('no group of the rules');
  });
});
