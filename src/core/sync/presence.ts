import { z } from 'zod';
import { diagnosticsSchema } from './command.ts';

/** How often a terminal says how it is, in milliseconds; besides that at each connection. */
export const stateEveryMs = 60_000;
/** Two that were missed are no accident. */
const silentAfterMs = 2.5 * stateEveryMs;
/**
 * Whoever lost a connection is back within 30 s, and the broker may tell of the old one after the new one has begun: the
 * next state tells which it was.
 */
const lostAfterMs = 1.25 * stateEveryMs;

const head = { type: z.literal('terminal-state'), format: z.literal(1) };

/** How a device is, without personal data and secrets. */
export const terminalDeviceSchema = z.object(diagnosticsSchema.omit({ parameters: true }).shape);
export type TerminalDevice = z.output<typeof terminalDeviceSchema>;

/**
 * What a terminal says of itself. `gone`: `stopped` says it itself, `lost` the broker,
 * in whose hands it left this.
 */
const terminalStateSchema = z.discriminatedUnion('presence', [
  z.object({
    ...head,
    presence: z.literal('here'),
    device: terminalDeviceSchema,
  }),
  z.object({ ...head, presence: z.literal('gone'), why: z.enum(['stopped', 'lost']) }),
]);
export type TerminalState = z.output<typeof terminalStateSchema>;

export function terminalStateBytes(state: TerminalState): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(state));
}

/** undefined for what is none; what a later program says besides is left out. */
export function readTerminalState(payload: Uint8Array): TerminalState | undefined {
  try {
    return terminalStateSchema.safeParse(JSON.parse(new TextDecoder().decode(payload))).data;
  } catch {
    return undefined;
  }
}

/** From when a terminal counts as offline that says `state` at `atMs` and nothing later. Milliseconds UTC. */
export function offlineFromMs(state: TerminalState, atMs: number): number {
  if (state.presence === 'here') return atMs + silentAfterMs;
  return state.why === 'stopped' ? atMs : atMs + lostAfterMs;
}
