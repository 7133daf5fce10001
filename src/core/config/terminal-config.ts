import { z } from 'zod';
import {
  doorWiringSchema,
  indicatorWiringSchema,
  pinPadWiringSchema,
  type TerminalWiring,
  wiringConflicts,
} from '#core/access/door-wiring.ts';
import { id } from '#core/access/rule-config.ts';
import { languages } from '#core/texts/language.ts';
import { automationConfig, automationProblems } from './automation-config.ts';
import { duration } from './duration.ts';
import { keySourceSchema } from './key-source.ts';
import { reasons } from './parameter-sheet.ts';

const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'a name has a-z, 0-9 and hyphens, at most 63 characters');
const path = z.string().min(1).describe('path of a file; a relative one counts from this file');

const timing = z.strictObject({
  mode: z
    .enum(['off', 'observe', 'deny'])
    .default('observe')
    .describe('what is done about a card that takes unusually long to authenticate, as a relayed one does'),
  factor: z
    .number()
    .min(3)
    .max(100)
    .default(8)
    .describe('how many times the usual spread above the usual time is unusual'),
  limit: duration(50, 10_000)
    .prefault('1 s')
    .describe('an authentication longer than this is unusual whatever was learned'),
});

const service = z
  .strictObject({
    id: id.describe('service of the policy'),
    action: z.enum(['in', 'out', 'lend', 'return']).optional(),
    item: id.optional().describe('thing to lend; never a person'),
  })
  .describe('what every tap at this reader is for besides the door');

const reader = z.strictObject({
  id: name,
  name: z
    .string()
    .min(1)
    .refine(
      (text) => !isVirtualReader(text),
      'a virtual reader never serves a real door; use scripts/kazasu site',
    )
    .describe('exact name of the reader in the card stack, as `kazasu readers` lists it'),
  door: name,
  from: name.optional().describe('zone the reader leads from'),
  to: name.optional().describe('zone it leads to'),
  service: service.optional(),
  profiles: z
    .array(name)
    .min(1)
    .optional()
    .describe('card profiles read here, in order of preference; all of them where absent'),
  indicator: indicatorWiringSchema.optional(),
  pinPad: pinPadWiringSchema.optional(),
  timing: timing.prefault({}),
});

const door = z.strictObject({
  id: name,
  hardware: doorWiringSchema,
  zones: z
    .array(name)
    .default([])
    .describe(
      'zones it belongs to beside those its readers lead from and to, for fire, evacuation and lockdown',
    ),
  strikeTime: duration(500, 120_000).prefault('5 s').describe('how long a grant unlocks'),
  longerStrikeTime: duration(500, 300_000)
    .prefault('15 s')
    .describe('how long a grant unlocks for holders who need longer; never shorter than strikeTime'),
  exitRequest: z
    .enum(['unlock', 'shunt'])
    .default('unlock')
    .describe('an exit request unlocks, or only keeps an opening from being an alarm'),
  exitTime: duration(500, 120_000).prefault('5 s').describe('how long an exit request unlocks'),
  exitStuckAfter: duration(1_000, 3_600_000)
    .prefault('1 min')
    .describe('an exit request that lasts longer counts as stuck, which is an alarm'),
  exitStuck: z
    .enum(['lock', 'unlock'])
    .default('lock')
    .describe('what a stuck one does besides: a motion sensor before a queue may go on unlocking'),
  relock: z
    .enum(['on-close', 'on-open'])
    .default('on-close')
    .describe('when the strike locks before its time is over: once opened and closed, or as soon as opened'),
  heldOpenAfter: duration(1_000, 86_400_000).prefault('30 s').describe('a door open longer is an alarm'),
  longerHeldOpenAfter: duration(1_000, 86_400_000)
    .prefault('90 s')
    .describe('the same after an opening by a holder who needs longer; never shorter than heldOpenAfter'),
  preAlarm: duration(0, 86_400_000).prefault('10 s').describe('warning this long before the held-open alarm'),
  closeSettle: duration(0, 5_000)
    .prefault('200 ms')
    .describe('how long the contact must stay closed to count'),
  openGrace: duration(0, 5_000)
    .prefault('500 ms')
    .describe('an opening this soon after a relock is no forcing'),
  obstructedAfter: duration(1_000, 3_600_000)
    .prefault('15 s')
    .describe('a gate kept from closing longer is an alarm'),
});

const interlock = z
  .strictObject({ doors: z.array(name).min(2, 'must name at least two doors') })
  .describe('of these doors only one at a time may be unlocked or open');

/** The name vpcd gives its readers. */
export function isVirtualReader(readerName: string): boolean {
  return readerName.startsWith('Virtual PCD');
}

/** device-config/terminals/*.yaml: the wiring of one terminal. Everything else is in the policy. */
export const terminalConfigSchema = z
  .strictObject({
    formatVersion: z.literal(1),
    terminal: name.describe('name of this terminal in every journal entry'),
    language: z.enum(languages).default('ja').describe('language of logs for operators and of displays'),
    stateDirectory: z.string().startsWith('/', 'an absolute path').default('/var/lib/kazasu'),
    cardProfiles: z.array(path).min(1).describe('card profiles, in order of preference'),
    keys: keySourceSchema.optional().describe('where keys come from; needed by profiles that authenticate'),
    readers: z.array(reader).min(1),
    doors: z.array(door).min(1),
    interlocks: z.array(interlock).default([]),
    ...automationConfig,
    pinTimeout: duration(5_000, 120_000).prefault('20 s').describe('how long a holder has to enter the PIN'),
    deadlines: z
      .strictObject({
        apdu: duration(50, 30_000).prefault('1 s').describe('one exchange with the card'),
        tap: duration(200, 60_000).prefault('3 s').describe('the whole reading of a card'),
        decision: duration(500, 60_000)
          .prefault('5 s')
          .describe('from the card event to the strike, PIN entry apart'),
      })
      .prefault({}),
    journal: z
      .strictObject({
        reserveMiB: z
          .int()
          .min(8)
          .max(65_536)
          .default(256)
          .describe('space taken for the journal beforehand'),
        checkpointEntries: z
          .int()
          .min(1)
          .max(100_000)
          .default(1_000)
          .describe('entries between signed checkpoints'),
        checkpointInterval: duration(10_000, 86_400_000)
          .prefault('10 min')
          .describe('time between signed checkpoints while entries come'),
        retention: duration(86_400_000, 3_650 * 86_400_000)
          .prefault('90 d')
          .describe(
            'how long entries stay on the device that a server has stored; without a server they stay',
          ),
      })
      .prefault({}),
    log: z
      .strictObject({
        level: z.enum(['fatal', 'error', 'warn', 'info', 'debug']).default('info'),
      })
      .prefault({}),
    reasons,
  })
  .superRefine((config, context) => {
    const report = (at: (string | number)[], message: string) =>
      context.addIssue({ code: 'custom', path: at, message });
    checkNames(config, report);
    checkWiring(config, report);
    const zones = zonesOf(config);
    for (const { path, message } of automationProblems({ ...config, zones })) report([...path], message);
    config.doors.forEach(({ preAlarm, heldOpenAfter }, index) => {
      if (preAlarm >= heldOpenAfter)
        report(['doors', index, 'preAlarm'], 'must be shorter than heldOpenAfter');
    });
    if (config.deadlines.apdu > config.deadlines.tap) {
      report(['deadlines', 'apdu'], 'is longer than the deadline of the whole tap');
    }
  });

/** A parsed configuration: durations are milliseconds. */
export type TerminalConfig = z.output<typeof terminalConfigSchema>;
/** Every zone that a door or a reader of this terminal has to do with. */
function zonesOf({ doors, readers }: Pick<TerminalConfig, 'doors' | 'readers'>): ReadonlySet<string> {
  const named = [...doors.flatMap(({ zones }) => zones), ...readers.flatMap(({ from, to }) => [from, to])];
  return new Set(named.filter((zone) => zone !== undefined));
}

type Report = (at: (string | number)[], message: string) => void;

function checkNames(config: TerminalConfig, report: Report): void {
  const doors = new Set<string>();
  config.doors.forEach(({ id }, index) => {
    if (doors.has(id)) report(['doors', index, 'id'], `door "${id}" stands twice; give each its own id`);
    doors.add(id);
  });
  const readers = new Set<string>();
  const names = new Set<string>();
  config.readers.forEach((entry, index) => {
    if (readers.has(entry.id)) report(['readers', index, 'id'], `reader "${entry.id}" stands twice`);
    if (names.has(entry.name))
      report(['readers', index, 'name'], 'two readers have this name; each serves one door');
    if (!doors.has(entry.door))
      report(['readers', index, 'door'], `there is no door "${entry.door}" under doors:`);
    readers.add(entry.id);
    names.add(entry.name);
  });
  config.interlocks.forEach(({ doors: members }, index) => {
    members.forEach((id, at) => {
      const path = ['interlocks', index, 'doors', at];
      const member = config.doors.find((door) => door.id === id);
      if (!member) report(path, `there is no door "${id}" under doors:`);
      else if (member.hardware.floors) report(path, `"${id}" is an elevator; interlocks are of doors`);
      else if (!member.hardware.contact)
        report(path, `"${id}" has no contact: nothing would tell whether it is closed`);
      if (members.indexOf(id) !== at) report(path, `"${id}" stands twice; remove one`);
    });
  });
}

function checkWiring(config: TerminalConfig, report: Report): void {
  for (const { resource, users } of wiringConflicts(wiringOf(config)))
    report(['doors'], `${resource} is used twice: ${users.join(' and ')}`);
}

/** All wiring of one terminal's hardware. */
export function wiringOf({
  doors,
  readers,
  inputs,
  outputs,
}: Pick<TerminalConfig, 'doors' | 'readers' | 'inputs' | 'outputs'>): TerminalWiring {
  return {
    doors: Object.fromEntries(doors.map(({ id, hardware }) => [id, hardware])),
    inputs: Object.fromEntries(inputs.map(({ id, hardware }) => [id, hardware])),
    outputs: Object.fromEntries(outputs.map(({ id, hardware }) => [id, hardware])),
    indicators: Object.fromEntries(
      readers.flatMap(({ id, indicator }) => (indicator ? [[id, indicator]] : [])),
    ),
  };
}
