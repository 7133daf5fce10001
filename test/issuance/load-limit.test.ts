import type { AddressInfo } from 'node:net';
import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LoadLimit, type Rank } from '#issuance/http/load-limit.ts';

describe('a server that is asked for too much', () => {
  let app: FastifyInstance;
  let limit: LoadLimit;
  let url = '';
  let heldUp = false;
  let nowMs = 0;
  let refused: string[] = [];
  /** requests under way, each with how it ends */
  let serving: (() => void)[] = [];
  let began: () => void = () => undefined;

  beforeEach(async () => {
    [heldUp, nowMs, refused, serving] = [false, 1_000_000, [], []];
    app = Fastify();
    limit = new LoadLimit({
      places: { usual: 5, first: 2 },
      ofOnePeer: { most: 2, peer: (request) => String(request.headers['x-peer']) },
      rank: ({ routeOptions }) => (routeOptions.url ?? '').slice(1) as Rank,
      isHeldUp: () => heldUp,
      refused: (why) => refused.push(why),
      nowMs: () => nowMs,
    });
    limit.protect(app);
    for (const rank of ['first', 'usual', 'last', 'stream']) {
      app.get(`/${rank}`, () => {
        const { promise, resolve } = Promise.withResolvers<string>();
        serving.push(() => resolve('served'));
        began();
        return promise;
      });
    }
    await app.listen({ port: 0, host: '127.0.0.1' });
    url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  });
  afterEach(async () => {
    for (const end of serving) end();
    await app.close();
  });

  let peers = 0;
  const ask = (rank: Rank, peer?: string, signal?: AbortSignal) => {
    peers += 1;
    return fetch(`${url}/${rank}`, {
      headers: { 'x-peer': peer ?? String(peers) },
      ...(signal && { signal }),
    });
  };
  /** One that is under way when this resolves. */
  const begin = async (rank: Rank, peer?: string, signal?: AbortSignal) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    began = resolve;
    const reply = ask(rank, peer, signal);
    reply.catch(() => undefined);
    await promise;
    return { reply };
  };
  const endAll = () => {
    for (const end of serving.splice(0)) end();
  };

  it('serves so many at once, and what comes first besides; nobody who is served is cut', async () => {
    const under = [await begin('usual'), await begin('last')];
    for (let times = 0; times < 3; times += 1) under.push(await begin('usual'));
    for (const rank of ['usual', 'last'] as const) {
      const reply = await ask(rank);
      expect([reply.status, reply.headers.get('content-type')]).toEqual([503, 'application/problem+json']);
      expect(await reply.json()).toMatchObject({ type: 'urn:kazasu:problem:busy' });
    }
    under.push(await begin('first'), await begin('first'));
    expect((await ask('first')).status).toBe(503);
    expect([limit.underWay(), refused]).toEqual([7, ['places', 'places', 'places']]);
    endAll();
    for (const { reply } of under) expect((await reply).status).toBe(200);
    under.splice(0, 7, await begin('usual'));
    endAll();
    expect((await under[0]?.reply)?.status).toBe(200);
  });

  it('counts nobody who went away', async () => {
    const gone = new AbortController();
    for (let times = 0; times < 3; times += 1) await begin('usual', undefined, gone.signal);
    gone.abort();
    await vi.waitFor(() => expect(limit.underWay()).toBe(0));
    const { reply } = await begin('usual');
    endAll();
    expect((await reply).status).toBe(200);
  });

  it('lets one peer take no more than its part, whatever it is for', async () => {
    await begin('last', 'greedy');
    await begin('usual', 'greedy');
    expect((await ask('first', 'greedy')).status).toBe(503);
    expect(refused).toEqual(['peer']);
    await begin('usual', 'other');
  });

  it('leaves most of what comes last for later while it is held up', async () => {
    heldUp = true;
    // a little goes on all the same
    for (let times = 0; times < 4; times += 1) await begin('last');
    expect((await ask('last')).status).toBe(503);
    await begin('usual');
    endAll();
    heldUp = false;
    for (let times = 0; times < 5; times += 1) await begin('last');
    expect(refused).toEqual(['held-up']);
  });

  it('gives streams no place', async () => {
    for (let times = 0; times < 8; times += 1) await begin('stream');
    expect(limit.underWay()).toBe(0);
  });

  it('tells those it does not serve to come back one after another', async () => {
    heldUp = true;
    for (let times = 0; times < 4; times += 1) await begin('usual');
    const told = async () => Number((await ask('last')).headers.get('retry-after'));
    const seconds: number[] = [];
    for (let times = 0; times < 120; times += 1) seconds.push(await told());
    expect([seconds[0], seconds[49], seconds[50], seconds[119]]).toEqual([1, 1, 2, 3]);
    nowMs += 10_000;
    expect(await told()).toBe(1);
  });
});
