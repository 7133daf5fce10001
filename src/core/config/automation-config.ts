import { z } from 'zod';
import { automationEvents, automationTapEvents, loopIn } from '#core/access/automation.ts';
import { inputWiringSchema, outputWiringSchema } from '#core/access/door-wiring.ts';
import { siteConditions } from '#core/access/site-state.ts';
import { duration } from './duration.ts';

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'a name has a-z, 0-9 and hyphens');
const is = z.enum(['on', 'off']).default('on');
const condition = z.enum(siteConditions);
const lasting = duration(100, 86_400_000).optional();

const when = z.union([
  z.strictObject({ input: name, is }),
  z.strictObject({ condition, is }),
  z.strictObject({ alarm: name, is }),
  z.strictObject({ event: z.enum([...automationEvents, ...automationTapEvents]), door: name.optional() }),
]);
const action = z.union([
  z.strictObject({ output: name, for: lasting }),
  z.strictObject({ alarm: name, for: lasting }),
  z.strictObject({
    condition,
    set: z.enum(['on', 'off']),
    zones: z.array(z.string().min(1)).min(1).optional().describe('without them the whole site'),
  }),
  z.strictObject({ threatLevel: z.int().min(0).max(9).describe('0 is the usual one') }),
]);

/** The parts of a terminal's configuration that are about inputs and outputs beside those of doors. */
export const automationConfig = {
  inputs: z
    .array(z.strictObject({ id: name, hardware: inputWiringSchema }))
    .default([])
    .describe('contacts beside those of doors, such as that of the fire panel'),
  outputs: z
    .array(z.strictObject({ id: name, hardware: outputWiringSchema }))
    .default([])
    .describe('relays beside those of doors, such as that of a siren; off when the terminal ends'),
  automation: z
    .array(z.strictObject({ when, do: z.array(action).min(1) }))
    .default([])
    .describe('when this, then that, without any network'),
};

interface Parts extends z.output<z.ZodObject<typeof automationConfig>> {
  readonly doors: readonly { readonly id: string }[];
  readonly zones: ReadonlySet<string>;
}
interface Problem {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** Names that nothing bears or that stand twice, actions without an end, and rules that would set each other off. */
export function* automationProblems({ inputs, outputs, automation, doors, zones }: Parts): Iterable<Problem> {
  for (const [list, entries] of Object.entries({ inputs, outputs })) {
    for (const [at, { id }] of entries.entries()) {
      const twice = entries.findIndex((entry) => entry.id === id) !== at;
      if (twice) yield { path: [list, at, 'id'], message: `"${id}" stands twice; give each its own id` };
    }
  }
  const unknown = (path: Problem['path'], list: string, id: string, known: readonly { id: string }[]) =>
    known.some((one) => one.id === id) ? [] : [{ path, message: `there is no "${id}" under ${list}:` }];
  for (const [at, { when, do: actions }] of automation.entries()) {
    const path = ['automation', at];
    if ('input' in when) yield* unknown([...path, 'when', 'input'], 'inputs', when.input, inputs);
    if ('event' in when && when.door !== undefined)
      yield* unknown([...path, 'when', 'door'], 'doors', when.door, doors);
    for (const [index, action] of actions.entries()) {
      const place = [...path, 'do', index];
      if ('output' in action) yield* unknown([...place, 'output'], 'outputs', action.output, outputs);
      for (const zone of ('condition' in action && action.zones) || []) {
        if (zones.has(zone)) continue;
        yield {
          path: [...place, 'zones'],
          message: `no door or reader here has to do with a zone "${zone}"`,
        };
      }
      if ('event' in when && ('output' in action || 'alarm' in action) && action.for === undefined)
        yield { path: place, message: 'an event has no end: say for how long, such as `for: 30 s`' };
    }
  }
  const loop = loopIn(automation);
  if (loop) {
    const steps = loop.map(({ rule, through }) => `rule ${rule + 1} -(${through})->`).join(' ');
    const first = (loop[0]?.rule ?? 0) + 1;
    yield { path: ['automation'], message: `these rules set each other off: ${steps} rule ${first}` };
  }
}
