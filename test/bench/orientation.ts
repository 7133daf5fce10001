import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { AccessMemory } from '#core/access/access-memory.ts';
import { decide } from '#core/access/decide.ts';
import type { PolicySlice } from '#core/access/policy.ts';
import { latencies, nowUs, percentile } from './figures.ts';
import { benchRules } from './holders.ts';

/** What is asked of each engine: a holder who stands before a door, with a moment and its local reading. */
interface Question {
  readonly groups: readonly string[];
  readonly status: 'active' | 'suspended';
  readonly doorId: string;
  readonly pin: boolean;
  readonly utcMs: number;
  readonly day: string;
  readonly minute: number;
}

interface Engine {
  readonly name: string;
  readonly permits: (question: Question) => boolean | Promise<boolean>;
}

const door = 'door-7';
/** Monday 09:00 and 22:00 in Tokyo */
const inHours = { utcMs: Date.parse('2026-06-01T00:00:00Z'), day: 'mon', minute: 9 * 60 };
const late = { utcMs: Date.parse('2026-06-01T13:00:00Z'), day: 'mon', minute: 22 * 60 };
const usual: Question = {
  groups: ['cleaning', 'staff'],
  status: 'active',
  doorId: door,
  pin: true,
  ...inHours,
};
/** answers that show that the policies are equivalent, as far as they go */
const expected: readonly (readonly [Question, boolean])[] = [
  [usual, true],
  [{ ...usual, pin: false }, false],
  [{ ...usual, pin: false, ...late }, true],
  [{ ...usual, groups: ['cleaning'] }, true],
  [{ ...usual, groups: ['cleaning'], ...late }, false],
  [{ ...usual, groups: ['council'] }, false],
  [{ ...usual, status: 'suspended' }, false],
];

/**
 * Prints what general policy engines take for the rules of this benchmark, beside `decide()` on a slice of the policy
 * that is looked up already. Installs them into `.data/` where they are missing. Nothing here can fail the benchmark
 * but an engine that answers otherwise.
 */
export async function showOrientation(slice: PolicySlice, rounds: number): Promise<void> {
  const load = createRequire(join(installed(), 'package.json'));
  console.log(
    'for orientation, the permissions of this benchmark alone, everything in memory: no look-up in SQLite and',
  );
  console.log('no facts; the others are told weekday and minute, and neither find the card nor say why');
  let own: number | undefined;
  for (const engine of [ours(slice), await casbin(load), cedar(load)]) {
    for (const [question, answer] of expected) {
      if ((await engine.permits(question)) !== answer)
        throw new Error(`${engine.name} does not hold the same policy: ${JSON.stringify(question)}`);
    }
    const samples = await sampled(engine, rounds);
    own ??= percentile(samples, 0.5);
    const ratio = percentile(samples, 0.5) / own;
    console.log(`  ${engine.name.padEnd(22)} ${latencies(samples)}; ${ratio.toFixed(1)} times decide()`);
  }
}

async function sampled({ permits }: Engine, rounds: number): Promise<readonly number[]> {
  const samples: number[] = [];
  for (let round = -rounds / 5; round < rounds; round += 1) {
    const start = nowUs();
    await permits(usual);
    if (round >= 0) samples.push(nowUs() - start);
  }
  return samples;
}

/** The folder the engines are installed in, from the lock beside this file. */
function installed(): string {
  const wanted = join(import.meta.dirname, 'orientation');
  const folder = join(import.meta.dirname, '../../.data/orientation');
  const lock = 'package-lock.json';
  const text = (file: string) => (existsSync(file) ? readFileSync(file, 'utf8') : '');
  // npm writes its own record of what stands in node_modules last
  const complete = existsSync(join(folder, 'node_modules/.package-lock.json'));
  if (!complete || text(join(folder, lock)) !== text(join(wanted, lock))) {
    mkdirSync(folder, { recursive: true });
    for (const file of ['package.json', lock]) copyFileSync(join(wanted, file), join(folder, file));
    execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
      cwd: folder,
      stdio: 'inherit',
    });
  }
  return folder;
}

function ours(slice: PolicySlice): Engine {
  const { card } = slice;
  if (!slice.holder || !card) throw new Error('the slice has no holder');
  const { holder } = slice;
  const state = new AccessMemory({ terminal: 'bench', sharedChanged: () => undefined }).view({
    holderId: holder.holderId,
    facts: new Map(),
    asked: 0,
  });
  if (!state) throw new Error('the look-up is too old');
  const timings = {
    connectUs: 0,
    selectUs: 0,
    authenticateUs: 0,
    authenticateCardUs: 0,
    readUs: 0,
    exchanges: 0,
  };
  return {
    name: 'decide()',
    permits: ({ groups, status, doorId, pin, utcMs }) => {
      const decision = decide({
        reading: {
          organization: benchRules.organization,
          profileId: card.profileId,
          method: 'type-a',
          userNumber: card.userNumber,
          assurance: ['mutual-authentication', 'message-authentication', ...(pin ? (['pin'] as const) : [])],
          timings,
        },
        request: { doorId, readerId: 'reader', tapId: '' },
        slice: { ...slice, holder: { ...holder, groups, status } },
        state,
        time: { utcMs, floorMs: 0, trusted: true, monotonicMs: 0, bootId: '' },
      });
      return decision.kind === 'granted';
    },
  };
}

/** the part of casbin that is used here */
interface Casbin {
  readonly newModelFromString: (text: string) => object;
  readonly StringAdapter: new (policy: string) => object;
  readonly newEnforcer: (
    model: object,
    adapter: object,
  ) => Promise<{
    readonly addFunction: (name: string, test: (...values: never[]) => boolean) => Promise<void>;
    readonly enforce: (...request: unknown[]) => Promise<boolean>;
  }>;
}

const casbinModel = `
[request_definition]
r = sub, door, time
[policy_definition]
p = group, door, schedule
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.door == p.door && r.sub.status == "active" && inGroup(r.sub.groups, p.group) && \
inForce(p.schedule, r.time) && (r.sub.pin || !inForce("hours", r.time))
`;

async function casbin(load: NodeJS.Require): Promise<Engine> {
  const { newEnforcer, newModelFromString, StringAdapter } = load('casbin') as Casbin;
  const lines = benchRules.permissions.map(
    ({ group, door: id, schedule }) => `p, ${group}, ${id}, ${schedule ?? 'always'}`,
  );
  const enforcer = await newEnforcer(newModelFromString(casbinModel), new StringAdapter(lines.join('\n')));
  await enforcer.addFunction('inGroup', (groups: readonly string[], group: string) => groups.includes(group));
  await enforcer.addFunction('inForce', (schedule: string, { day, minute }: Question) => {
    const weekday = day !== 'sat' && day !== 'sun';
    return schedule === 'always' || (weekday && minute >= 8 * 60 + 30 && minute < 19 * 60);
  });
  return {
    name: 'casbin',
    permits: ({ groups, status, doorId, pin, day, minute }) =>
      enforcer.enforce({ groups, status, pin }, doorId, { day, minute }),
  };
}

/** the part of Cedar that is used here */
interface Cedar {
  readonly preparsePolicySet: (id: string, policies: { readonly staticPolicies: string }) => { type: string };
  readonly statefulIsAuthorized: (call: object) => {
    readonly type: string;
    readonly response?: { readonly decision: 'allow' | 'deny' };
  };
}

const cedarHours =
  '["mon", "tue", "wed", "thu", "fri"].contains(context.day) && context.minute >= 510 && context.minute < 1140';

function cedar(load: NodeJS.Require): Engine {
  const { preparsePolicySet, statefulIsAuthorized } = load('@cedar-policy/cedar-wasm/nodejs') as Cedar;
  const permissions = benchRules.permissions.map(
    ({ group, door: id, schedule }) =>
      `permit(principal in Group::"${group}", action == Action::"open", resource == Door::"${id}")` +
      ` when { principal.status == "active"${schedule ? ` && ${cedarHours}` : ''} };`,
  );
  const pins = benchRules.doors.map(
    ({ id }) =>
      `forbid(principal, action, resource == Door::"${id}") when { ${cedarHours} } unless { context.pin };`,
  );
  const parsed = preparsePolicySet('bench', { staticPolicies: [...permissions, ...pins].join('\n') });
  if (parsed.type !== 'success') throw new Error(`Cedar refuses the policy: ${JSON.stringify(parsed)}`);
  const principal = { type: 'Holder', id: 'holder' };
  return {
    name: 'Cedar (WebAssembly)',
    permits: ({ groups, status, doorId, pin, day, minute }) => {
      const answer = statefulIsAuthorized({
        principal,
        action: { type: 'Action', id: 'open' },
        resource: { type: 'Door', id: doorId },
        context: { pin, day, minute },
        preparsedPolicySetId: 'bench',
        entities: [
          { uid: principal, attrs: { status }, parents: groups.map((id) => ({ type: 'Group', id })) },
        ],
      });
      return answer.response?.decision === 'allow';
    },
  };
}
