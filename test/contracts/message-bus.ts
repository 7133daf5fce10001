import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TerminalIdentity } from '#core/sync/terminal-identity.ts';
import { maxPayloadBytes } from '#core/sync/topics.ts';
import type { Intake, TakenMessage } from '#ports/intake.ts';
import type { BusState, DownMessage, MessageBus } from '#ports/message-bus.ts';
import { Seen } from './seen.ts';

/** A broker with both ports on it, for one test. */
export interface BusRig {
  bus(identity: TerminalIdentity): MessageBus;
  intake(): Intake;
  /** Takes the broker away, with what it holds in memory. */
  fail(): Promise<void>;
  recover(): Promise<void>;
  stop(): Promise<void>;
  /** nothing is retained */
  readonly keepsNothing?: true;
}

const lobby: TerminalIdentity = { organization: 'city', terminal: 'lobby' };
const vault: TerminalIdentity = { organization: 'city', terminal: 'vault' };
/** the same name in another organization */
const foreign: TerminalIdentity = { organization: 'ward', terminal: 'lobby' };

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (payload: Uint8Array): string => new TextDecoder().decode(payload);

interface BusUser {
  readonly bus: MessageBus;
  readonly states: Seen<BusState>;
  readonly received: Seen<DownMessage>;
}

interface IntakeUser {
  readonly intake: Intake;
  readonly states: Seen<BusState>;
  readonly taken: Seen<TakenMessage>;
}

const connected = ({ states }: { readonly states: Seen<BusState> }, times = 1) =>
  states.until((all) => all.filter(({ kind }) => kind === 'connected').length >= times);
const away = ({ states }: { readonly states: Seen<BusState> }) =>
  states.until((all) => all.at(-1)?.kind === 'away');

/** One suite for every broker and for the simulator. */
export function describeMessageBus(name: string, openRig: () => Promise<BusRig>): void {
  describe(`message bus and intake: ${name}`, () => {
    let rig: BusRig;
    const running: { stop(): Promise<void> }[] = [];

    async function startBus(
      identity: TerminalIdentity,
      hold: (message: DownMessage) => Promise<void> = async () => undefined,
    ): Promise<BusUser> {
      const user = {
        bus: rig.bus(identity),
        states: new Seen<BusState>(),
        received: new Seen<DownMessage>(),
      };
      running.push(user.bus);
      await user.bus.start({
        received: async (message) => {
          user.received.add(message);
          await hold(message);
        },
        changed: user.states.add,
      });
      return user;
    }

    async function startIntake(
      hold: (batch: readonly TakenMessage[]) => Promise<void> = async () => undefined,
    ): Promise<IntakeUser> {
      const user = { intake: rig.intake(), states: new Seen<BusState>(), taken: new Seen<TakenMessage>() };
      running.push(user.intake);
      await user.intake.start({
        consume: async (batch) => {
          await hold(batch);
          for (const message of batch) user.taken.add(message);
        },
        changed: user.states.add,
      });
      await connected(user);
      return user;
    }

    beforeEach(async () => {
      rig = await openRig();
    });
    afterEach(async () => {
      for (const user of running.splice(0)) await user.stop();
      await rig.stop();
    });

    it('brings what terminals tell to the server, each in order and with its name', async () => {
      const server = await startIntake();
      const users = await Promise.all([lobby, vault, foreign].map((identity) => startBus(identity)));
      await Promise.all(users.map((user) => connected(user)));
      for (let i = 0; i < 20; i += 1) {
        const outcomes = users.map(({ bus }) => bus.publish({ kind: 'live', payload: bytes(`${i}`) }));
        expect(await Promise.all(outcomes)).toEqual(['taken', 'taken', 'taken']);
      }
      await server.taken.atLeast(60);
      for (const identity of [lobby, vault, foreign]) {
        const own = server.taken.all.filter(({ from }) => JSON.stringify(from) === JSON.stringify(identity));
        expect(own.map(({ payload }) => text(payload))).toEqual(Array.from({ length: 20 }, (_, i) => `${i}`));
        expect(own.every(({ kind }) => kind === 'live')).toBe(true);
      }
    });

    it('brings what the server tells to the one terminal alone, in order', async () => {
      const { intake } = await startIntake();
      const [mine, other, namesake] = await Promise.all([lobby, vault, foreign].map((one) => startBus(one)));
      if (!mine || !other || !namesake) throw new Error('three were started');
      await Promise.all([connected(mine), connected(other), connected(namesake)]);
      for (let i = 0; i < 20; i += 1) {
        expect(await intake.publish({ to: lobby, kind: 'command', payload: bytes(`${i}`) })).toBe('taken');
      }
      await mine.received.atLeast(20);
      expect(mine.received.all.map(({ payload }) => text(payload))).toEqual(
        Array.from({ length: 20 }, (_, i) => `${i}`),
      );
      // what is told to the others now comes after anything that had gone astray
      await intake.publish({ to: vault, kind: 'ack', payload: bytes('last') });
      await intake.publish({ to: foreign, kind: 'ack', payload: bytes('last') });
      await Promise.all([other.received.atLeast(1), namesake.received.atLeast(1)]);
      for (const { received } of [other, namesake]) {
        expect(received.all.map(({ kind, payload }) => [kind, text(payload)])).toEqual([['ack', 'last']]);
      }
    });

    it('gives what is retained to a terminal that comes later, and the last of it alone, where it keeps anything', async () => {
      const { intake } = await startIntake();
      await intake.publish({ to: lobby, kind: 'manifest', payload: bytes('1'), retain: true });
      await intake.publish({ to: lobby, kind: 'manifest', payload: bytes('2'), retain: true });
      const user = await startBus(lobby);
      await connected(user);
      await intake.publish({ to: lobby, kind: 'ack', payload: bytes('last') });
      await user.received.until((all) => all.some(({ kind }) => kind === 'ack'));
      expect(user.received.all.map(({ kind, payload }) => [kind, text(payload)])).toEqual([
        ...(rig.keepsNothing ? [] : [['manifest', '2']]),
        ['ack', 'last'],
      ]);
    });

    it('hands one message after another to whoever receives', async () => {
      const { intake } = await startIntake();
      let atOnce = 0;
      let most = 0;
      const user = await startBus(lobby, async () => {
        atOnce += 1;
        most = Math.max(most, atOnce);
        await new Promise((resolve) => setImmediate(resolve));
        atOnce -= 1;
      });
      await connected(user);
      await Promise.all(
        Array.from({ length: 10 }, () => intake.publish({ to: lobby, kind: 'ack', payload: bytes('x') })),
      );
      await user.received.atLeast(10);
      expect(most).toBe(1);
    });

    it('brings the next message after one that could not be taken', async () => {
      const { intake } = await startIntake();
      const user = await startBus(lobby, () => Promise.reject(new Error('the disk is full')));
      await connected(user);
      for (const payload of ['1', '2']) {
        await intake.publish({ to: lobby, kind: 'ack', payload: bytes(payload) });
      }
      await user.received.atLeast(2);
      expect(user.received.all.map(({ payload }) => text(payload))).toEqual(['1', '2']);
    });

    it('commits one batch after another, and goes on after one that could not be committed', async () => {
      let atOnce = 0;
      let most = 0;
      let failing = true;
      const refused = new Seen<string>();
      const server = await startIntake(async (batch) => {
        atOnce += 1;
        most = Math.max(most, atOnce);
        await new Promise((resolve) => setImmediate(resolve));
        atOnce -= 1;
        if (!failing) return;
        for (const { payload } of batch) refused.add(text(payload));
        throw new Error('the disk is full');
      });
      const user = await startBus(lobby);
      await connected(user);
      await user.bus.publish({ kind: 'journal', payload: bytes('first') });
      await refused.atLeast(1);
      failing = false;
      // nothing is told to the terminal by the bus: it sends again what was not acknowledged
      for (let i = 0; i < 10; i += 1) await user.bus.publish({ kind: 'journal', payload: bytes(`${i}`) });
      await server.taken.until((all) => all.some(({ payload }) => text(payload) === '9'));
      expect(most).toBe(1);
    });

    it('says that the broker is away, and finds it again by itself', async () => {
      const server = await startIntake();
      const user = await startBus(lobby);
      await connected(user);
      await rig.fail();
      await Promise.all([away(user), away(server)]);
      expect(await user.bus.publish({ kind: 'live', payload: bytes('lost') })).toBe('away');
      expect(await server.intake.publish({ to: lobby, kind: 'ack', payload: bytes('lost') })).toBe('away');
      await rig.recover();
      await Promise.all([connected(user, 2), connected(server, 2)]);
      expect(await user.bus.publish({ kind: 'live', payload: bytes('again') })).toBe('taken');
      expect(await server.intake.publish({ to: lobby, kind: 'ack', payload: bytes('again') })).toBe('taken');
      await Promise.all([server.taken.atLeast(1), user.received.atLeast(1)]);
      expect(server.taken.all.map(({ payload }) => text(payload))).toEqual(['again']);
      expect(user.received.all.map(({ payload }) => text(payload))).toEqual(['again']);
    });

    it('starts while the broker is away', async () => {
      await rig.fail();
      const user = await startBus(lobby);
      expect(await user.bus.publish({ kind: 'live', payload: bytes('x') })).toBe('away');
      await rig.recover();
      await connected(user);
      expect(await user.bus.publish({ kind: 'live', payload: bytes('x') })).toBe('taken');
    });

    it('carries the largest payload, and refuses a larger one before it is sent', async () => {
      const server = await startIntake();
      const user = await startBus(lobby);
      await connected(user);
      const largest = new Uint8Array(maxPayloadBytes).fill(0xa5);
      expect(await user.bus.publish({ kind: 'journal', payload: largest })).toBe('taken');
      expect(await server.intake.publish({ to: lobby, kind: 'manifest', payload: largest })).toBe('taken');
      await Promise.all([server.taken.atLeast(1), user.received.atLeast(1)]);
      expect(Buffer.from(server.taken.last()?.payload ?? []).equals(largest)).toBe(true);
      expect(Buffer.from(user.received.last()?.payload ?? []).equals(largest)).toBe(true);
      const larger = new Uint8Array(maxPayloadBytes + 1);
      await expect(user.bus.publish({ kind: 'journal', payload: larger })).rejects.toThrow(TypeError);
      await expect(server.intake.publish({ to: lobby, kind: 'ack', payload: larger })).rejects.toThrow(
        TypeError,
      );
    });

    it('says `full` to whoever publishes more than can wait, and takes more later', async () => {
      let release = (): void => undefined;
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      const server = await startIntake(() => held);
      const user = await startBus(lobby);
      await connected(user);
      const outcomes = await Promise.all(
        Array.from({ length: 3_000 }, () => user.bus.publish({ kind: 'live', payload: bytes('x') })),
      );
      expect(outcomes).toContain('full');
      release();
      const taken = outcomes.filter((outcome) => outcome === 'taken').length;
      expect(taken).toBeGreaterThan(0);
      await server.taken.atLeast(taken);
      expect(await user.bus.publish({ kind: 'live', payload: bytes('y') })).toBe('taken');
    });

    it('is silent once stopped, and can be started again', async () => {
      const server = await startIntake();
      const user = await startBus(lobby);
      await connected(user);
      await user.bus.stop();
      expect(await user.bus.publish({ kind: 'live', payload: bytes('x') })).toBe('away');
      await server.intake.publish({ to: lobby, kind: 'command', payload: bytes('unheard') });
      const again = await startBus(lobby);
      await connected(again);
      await server.intake.publish({ to: lobby, kind: 'command', payload: bytes('heard') });
      await again.received.atLeast(1);
      expect(again.received.all.map(({ payload }) => text(payload))).toEqual(['heard']);
      expect(user.received.all).toEqual([]);
    });
  });
}
