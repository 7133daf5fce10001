import { makeCommonTables } from '../common-tables.ts';
import type { TableMaker } from '../tables.ts';

const cardKey = { profile_id: 'text', user_number: 'text', diversifier: 'text' } as const;
const suspension = { since_ms: 'integer', suspended_by: 'text', reason: 'text' } as const;

export async function permissions0001(tables: TableMaker): Promise<void> {
  await makeCommonTables(tables);
  await makeAdministrators(tables);
  await makeHolders(tables);
  await makePlans(tables);
}

async function makeAdministrators(tables: TableMaker): Promise<void> {
  await tables.table(
    'administrators',
    {
      administrator_id: 'text',
      name: 'text',
      roles: 'text',
      sites: 'text',
      password: 'text',
      totp_secret: 'bytes?',
      totp_step: 'integer',
      enabled: 'integer',
      break_glass: 'integer',
      wrong_passwords: 'integer',
      failures: 'integer',
      locked_until_ms: 'integer',
      revision: 'integer',
    },
    ['administrator_id'],
  );
  await tables.table(
    'sessions',
    {
      token_hash: 'text',
      administrator_id: 'text',
      made_at_ms: 'integer',
      used_at_ms: 'integer',
      expires_at_ms: 'integer',
    },
    ['token_hash'],
  );
  await tables.index('sessions_by_administrator', 'sessions', ['administrator_id']);
  await tables.table(
    'api_tokens',
    {
      token_id: 'text',
      token_hash: 'text',
      name: 'text',
      scopes: 'text',
      made_by: 'text',
      made_at_ms: 'integer',
      expires_at_ms: 'integer',
      revoked_at_ms: 'integer?',
    },
    ['token_id'],
  );
  await tables.index('api_tokens_by_hash', 'api_tokens', ['token_hash']);
  await tables.table(
    'passkeys',
    {
      credential_id: 'text',
      administrator_id: 'text',
      public_key: 'bytes',
      counter: 'integer',
      name: 'text',
      backed_up: 'integer',
      made_at_ms: 'integer',
      used_at_ms: 'integer',
    },
    ['credential_id'],
  );
  await tables.index('passkeys_by_administrator', 'passkeys', ['administrator_id']);
  await tables.table('used_challenges', { challenge: 'text', forget_at_ms: 'integer' }, ['challenge']);
  await tables.table(
    'sites',
    { site_id: 'text', name: 'text', groups: 'text', terminals: 'text', revision: 'integer' },
    ['site_id'],
  );
}

async function makeHolders(tables: TableMaker): Promise<void> {
  await tables.table(
    'holders',
    {
      holder_id: 'text',
      status: 'text',
      valid_from_ms: 'integer?',
      valid_until_ms: 'integer?',
      group_list: 'text',
      change_number: 'integer',
    },
    ['holder_id'],
  );
  await tables.index('holders_by_change', 'holders', ['change_number', 'holder_id']);
  await tables.table('cards', { ...cardKey, holder_id: 'text', status: 'text', key_version: 'integer?' }, [
    'profile_id',
    'user_number',
    'diversifier',
  ]);
  await tables.index('cards_by_holder', 'cards', ['holder_id']);
  await tables.index('cards_by_number', 'cards', ['user_number']);
  await tables.table('holder_suspensions', { holder_id: 'text', ...suspension }, ['holder_id']);
  await tables.table('card_suspensions', { ...cardKey, ...suspension, with_holder: 'text?' }, [
    'profile_id',
    'user_number',
    'diversifier',
  ]);
  await tables.table('removed_holders', { holder_id: 'text', change_number: 'integer' }, ['holder_id']);
  await tables.index('removed_by_change', 'removed_holders', ['change_number', 'holder_id']);
  await tables.table('removed_cards', { ...cardKey, change_number: 'integer' }, [
    'profile_id',
    'user_number',
    'diversifier',
  ]);
  await tables.index('removed_cards_by_change', 'removed_cards', ['change_number']);
}

async function makePlans(tables: TableMaker): Promise<void> {
  await tables.table(
    'rules',
    {
      version: 'integer',
      in_force_from_ms: 'integer',
      state: 'text',
      document: 'text',
      made_by: 'text',
      made_at_ms: 'integer',
      change_number: 'integer?',
    },
    ['version'],
  );
  await tables.table(
    'change_sets',
    {
      change_set_id: 'text',
      title: 'text',
      state: 'text',
      in_force_from_ms: 'integer?',
      applied_through: 'text',
      made_by: 'text',
      made_at_ms: 'integer',
      revision: 'integer',
    },
    ['change_set_id'],
  );
  await tables.table(
    'planned_changes',
    { change_set_id: 'text', holder_id: 'text', change: 'text', applied: 'integer', conflict: 'text?' },
    ['change_set_id', 'holder_id'],
  );
  await tables.index('planned_by_holder', 'planned_changes', ['holder_id']);
  await tables.table(
    'imports',
    {
      import_id: 'text',
      state: 'text',
      request: 'text',
      report: 'text',
      change_set_id: 'text',
      made_by: 'text',
      made_at_ms: 'integer',
    },
    ['import_id'],
  );
  await tables.table(
    'import_rows',
    { import_id: 'text', holder_id: 'text', line: 'integer', ...cardKey, row: 'text' },
    ['import_id', 'holder_id', 'line'],
  );
  await tables.index('import_rows_by_card', 'import_rows', ['import_id', 'user_number']);
}
