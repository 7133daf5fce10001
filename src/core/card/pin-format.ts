import { z } from 'zod';

/** Members of a card profile, and of a virtual card's PIN, that say how digits stand in the data of a PIN command. */
export const pinFormatShape = {
  /** `ascii`; `bcd`: two digits a byte, the last nibble F where their count is odd; `iso-9564-2`: format 2 of ISO 9564-1 */
  encoding: z.enum(['ascii', 'bcd', 'iso-9564-2']).default('ascii'),
  /** the byte behind a shorter PIN, up to `length` */
  padding: z.enum(['none', '00', '20', 'FF']).default('none'),
  /** bytes of the PIN with its padding */
  length: z.int().min(2).max(16).optional(),
};

export type PinFormat = z.infer<z.ZodObject<typeof pinFormatShape>>;
