import { after } from './after.ts';
import { linkToParent } from './child-main.ts';
import { DoorGuard } from './door-guard.ts';
import type { TerminalOffer } from './door-guard-protocol.ts';

/** how long the last locking may take, in milliseconds, before the process leaves the rest to systemd's relock */
const leaveWithinMs = 2_000;

const guard = new DoorGuard({
  tell: (door, input) => link.notify('input', { door, input }),
  after,
  monotonicMs: () => performance.now(),
});
const link = linkToParent<TerminalOffer>(guard.offer(), () => leave(0));

function leave(code: number): void {
  after(leaveWithinMs, () => process.exit(1));
  void guard.close().then(() => process.exit(code));
}

// A signal locks at once and nothing more: systemd signals the whole group, and the doors must stay in hand until
// the terminal has ended in order, which closes the channel.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGABRT', 'SIGQUIT'] as const) {
  process.on(signal, () => void guard.lockAll());
}
process.on('uncaughtException', (error) => {
  process.stderr.write(`door guard: ${error.stack ?? error.message}\n`);
  leave(1);
});
// the terminal may have died while this module was being loaded
if (!process.connected) leave(0);
