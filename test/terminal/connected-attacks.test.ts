import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { siteRulesSchema } from '#core/access/site-rules.ts';
import { type Command, type CommandAction, commandSchema } from '#core/sync/command.ts';
import { commandBytes } from '#core/sync/command-message.ts';
import { encodeSigned, type Signer, signDocument } from '#core/sync/signed.ts';
import { downKinds, maxPayloadBytes } from '#core/sync/topics.ts';
import { makeKey, rootContent, signRoot, testKeys } from '../core/sync/keys.ts';
import type { Issued } from '../policy-issuer.ts';
import { ConnectedDevice } from './connected-device.ts';
import { PolicyServer } from './policy-server.ts';

const rules = siteRulesSchema.parse({
  formatVersion: 1,
  organization: 'city',
  profiles: [
    {
      id: 'type-a',
      userNumberFormat: { alphabet: 'uppercase-alphanumeric', minimumLength: 8, maximumLength: 10 },
    },
  ],
  groups: ['staff', 'nobody'],
  doors: [
    {
      id: 'main',
      ageing: { announce: '1 h', reduced: '2 h', closed: '4 h', inReduced: { groups: ['nobody'] } },
    },
  ],
  permissions: [{ group: 'staff', door: 'main' }],
});
const soon = { timeout: 25_000, interval: 10 };

/** Each attack on a terminal that is connected, with the databases, threads and connections that it has in service. */
describe('a connected terminal', () => {
  let server: PolicyServer;
  let device: ConnectedDevice;
  let directory: string;
  /** so that each is issued later than the one before */
  let issues = 0;

  const put = (number: number, status: 'active' | 'suspended' = 'active') =>
    server.issuer.put({
      holderId: `h${number}`,
      status,
      groups: ['staff'],
      cards: [{ profileId: 'type-a', userNumber: userNumber(number), status: 'active' }],
    });
  const userNumber = (number: number) => `USER${String(number).padStart(4, '0')}`;
  const tap = (number: number) => device.tap(userNumber(number));
  const status = () => {
    const told = device.terminal.policySync?.status();
    if (!told) throw new Error('a server looks after it');
    return told;
  };
  const issue = (changes: Parameters<typeof server.issuer.issue>[1] = {}): Promise<Issued> => {
    issues += 1;
    return server.issuer.issue(Date.now() + issues, changes);
  };
  const inForce = async ({ manifest, message }: Issued) => {
    await server.tell('manifest', message, { retain: true });
    await vi.waitFor(
      () => expect(status().installed).toMatchObject({ issuedAtMs: manifest.issuedAtMs }),
      soon,
    );
  };
  /** The reason for which what `send` sends is refused. */
  const refused = async (send: () => Promise<void>): Promise<string> => {
    const before = status().lastRefusal;
    await send();
    return vi.waitFor(() => {
      const last = status().lastRefusal;
      if (last === before || !last) throw new Error('nothing is refused yet');
      return `${last.of} ${last.reason}`;
    }, soon);
  };
  const edit = (sql: string) => {
    const db = new Database(join(directory, 'policy.sqlite'));
    db.prepare(sql).run();
    db.close();
  };

  let commands = 0;
  const command = (action: CommandAction, changes: Partial<Command> = {}): Command => {
    commands += 1;
    return commandSchema.parse({
      ...{ format: 1, id: commands.toString(16).padStart(32, '0'), terminal: 'lobby' },
      ...{ issuedBy: 'desk 3', reason: 'visitor', action },
      ...{ issuedAtMs: Date.now(), expiresAtMs: Date.now() + 60_000, ...changes },
    });
  };
  const documentOf = async (
    given: Command,
    { organization = 'city', signers = testKeys.command as readonly Signer[] } = {},
  ) => encodeSigned(await signDocument(commandBytes(organization, given), signers));
  /** Resolves when it is connected, and what was sent before has been dealt with. */
  const dealtWith = async () => {
    const last = command({ kind: 'diagnostics' });
    const document = await documentOf(last);
    await vi.waitFor(async () => {
      await server.tell('command', document);
      expect(device.commands().map(({ body }) => body.id)).toContain(last.id);
    }, soon);
  };

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'kazasu-attacked-'));
    server = await PolicyServer.start(rules);
    await server.enrol(directory);
    for (let number = 0; number < 100; number += 1) put(number);
    device = await ConnectedDevice.start(directory, 'lobby');
    expect(await tap(1)).toMatchObject({ reason: 'policy-absent' });
    await inForce(await issue());
    put(2, 'suspended');
  });
  afterAll(async () => {
    await device.stop();
    await server.stop();
    rmSync(directory, { recursive: true });
  });

  it('goes by no old manifest', async () => {
    const old = await issue();
    put(3, 'suspended');
    await inForce(await issue());
    expect(await refused(() => server.tell('manifest', old.message))).toBe('manifest older');
    expect(await tap(3)).toMatchObject({ reason: 'holder-suspended' });
    expect(await tap(1)).toMatchObject({ result: 'granted' });
  });

  it.each([
    ['for another terminal', { terminal: 'vault' }, 'other-terminal'],
    ['of another organization', { organization: 'ward' }, 'other-organization'],
    ['that has expired', { expiresAtMs: 1 }, 'expired'],
  ])(
    'goes by no manifest %s',
    async (_, changes, reason) => {
      const issued = await issue();
      const forged = await server.issuer.sign({ ...issued.manifest, version: 1_000, ...changes });
      expect(await refused(() => server.tell('manifest', forged.message))).toBe(`manifest ${reason}`);
      expect(status().installed?.version).toBeLessThan(1_000);
      expect(await tap(1)).toMatchObject({ result: 'granted' });
    },
    90_000,
  );

  it('opens nothing by a policy that has grown too old because the next was held back', async () => {
    await device.stop();
    const elsewhere = mkdtempSync(join(tmpdir(), 'kazasu-attacked-'));
    await server.enrol(elsewhere);
    // the broker hands out the last one still, and nobody the next
    const kept = await server.issuer.issue(Date.now() - 5 * 3_600_000);
    await server.tell('manifest', kept.message, { retain: true });
    device = await ConnectedDevice.start(elsewhere, 'lobby');
    await vi.waitFor(() => expect(status().installed).toBeDefined(), soon);
    expect(await tap(1)).toMatchObject({ result: 'denied', reason: 'policy-too-old' });
    await inForce(await issue());
    expect(await tap(1)).toMatchObject({ result: 'granted' });
    await device.stop();
    rmSync(elsewhere, { recursive: true });
    device = await ConnectedDevice.start(directory, 'lobby');
    await dealtWith();
  });

  it('does a command once, however often it is sent, also after a restart', async () => {
    const document = await documentOf(command({ kind: 'unlock-once', door: 'main' }));
    const before = device.unlocks();
    for (let times = 0; times < 3; times += 1) await server.tell('command', document);
    await dealtWith();
    expect(device.unlocks()).toBe(before + 1);
    await device.stop();
    device = await ConnectedDevice.start(directory, 'lobby');
    await dealtWith();
    await server.tell('command', document);
    await dealtWith();
    expect(device.unlocks()).toBe(0);
  });

  it('does nothing by a command that is late, for another, edited or not of the server', async () => {
    const unlock: CommandAction = { kind: 'unlock-once', door: 'main' };
    const given = command(unlock);
    const edited = Buffer.from(await documentOf(given)).toString();
    const signedAs = (role: 'policy' | 'root') => documentOf(given, { signers: testKeys[role] });
    const before = device.unlocks();
    for (const wrong of [
      await documentOf({ ...given, terminal: 'vault' }),
      await documentOf(given, { organization: 'ward' }),
      Buffer.from(edited.replace(/"payload":"(.*?)A/, '"payload":"$1B')),
      await documentOf(given, { signers: [makeKey()] }),
      await signedAs('policy'),
      await signedAs('root'),
      await documentOf(
        command(unlock, { issuedAtMs: Date.now() - 90_000, expiresAtMs: Date.now() - 30_000 }),
      ),
    ])
      await server.tell('command', wrong);
    await dealtWith();
    expect(device.unlocks()).toBe(before);
    const reasons = device.told().flatMap((body) => (body.of === 'command' ? [body.reason] : []));
    expect(new Set(reasons)).toEqual(
      new Set(['other-terminal', 'other-organization', 'signatures-insufficient']),
    );
    await server.tell('command', await documentOf(given));
    await dealtWith();
    expect(device.unlocks(), 'and the right one still does').toBe(before + 1);
  });

  it('takes no part of a policy that was changed on the way, and takes it once it is as signed', async () => {
    put(4, 'suspended');
    const issued = await issue();
    server.onTheWay = (bytes) =>
      Buffer.from(Buffer.from(bytes).toString().replace('"suspended"', '"active"'));
    const bare = server.issuer.bare(issued);
    expect(await refused(() => server.tell('manifest', bare))).toBe('chunk chunk-altered');
    expect(await tap(4)).toMatchObject({ result: 'granted' });
    server.onTheWay = (bytes) => bytes;
    await inForce(issued);
    expect(await tap(4)).toMatchObject({ reason: 'holder-suspended' });
  });

  it('opens nothing by a database that was edited, and mends it', async () => {
    edit(
      `UPDATE chunks SET bytes = CAST(replace(CAST(bytes AS TEXT), '"suspended"', '"active"') AS BLOB)
       WHERE CAST(bytes AS TEXT) LIKE '%"h4"%'`,
    );
    expect(await tap(4)).toMatchObject({ result: 'denied', fault: 'policy-altered' });
    await vi.waitFor(async () => expect(await tap(4)).toMatchObject({ reason: 'holder-suspended' }), soon);
    await vi.waitFor(() => expect(status().altered).toBe(false), soon);
    const alarms = () => device.told().flatMap((body) => (body.alarm === 'policy-altered' ? [body.on] : []));
    await vi.waitFor(() => expect(alarms()).toEqual([true, false]), soon);
  });

  it('opens nothing by a database that was put back, until its server has said what counts', async () => {
    const file = join(directory, 'policy.sqlite');
    await device.stop();
    copyFileSync(file, `${file}.old`);
    device = await ConnectedDevice.start(directory, 'lobby');
    put(5, 'suspended');
    const last = await issue();
    await inForce(last);
    await device.stop();
    // the broker has forgotten what it kept
    await server.tell('manifest', new Uint8Array(), { retain: true });
    for (const end of ['-wal', '-shm']) rmSync(file + end, { force: true });
    copyFileSync(`${file}.old`, file);
    device = await ConnectedDevice.start(directory, 'lobby');
    expect(status().altered).toBe(true);
    for (const number of [1, 5]) expect(await tap(number)).toMatchObject({ fault: 'policy-altered' });
    await inForce(last);
    expect(await tap(5)).toMatchObject({ reason: 'holder-suspended' });
    expect(await tap(1)).toMatchObject({ result: 'granted' });
  });

  it('revokes nobody by an old revocation whom a later policy admits again', async () => {
    const revocation = await server.issuer.revoke(['h6']);
    await server.tell('revocation', revocation);
    await vi.waitFor(async () => expect(await tap(6)).toMatchObject({ reason: 'holder-suspended' }), soon);
    await inForce(await issue());
    expect(await tap(6)).toMatchObject({ result: 'granted' });
    // sent again by whoever kept it; what comes after it says that it was heard
    await server.tell('revocation', revocation);
    expect(await refused(() => server.tell('revocation', new Uint8Array(9)))).toBe('revocation malformed');
    expect(await tap(6)).toMatchObject({ result: 'granted' });
  });

  it('goes on through whatever a broker may send', async () => {
    const junk = [new Uint8Array(), new Uint8Array(maxPayloadBytes).fill(0x7b), Buffer.from('{"format":1}')];
    for (const kind of downKinds) for (const payload of junk) await server.tell(kind, payload);
    put(7, 'suspended');
    await inForce(await issue());
    expect(await tap(7)).toMatchObject({ reason: 'holder-suspended' });
    expect(await tap(1)).toMatchObject({ result: 'granted' });
  });

  it('is taken back from a thief of the keys by the next root', async () => {
    const most = Number.MAX_SAFE_INTEGER;
    put(666);
    const stolen = await issue();
    await inForce(await server.issuer.sign({ ...stolen.manifest, version: most, changeNumber: most }));
    expect(await tap(666)).toMatchObject({ result: 'granted' });
    const stolenKeys = server.issuer.signers;
    const keys = [makeKey()];
    const root = await signRoot(rootContent({ version: 2 }, { policy: keys }), testKeys.root.slice(0, 2));
    server.issuer.newRoots = [encodeSigned(root)];
    server.issuer.signers = keys;
    server.issuer.rootVersion = 2;
    server.issuer.remove('h666');
    await server.tell('revocation', await server.issuer.revoke(['h8']));
    const { manifest } = await issue({ version: 500 });
    await inForce(await server.issuer.sign({ ...manifest, rootVersion: 2 }));
    expect(await tap(666)).toMatchObject({ reason: 'user-number-unknown' });
    expect(await tap(1)).toMatchObject({ result: 'granted' });
    expect(status()).toMatchObject({ rootVersion: 2, altered: false });
    // neither the old keys nor those of another role say anything any more
    for (const signers of [stolenKeys, testKeys.command]) {
      server.issuer.signers = signers;
      await server.tell('revocation', await server.issuer.revoke(['h1']));
    }
    await refused(() => server.tell('revocation', new Uint8Array(9)));
    expect(await tap(1)).toMatchObject({ result: 'granted' });
  });
});
