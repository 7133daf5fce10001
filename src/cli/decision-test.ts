import type { Command } from 'commander';
import { z } from 'zod';
import type { PolicyReader } from '#adapters/sqlite/policy-reader.ts';
import { type Decision, denialReasons, waitReasons } from '#core/access/decision.ts';
import { parseLimit } from '#core/access/holder-dates.ts';
import type { HolderCard } from '#core/access/policy.ts';
import { Replay } from '#core/access/replay.ts';
import { assuranceProperties, type Reading } from '#core/card/reading.ts';
import { parseYaml } from '#core/config/yaml-document.ts';
import { Fault } from '#core/fault.ts';
import { readTextFile } from '#terminal/text-file.ts';
import { counted } from './counted.ts';
import { createOutput } from './output.ts';
import { openPolicy, type PolicySource, policyOptions } from './policy-source.ts';

const text = z.string({ error: 'must be text; put it in quotes when it looks like a number' });
const tapShape = {
  holder: text,
  door: text,
  from: text.optional(),
  to: text.optional(),
  at: text,
  with: z.array(z.literal('pin')).default([]),
};
const expectationsSchema = z.strictObject({
  formatVersion: z.literal(1, 'must be 1; a newer number needs a newer program'),
  expectations: z
    .array(
      z.strictObject({
        ...tapShape,
        after: z.array(z.strictObject(tapShape)).default([]),
        expect: z.enum(['granted', 'denied', 'pin', 'waits']),
        reason: z.enum([...denialReasons, ...waitReasons]).optional(),
      }),
    )
    .min(1),
});
type Expectation = z.output<typeof expectationsSchema>['expectations'][number];
type ExpectedTap = z.output<z.ZodObject<typeof tapShape>>;

interface Tested {
  readonly number: number;
  readonly told: string;
  readonly expected: string;
  readonly found: string;
}

/** `decision test FILE`: holds a policy against an organization's own table of expectations. */
export function registerDecisionTest(decision: Command): void {
  policyOptions(
    decision
      .command('test')
      .description('Hold a policy against a table of expectations; fails where one is not met')
      .argument('<file>', 'Expectations in YAML'),
  ).action(async (file: string, _: unknown, command: Command) => {
    const options = command.optsWithGlobals<PolicySource & { json?: boolean }>();
    const { expectations } = parseYaml(await readTextFile(file), file, expectationsSchema, 'config-invalid');
    const policy = await openPolicy(options);
    try {
      const tested = expectations.map((one, index) => test(policy, one, index + 1));
      const failed = tested.filter(({ expected, found }) => expected !== found);
      createOutput(options.json === true).result(
        { expectations: tested.length, failed },
        [
          ...failed.map(
            ({ number, told, expected, found }) => `${number}. ${told}: expected ${expected}, found ${found}`,
          ),
          `${counted(tested.length, 'expectation')}: ${tested.length - failed.length} met, ${failed.length} not`,
        ].join('\n'),
      );
      if (failed.length > 0) process.exitCode = 1;
    } finally {
      policy.close();
    }
  });
}

function test(policy: PolicyReader, one: Expectation, number: number): Tested {
  const replay = new Replay({ terminal: 'test' });
  for (const [index, before] of one.after.entries()) tap(policy, replay, before, `${number}-${index}`);
  const decision = tap(policy, replay, one, String(number));
  const kind = decision.kind === 'needs' ? 'pin' : decision.kind;
  const reason = decision.kind === 'denied' || decision.kind === 'waits' ? decision.reason : undefined;
  return {
    number,
    told: `holder ${one.holder}, door ${one.door}, ${one.at}`,
    expected: outcome(one.expect, one.reason),
    // a table that names no reason is content with any
    found: outcome(kind, one.reason === undefined && kind === one.expect ? undefined : reason),
  };
}

function outcome(kind: string, reason: string | undefined): string {
  return reason === undefined ? kind : `${kind} (${reason})`;
}

function tap(policy: PolicyReader, replay: Replay, asked: ExpectedTap, tapId: string): Decision {
  const { holder, door, from, to, at } = asked;
  const version = policy.version();
  const utcMs = version && parseLimit(at, 'from', version.timeZone);
  if (utcMs === undefined) throw new Fault('config-invalid', `"${at}" is no time such as "2026-11-22 03:00"`);
  const cards = policy.cardsOf(holder);
  const card = cards.find(({ status }) => status === 'active') ?? cards[0];
  if (!card) throw new Fault('config-invalid', `the policy knows no holder "${holder}"`);
  const reading = readingOf(card, policy.organizationOf(card.profileId) ?? '', asked.with);
  const request = {
    doorId: door,
    readerId: 'test',
    tapId,
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
  };
  const time = { utcMs, floorMs: 0, trusted: true, monotonicMs: utcMs, bootId: 'test' };
  return replay.decide({ reading, request, time }, policy.slice({ doorId: door, ...reading }));
}

/** The reading of a genuine card, with the PIN where the table says that it is entered. */
function readingOf(
  { profileId, userNumber, diversifier, keyVersion }: HolderCard,
  organization: string,
  extra: readonly 'pin'[],
): Reading {
  return {
    organization,
    profileId,
    method: 'type-a',
    userNumber,
    assurance: assuranceProperties.filter((property) => property !== 'pin' || extra.includes('pin')),
    ...(diversifier === undefined ? {} : { diversifier }),
    ...(keyVersion === undefined ? {} : { keyVersion }),
    timings: { connectUs: 0, selectUs: 0, authenticateUs: 0, authenticateCardUs: 0, readUs: 0, exchanges: 0 },
  };
}
