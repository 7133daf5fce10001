import { z } from 'zod';

/**
 * The format of an organization's user numbers. One of 12 digits only is refused: one in ten such numbers would
 * pass for an Individual Number (マイナンバー), which this system must never take in.
 */
export const userNumberFormatSchema = z
  .strictObject({
    alphabet: z.enum(['digits', 'uppercase-alphanumeric', 'alphanumeric']),
    minimumLength: z.int().min(1).max(64),
    maximumLength: z.int().min(1).max(64),
  })
  .superRefine((format, context) => {
    if (format.maximumLength < format.minimumLength) {
      context.addIssue({
        code: 'custom',
        path: ['maximumLength'],
        message: 'is smaller than minimumLength (give the longest user number)',
      });
    }
    if (format.alphabet === 'digits' && format.minimumLength === 12 && format.maximumLength === 12) {
      context.addIssue({
        code: 'custom',
        message:
          'is a format of 12 digits only: such numbers look like Individual Numbers (use another length or add a letter)',
      });
    }
  });
export type UserNumberFormat = z.infer<typeof userNumberFormatSchema>;
