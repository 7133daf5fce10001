import { createInterface } from 'node:readline/promises';
import type { Output } from './output.ts';

/**
 * Whether a person confirms by typing the number they were shown, so that nobody confirms unread. `given` is what
 * the command line said beforehand; where nobody can be asked, nothing is confirmed.
 */
export async function confirmNumber(
  parts: { readonly number: number; readonly given: number | undefined; readonly question: string },
  output: Output,
): Promise<boolean> {
  if (parts.given !== undefined) return parts.given === parts.number;
  if (output.json || !process.stdin.isTTY || !process.stderr.isTTY) return false;
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return (await prompt.question(parts.question)).trim() === String(parts.number);
  } finally {
    prompt.close();
  }
}
