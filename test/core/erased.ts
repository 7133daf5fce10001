import { vi } from 'vitest';
import { toHex } from '#core/bytes/bytes.ts';

function recording(): { readonly erased: string[]; stop(): void } {
  const erased: string[] = [];
  const fill = Uint8Array.prototype.fill;
  const spy = vi.spyOn(Uint8Array.prototype, 'fill').mockImplementation(function (
    this: Uint8Array<ArrayBuffer>,
    ...given
  ) {
    if (given[0] === 0 && this.some((byte) => byte !== 0)) erased.push(toHex(this));
    return fill.apply(this, given);
  });
  return { erased, stop: () => spy.mockRestore() };
}

/** What `action` overwrote with zeros, in hexadecimal and in order, one entry for each piece of memory. */
export function erasedBy(action: () => unknown): readonly string[] {
  const { erased, stop } = recording();
  try {
    action();
  } finally {
    stop();
  }
  return erased;
}

/** The same of an action that takes its time. */
export async function erasedWhile(action: () => Promise<unknown>): Promise<readonly string[]> {
  const { erased, stop } = recording();
  try {
    await action();
  } finally {
    stop();
  }
  return erased;
}
