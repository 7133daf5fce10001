import { beforeAll, describe, expect, it } from 'vitest';
import type { JsonValue } from '#core/journal/record.ts';
import { type Command, type CommandResult, commandSchema } from '#core/sync/command.ts';
import {
  checkCommand,
  commandBytes,
  commandResultBytes,
  readCommandResult,
} from '#core/sync/command-message.ts';
import { documentBytes } from '#core/sync/document.ts';
import { signDocument } from '#core/sync/signed.ts';
import { maxPayloadBytes } from '#core/sync/topics.ts';
import type { TrustRoot } from '#core/sync/trust.ts';
import { eachBitTurned, pinnedRoot, testKeys } from './keys.ts';

const refusal = (reason: string) => ({ kind: 'refused', reason });
const command: Command = commandSchema.parse({
  format: 1,
  id: 'a'.repeat(32),
  terminal: 'lobby',
  issuedBy: 'tanaka',
  reason: '来客',
  issuedAtMs: 1_800_000_000_000,
  expiresAtMs: 1_800_000_060_000,
  action: { kind: 'unlock-once', door: 'front' },
});
const signed = (raw: Uint8Array) => signDocument(raw, testKeys.command);

let root: TrustRoot;
beforeAll(async () => {
  root = await pinnedRoot();
});

describe('a command of the server', () => {
  const at = (terminal = 'lobby') => ({ root, terminal });

  it('is believed as it was signed, by the terminal it names', async () => {
    const document = await signed(commandBytes('city', command));
    expect(checkCommand(document, at())).toEqual({ kind: 'accepted', value: command });
    expect(checkCommand(document, at('annex'))).toEqual(refusal('other-terminal'));
  });

  it('of another organization is not believed, though one key stands in the roots of both', async () => {
    const document = await signed(commandBytes('village', command));
    expect(checkCommand(document, at())).toEqual(refusal('other-organization'));
  });

  it('is not believed with any bit turned, unsigned, or from another role', async () => {
    const { raw, signatures } = await signed(commandBytes('city', command));
    for (const turned of eachBitTurned(raw)) {
      expect(checkCommand({ raw: turned, signatures }, at())).toEqual(refusal('signatures-insufficient'));
    }
    for (const signers of [[], testKeys.root, testKeys.policy]) {
      expect(checkCommand(await signDocument(raw, signers), at())).toEqual(
        refusal('signatures-insufficient'),
      );
    }
  });

  it('malformed, too large or of a later format is refused, whoever signed it', async () => {
    const json = JSON.parse(JSON.stringify(command)) as { [member: string]: JsonValue };
    const whole = { type: 'terminal-command', format: 1, organization: 'city', command: json };
    const check = async (value: Parameters<typeof documentBytes>[0]) =>
      checkCommand(await signed(documentBytes(value)), at());
    expect((await check(whole)).kind).toBe('accepted');
    expect(await check({ ...whole, format: 2 })).toEqual(refusal('format-unknown'));
    expect(await check({ ...whole, filler: 'x'.repeat(200_000) })).toEqual(refusal('oversize'));
    for (const wrong of [
      { ...whole, type: 'policy-manifest' },
      { ...whole, more: 1 },
      { ...whole, command: { ...json, expiresAtMs: command.issuedAtMs + 86_400_001 } },
      { ...whole, command: { ...json, expiresAtMs: command.issuedAtMs } },
      { ...whole, command: { ...json, id: 'A'.repeat(32) } },
      { ...whole, command: { ...json, reason: ' 来客 ' } },
      { ...whole, command: { ...json, action: { kind: 'open-sesame' } } },
    ])
      expect(await check(wrong)).toEqual(refusal('malformed'));
  });
});

describe('the result of a command', () => {
  const result: CommandResult = { format: 1, id: 'a'.repeat(32), outcome: 'done' };

  it('is read as it was written', () => {
    expect(readCommandResult(commandResultBytes(result))).toEqual(result);
    expect(readCommandResult(new TextEncoder().encode('{"type":"command-result"}'))).toBeUndefined();
    // an id that no command has, and that no database could look for
    expect(readCommandResult(commandResultBytes({ ...result, id: '\0' }))).toBeUndefined();
    expect(readCommandResult(new Uint8Array([0xff, 0x7b]))).toBeUndefined();
    expect(readCommandResult(new Uint8Array(maxPayloadBytes + 1))).toBeUndefined();
  });

  it('that does not fit a message is cut, and says by how much', () => {
    const holders = Array.from({ length: 20_000 }, (_, n) => ({ holder: `holder-${n}`, sinceMs: n }));
    const rollCall = [
      { zone: 'lab', holders: holders.slice(0, 8_000) },
      { zone: 'yard', holders: holders.slice(8_000) },
    ];
    const bytes = commandResultBytes({ ...result, rollCall });
    expect(bytes.length).toBeLessThanOrEqual(maxPayloadBytes);
    const read = readCommandResult(bytes);
    const told = read?.rollCall?.flatMap((zone) => zone.holders) ?? [];
    const those = new Set(told.map(({ holder }) => holder));
    expect(told).toEqual(holders.filter(({ holder }) => those.has(holder)));
    expect(told.length).toBeGreaterThan(2_000);
    expect(read?.omitted).toBe(20_000 - told.length);
  });
});
