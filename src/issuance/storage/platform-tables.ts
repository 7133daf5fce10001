import type { CommonTables } from './common-tables.ts';

export interface PlatformTables extends CommonTables {
  organizations: { organization_id: string; number: number; name: string; made_at_ms: number };
}
