import type { After } from '#core/access/strike-keeper.ts';

/** Timers of this process's event loop. */
export const after: After = (delayMs, action) => {
  const timer = setTimeout(action, delayMs);
  return () => clearTimeout(timer);
};
