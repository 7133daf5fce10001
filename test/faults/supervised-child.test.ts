import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { type Channel, Link, type Offer, Transient } from '#adapters/process/link.ts';
import { SupervisedChild } from '#adapters/process/supervised-child.ts';
import { Fault } from '#core/fault.ts';
import type { ObedientOffer } from './obedient-child.ts';

/** Two ends of a channel that clones what it carries, as a process channel does. */
function linked<A extends Offer, B extends Offer>(offerA: A, offerB: B): { a: Link<B>; b: Link<A> } {
  const channel = (receiver: () => Link<Offer>): Channel => ({
    send: (message) => {
      const copy = structuredClone(message);
      queueMicrotask(() => receiver().receive(copy));
    },
  });
  const a: Link<B> = new Link<B>(
    channel(() => b as unknown as Link<Offer>),
    offerA,
  );
  const b: Link<A> = new Link<A>(
    channel(() => a as unknown as Link<Offer>),
    offerB,
  );
  return { a, b };
}

describe('a link', () => {
  test('carries calls, faults and bugs across', async () => {
    const { a } = linked(
      {},
      {
        double: (value: number) => value * 2,
        fail: (_: undefined): never => {
          throw new Fault('key-unavailable', 'no such key');
        },
        blunder: (_: undefined): never => {
          throw new TypeError('a bug');
        },
      },
    );
    await expect(a.call('double', 21, 1_000)).resolves.toBe(42);
    await expect(a.call('fail', undefined, 1_000)).rejects.toMatchObject({
      code: 'key-unavailable',
      message: 'no such key',
    });
    await expect(a.call('blunder', undefined, 1_000)).rejects.toMatchObject({ code: 'process-lost' });
  });

  test('gives up on an answer that is late, and on all when it is closed', async () => {
    const { a } = linked({}, { never: (_: undefined) => new Promise<void>(() => undefined) });
    await expect(a.call('never', undefined, 1)).rejects.toMatchObject({ code: 'deadline-exceeded' });
    const waiting = a.call('never', undefined, 60_000);
    a.close(new Fault('process-lost', 'gone'));
    await expect(waiting).rejects.toMatchObject({ code: 'process-lost' });
    await expect(a.call('never', undefined, 60_000)).rejects.toMatchObject({ code: 'process-lost' });
  });

  test('takes nothing more once it is closed, such as what a process said before it died', () => {
    const heard: string[] = [];
    const link = new Link({ send: () => undefined }, { tell: (what: string) => heard.push(what) });
    link.receive({ notice: 'tell', argument: 'alive' });
    link.close(new Fault('process-lost', 'gone'));
    link.receive({ notice: 'tell', argument: 'late' });
    link.receive({ call: 1, method: 'tell', argument: 'late' });
    expect(heard).toEqual(['alive']);
  });

  test('zeroes a transient answer once it is sent', async () => {
    const key = Uint8Array.of(1, 2, 3, 4);
    const { a } = linked({}, { key: (_: undefined) => new Transient({ key }, [key]) });
    const received = await a.call('key', undefined, 1_000);
    expect([...received.key]).toEqual([1, 2, 3, 4]);
    expect([...key]).toEqual([0, 0, 0, 0]);
  });

  test('zeroes keys that come late, whether it has given up on them or is closed', async () => {
    let call = 0;
    const link = new Link<{ keys: (_: undefined) => object }>(
      { send: (message) => ({ call } = message as { call: number }) },
      {},
    );
    const late = () => ({ encryption: Uint8Array.of(1, 2), mac: Uint8Array.of(3, 4), count: 2 });
    const [first, second] = [late(), late()];
    await expect(link.call('keys', undefined, 1)).rejects.toMatchObject({ code: 'deadline-exceeded' });
    link.receive({ reply: call, result: first });
    const waiting = link.call('keys', undefined, 60_000);
    link.close(new Fault('process-lost', 'gone'));
    await expect(waiting).rejects.toMatchObject({ code: 'process-lost' });
    link.receive({ reply: call, result: second });
    for (const { encryption, mac } of [first, second]) {
      expect([...encryption, ...mac]).toEqual([0, 0, 0, 0]);
    }
  });
});

describe('a supervised child', () => {
  let child: SupervisedChild<ObedientOffer>;
  let started: () => void;
  let lost: (fault: Fault) => void;
  const losses: Fault[] = [];

  async function begin(environment: Record<string, string> = {}): Promise<void> {
    child = new SupervisedChild<ObedientOffer>({
      module: fileURLToPath(new URL('./obedient-child.ts', import.meta.url)),
      environment,
      offer: { name: () => 'parent' },
      started: async (link) => {
        await (link as unknown as Link<ObedientOffer>).call('echo', 'hello' as never, 5_000);
        started();
      },
      lost: (fault) => {
        losses.push(fault);
        lost?.(fault);
      },
    });
    const ready = nextStart();
    child.start();
    await ready;
  }
  const nextStart = (): Promise<void> => new Promise((resolve) => (started = resolve));
  const nextLoss = (): Promise<Fault> => new Promise((resolve) => (lost = resolve));

  afterEach(() => child.stop());

  test('answers, and asks back', async () => {
    await begin({ KAZASU_TEST: 'set' });
    const bytes = Uint8Array.of(0, 255);
    expect(await child.link().call('echo', { bytes } as never, 1_000)).toEqual({ bytes });
    expect(await child.link().call('environment', 'KAZASU_TEST' as never, 1_000)).toBe('set');
    expect(await child.link().call('ask', undefined as never, 1_000)).toBe('parent');
  });

  test.each([
    ['is killed', (pid: number) => process.kill(pid, 'SIGKILL')],
    ['is stopped in its tracks', (pid: number) => process.kill(pid, 'SIGSTOP')],
    ['hangs', () => child.link().notify('hang', undefined as never)],
    ['leaves', () => child.link().notify('leave', 0 as never)],
  ])('that %s is replaced, and what waited for it is told', async (_what, harm) => {
    await begin();
    const before = child.pid();
    if (before === undefined) throw new Error('no child');
    const [loss, again] = [nextLoss(), nextStart()];
    harm(before);
    const waiting = child
      .link()
      .call('echo', 1 as never, 60_000)
      .catch((error: Fault) => error.code);
    expect((await loss).code).toBe('process-lost');
    expect(['process-lost', 1]).toContain(await waiting);
    await again;
    expect(child.pid()).not.toBe(before);
    expect(await child.link().call('echo', 2 as never, 1_000)).toBe(2);
  });

  test('that is stopped is not replaced, and is gone', async () => {
    await begin();
    const pid = child.pid() ?? 0;
    const lossesBefore = losses.length;
    await child.stop();
    expect(losses.length).toBe(lossesBefore);
    expect(() => process.kill(pid, 0)).toThrow();
    expect(() => child.link()).toThrow(expect.objectContaining({ code: 'process-lost' }));
  });
});
