import { z } from 'zod';
import { id } from '#core/access/rule-config.ts';
import { incarnationForm } from '#core/journal/entry.ts';
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

const names = z.array(id).max(1_000).readonly();
/** Places of a terminal by the names of the rules, as it reports them or somebody enters them. */
export const terminalPlacesSchema = z.strictObject({ doors: names, zones: names, services: names });

const count = z.int().min(0);
const moment = z.int();
const progress = z.object({ rootVersion: count, number: count });
/**
 * How a terminal is with the policy that its server distributes. `reached`: the version and the change that it has seen
 * signed, and behind which it believes nothing under the same root; a server that was put back counts on from there.
 */
export const policyStatusSchema = z.object({
  installed: z
    .object({
      rootVersion: count,
      version: count,
      changeNumber: count,
      issuedAtMs: moment,
      expiresAtMs: moment,
    })
    .optional(),
  reached: z.object({ version: progress, changes: progress }),
  /** the version being fetched */
  fetching: count.optional(),
  /** absent while it has no root of trust that it can read */
  rootVersion: count.optional(),
  /** the policy on the device was found not to be as signed, and is not yet as it should be again */
  altered: z.boolean(),
  /** what it believed the least of late, in the words of docs/distribution.md */
  lastRefusal: z.object({ of: z.string().max(64), reason: z.string().max(64), atMs: moment }).optional(),
});
export type PolicyStatus = z.output<typeof policyStatusSchema>;

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
    places: terminalPlacesSchema,
    /** of the journal, with which goes all that the terminal was told of the site; absent until that can be read */
    incarnation: z.string().regex(incarnationForm).optional(),
    /** of a terminal that takes its policy from the server */
    policy: policyStatusSchema.optional(),
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
