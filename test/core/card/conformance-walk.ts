import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import { fromHex, toHex } from '#core/bytes/bytes.ts';
import { type ConformanceReport, checkCard } from '#core/card/conformance/check-card.ts';
import type { Finding } from '#core/card/conformance/finding.ts';
import type { CardProfile } from '#core/card/profile.ts';
import type { Text } from '#core/texts/language.ts';
import type { CardDescription } from '#simulators/card/card-description.ts';
import { deckCard, powered, testKeys, typeA } from './rig.ts';

type Answer = (
  command: Uint8Array,
  card: (command: Uint8Array) => Promise<Uint8Array>,
  /** the finding before this command */
  before: string | undefined,
) => Promise<Uint8Array>;

export interface Walk {
  readonly profile?: CardProfile;
  readonly card?: CardDescription;
  readonly answer?: Answer;
  readonly keys?: 'none';
  readonly wrongKeys?: boolean;
}

/** Walks through a profile with a virtual card, whose answers `answer` may change. */
export async function walk(
  options: Walk = {},
): Promise<ConformanceReport & { sent: string[]; told: Finding[] }> {
  const { profile = typeA, answer = (command, real) => real(command), wrongKeys = false } = options;
  const card = powered(options.card ?? deckCard('employee'));
  const sent: string[] = [];
  const told: Finding[] = [];
  let now = 0;
  const report = await checkCard(
    {
      card: {
        transmit: (command) => {
          sent.push(toHex(command));
          return answer(command, card.transmit, told.at(-1)?.id);
        },
        reset: async () => card.reset(),
      },
      profile,
      ...(options.keys !== 'none' && { cardKeys: testKeys }),
      wrongKeys,
      randomBytes,
      monotonicUs: () => {
        now += 10;
        return now;
      },
    },
    (finding) => told.push(finding),
  );
  for (const finding of report.findings) expectBothLanguages(finding);
  return { ...report, sent, told };
}

/** Codes of faults, options and names of the specifications are the same in both. */
const sharedWords = /\b[a-z]+(?:-[a-z]+)+(?=: )|--[a-z-]+|keys\.[a-zA-Z]+|length|extendedLength|messages/g;

/** Whoever commissions a card reads one of them. */
function expectBothLanguages({ title, detail }: Finding): void {
  for (const { ja, en } of [title, detail] satisfies Text[]) {
    expect(ja).toMatch(/[ぁ-んァ-ヶ一-龠]/);
    expect(ja.replace(sharedWords, '')).not.toMatch(/[a-z]{3}/);
    expect(en).toMatch(/^[ -~]*[A-Za-z]{3}[ -~]*$/);
  }
}

export const verdicts = ({ findings }: ConformanceReport) =>
  Object.fromEntries(findings.map(({ id, verdict }) => [id, verdict]));
export const failed = ({ findings }: ConformanceReport) =>
  findings.filter(({ verdict }) => verdict === 'fails').map(({ id }) => id);

/** Changes the answer to commands that `wanted` picks. */
export const answering =
  (wanted: (command: Uint8Array) => boolean, change: (answer: Uint8Array) => Uint8Array | string): Answer =>
  async (command, card) => {
    const answer = await card(command);
    if (!wanted(command)) return answer;
    const changed = change(answer);
    return typeof changed === 'string' ? fromHex(changed) : changed;
  };
export const ins = (value: number) => (command: Uint8Array) => command[1] === value;
