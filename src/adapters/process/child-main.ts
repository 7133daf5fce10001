import { Link, type Offer } from './link.ts';
import { heartbeatEveryMs } from './supervised-child.ts';

/**
 * The child's end: a link to the parent and a heartbeat. `parentGone` runs when the parent has died or let go,
 * and must end the process; nothing here keeps it alive.
 */
export function linkToParent<Remote extends Offer>(offer: Offer, parentGone: () => void): Link<Remote> {
  const channel = process.send?.bind(process);
  if (!channel) throw new Error('this module runs only as a supervised child process');
  // a message that fails is one that the parent did not live to get: `disconnect` follows
  const send = (message: unknown): boolean => channel(message, undefined, undefined, () => undefined);
  const link = new Link<Remote>({ send }, offer);
  process.on('message', (message) => link.receive(message));
  process.once('disconnect', parentGone);
  // signals sent to the whole group (Ctrl-C, systemd) are the parent's to handle: it ends its children in order
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
  send('alive');
  setInterval(() => send('alive'), heartbeatEveryMs);
  return link;
}
