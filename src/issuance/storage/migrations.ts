import { journal0001 } from './migrations/journal-0001.ts';
import { journal0002 } from './migrations/journal-0002.ts';
import { permissions0001 } from './migrations/permissions-0001.ts';
import { permissions0002 } from './migrations/permissions-0002.ts';
import { permissions0003 } from './migrations/permissions-0003.ts';
import { permissions0004 } from './migrations/permissions-0004.ts';
import { permissions0005 } from './migrations/permissions-0005.ts';
import { permissions0006 } from './migrations/permissions-0006.ts';
import { platform0001 } from './migrations/platform-0001.ts';
import type { Migration } from './tables.ts';

/** Steps of each kind of database, in order: the number of a version is how many of them it has behind it. */
export const platformMigrations: readonly Migration[] = [platform0001];
export const permissionsMigrations: readonly Migration[] = [
  permissions0001,
  permissions0002,
  permissions0003,
  permissions0004,
  permissions0005,
  permissions0006,
];
export const journalMigrations: readonly Migration[] = [journal0001, journal0002];
