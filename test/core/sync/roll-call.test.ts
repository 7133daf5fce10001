import { describe, expect, it } from 'vitest';
import { wholeRollCall } from '#cli/command-administration.ts';
import { type CommandResult, type RollCall, resultOf } from '#core/sync/command.ts';
import { commandResultBytes, readCommandResult } from '#core/sync/command-message.ts';
import { placeInRollCall, presentInOrder, rollCallAfter } from '#core/sync/roll-call.ts';
import { maxPayloadBytes } from '#core/sync/topics.ts';
import type { CommandOrder, CommandRequest } from '#issuance/commands/command-orders.ts';

const id = '0'.repeat(32);
const crowd = (count: number): RollCall =>
  ['hall', 'office'].map((zone, at) => ({
    zone,
    holders: Array.from({ length: count / 2 }, (_, number) => ({
      holder: `holder-${zone}-${number}`,
      sinceMs: 1_700_000_000_000 + number * 2 + at,
    })),
  }));

/** What a terminal answers by a message, of whoever is there then. */
function told(rollCall: RollCall, after?: string): CommandResult {
  const bytes = commandResultBytes(
    resultOf(id, { outcome: 'done', rollCall: rollCallAfter(rollCall, after) }),
  );
  expect(bytes.length).toBeLessThanOrEqual(maxPayloadBytes);
  const result = readCommandResult(bytes);
  if (!result) throw new Error('no result');
  return result;
}

describe('a roll call', () => {
  it('that fits one message is one', () => {
    const result = told(crowd(100));
    expect(result).toMatchObject({ rollCall: crowd(100) });
    expect([result.omitted, result.next]).toEqual([undefined, undefined]);
  });

  it('of many comes whole in pages, also of those who go elsewhere meanwhile', () => {
    const all = crowd(12_000);
    const moved = all.map(({ zone, holders }) => ({ zone: zone === 'hall' ? 'office' : 'hall', holders }));
    const seen: string[] = [];
    let page = told(all);
    for (let pages = 1; ; pages += 1) {
      seen.push(...presentInOrder(page.rollCall ?? []).map(({ holder }) => holder));
      if (page.next === undefined) break;
      // no person's id stands in what is asked
      expect(page.next).toMatch(/^[0-9A-F]{32}$/);
      page = told(pages % 2 === 1 ? moved : all, page.next);
    }
    const everybody = all.flatMap(({ holders }) => holders.map(({ holder }) => holder));
    expect(seen.toSorted()).toEqual(everybody.toSorted());
  });

  it('keeps whoever is in two zones in one page', () => {
    const both = crowd(12_000).map(({ holders }, at) => ({
      zone: `zone-${at}`,
      holders: holders.map((one) => ({ ...one, holder: one.holder.replace(/hall|office/, 'x') })),
    }));
    const first = told(both);
    expect(first.next).toBeDefined();
    const second = told(both, first.next);
    const [own, other] = [first, second].map(
      ({ rollCall = [] }) => new Set(presentInOrder(rollCall).map(({ holder }) => holder)),
    );
    expect([...(own ?? [])].filter((holder) => other?.has(holder))).toEqual([]);
    expect(presentInOrder(first.rollCall ?? [])).toHaveLength(2 * (own?.size ?? 0));
  });

  it('is asked for by the command line until it is whole, or said not to be', async () => {
    const all = crowd(12_000);
    const asked: CommandRequest[] = [];
    const orderOf = (result: CommandResult): CommandOrder => {
      const one = {
        terminal: 'lobby',
        id,
        expiresAtMs: 0,
        state: 'answered' as const,
        outcome: result.outcome,
        result,
      };
      return {
        id: String(asked.length),
        action: { kind: 'roll-call' },
        issuedBy: '',
        reason: '',
        madeAtMs: 0,
        terminals: [one],
      };
    };
    const commands = (pages: number) => ({
      give: async (request: CommandRequest) => {
        asked.push(request);
        return { kind: 'given' as const, id: String(asked.length <= pages) };
      },
      find: async (order: string) => {
        const { action } = asked.at(-1) ?? {};
        const after = action?.kind === 'roll-call' ? action.after : undefined;
        return orderOf(order === 'true' ? told(all, after) : resultOf(id, { outcome: 'expired' }));
      },
    });
    const request = { action: { kind: 'roll-call' as const }, reason: '', to: { all: true } };
    const options = { organization: 'city', wait: 0 };
    const whole = await wholeRollCall(orderOf(told(all)), { commands: commands(100), request, options });
    const [{ result } = {}] = whole.terminals;
    expect(result?.rollCall).toEqual(all);
    expect([result?.omitted, result?.next]).toEqual([undefined, undefined]);
    expect(asked.length).toBeGreaterThan(1);
    expect(asked[0]?.to).toEqual({ terminals: ['lobby'] });
    asked.length = 0;
    const part = await wholeRollCall(orderOf(told(all)), { commands: commands(1), request, options });
    const cut = part.terminals[0]?.result;
    const missing = 12_000 - presentInOrder(cut?.rollCall ?? []).length;
    expect([missing > 0, cut?.omitted]).toEqual([true, missing]);
    expect(placeInRollCall('x')).toHaveLength(32);
  });
});
