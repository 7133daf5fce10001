import { z } from 'zod';
import { Fault } from '#core/fault.ts';

const name = /^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/;

const schema = z.strictObject({
  type: z.literal('kazasu-backup'),
  format: z.literal(1),
  /** version of the program that made it */
  program: z.string().min(1),
  /** when it was begun; what was changed later may be missing */
  madeAtMs: z.int().min(0),
  databases: z.enum(['sqlite', 'pgdump']),
  organizations: z.array(z.strictObject({ id: z.string().min(1), number: z.int().min(1), name: z.string() })),
  /** everything else in the folder, by its path in it */
  files: z.array(
    z.strictObject({
      path: z
        .string()
        .regex(name)
        .refine((path) => !path.split('/').some((part) => /^\.+$/.test(part))),
      bytes: z.int().min(0),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
});

/** What a backup is, and what belongs to it. */
export type BackupManifest = z.output<typeof schema>;

export const manifestName = 'backup.json';

/** Reads the text of `file`. Throws a Fault `backup-invalid`. */
export function parseBackupManifest(text: string, file: string): BackupManifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Fault('backup-invalid', `${file} is damaged`, { cause });
  }
  const read = schema.safeParse(value);
  if (read.success) return read.data;
  const format = (value as { format?: unknown } | null)?.format;
  if (typeof format === 'number' && format > 1)
    throw new Fault('backup-invalid', `${file} has format ${format}; update the program`);
  const [issue] = read.error.issues;
  throw new Fault('backup-invalid', `${file} is no backup: ${issue?.path.join('.')} ${issue?.message}`);
}
