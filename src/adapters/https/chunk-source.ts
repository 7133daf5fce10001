import { Agent } from 'node:https';
import { Fault } from '#core/fault.ts';
import { hashLength, maximumBits } from '#core/sync/bucket.ts';
import { maximumBucketBytes } from '#core/sync/bucket-reading.ts';
import type { DeviceIdentity } from '#core/sync/device-identity.ts';
import { maximumRulesBytes } from '#core/sync/rules-chunk.ts';
import type { ChunkAnswer, ChunkSource } from '#ports/chunk-source.ts';
import type { Clock } from '#ports/clock.ts';
import type { WantedChunk } from '#ports/policy-sync.ts';
import { askInTurn, exchange, type HttpsAnswer, shownBy } from './exchange.ts';

type Asked = Pick<DeviceIdentity, 'servers' | 'authority' | 'certificates' | 'privateKey'>;

export interface HttpsChunkSourceParts {
  /** Asked each time, so that a renewed certificate serves at once. Throws a Fault where there is none to be read. */
  readonly identity: () => Asked;
  readonly clock: Pick<Clock, 'monotonicUs'>;
  /** between 0 and 1, for the scatter of tries */
  readonly random: () => number;
}

/** connections to a server at once */
const atOnce = 4;
/** of one answer; an index of 33 MB over a slow line takes its time */
const withinMs = 120_000;
/** how long a connection is kept that nobody uses */
const keptMs = 20_000;
/** a server that did not answer is asked first again after this */
const preferAgainUs = 300_000_000;
/** after an answer that says nothing of it, or that was lost among others that came */
const usualAfterMs = 2_000;
const mostAfterMs = 600_000;
const mostRootBytes = 2_097_152;
/** no terminal has missed more ceremonies */
const mostRoots = 1_000;
const mostBytes = {
  rules: maximumRulesBytes,
  bucket: maximumBucketBytes,
  index: hashLength * 2 ** maximumBits,
};

/**
 * Parts of policies and roots of trust from the servers of a device, in the order in which they are preferred, over TLS
 * 1.3 with its certificate.
 */
export class HttpsChunkSource implements ChunkSource {
  readonly #parts: HttpsChunkSourceParts;
  #agent: { readonly agent: Agent; readonly certificate: string | undefined } | undefined;
  /** how many of the servers did not answer of late */
  #passedOver: { readonly servers: number; readonly sinceUs: number } | undefined;

  constructor(parts: HttpsChunkSourceParts) {
    this.#parts = parts;
  }

  async fetch(wanted: readonly WantedChunk[]): Promise<readonly ChunkAnswer[]> {
    const answers: ChunkAnswer[] = [];
    let next = 0;
    let failed: { readonly error: unknown } | undefined;
    let later: ChunkAnswer | undefined;
    const worker = async (): Promise<void> => {
      for (let at = next; at < wanted.length && !failed && !later; at = next) {
        next += 1;
        const one = wanted[at];
        if (!one) return;
        try {
          const answer = await this.#chunk(one);
          answers[at] = answer;
          if (answer.kind === 'later') later = answer;
        } catch (error) {
          failed ??= { error };
        }
      }
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    const came = answers.some((answer) => answer?.kind === 'chunk');
    // what came is kept; the rest is asked for again
    if (failed && !came) throw failed.error;
    const rest = later ?? ({ kind: 'later', afterMs: usualAfterMs } as const);
    return wanted.map((_, at) => answers[at] ?? rest);
  }

  async roots(version: number): Promise<readonly Uint8Array[]> {
    const roots: Uint8Array[] = [];
    while (roots.length < mostRoots) {
      const { status, bytes } = await this.#get(`roots/${version + roots.length + 1}`, mostRootBytes);
      if (status === 404) break;
      if (status !== 200) throw unexpected(status);
      roots.push(bytes);
    }
    return roots;
  }

  async #chunk({ kind, hash }: WantedChunk): Promise<ChunkAnswer> {
    const path = kind === 'index' ? 'index' : 'chunks';
    const { status, bytes, retryAfter } = await this.#get(`${path}/${hash}`, mostBytes[kind]);
    if (status === 200) return { kind: 'chunk', bytes };
    if (status === 404) return { kind: 'gone' };
    if (status === 503 || status === 429) return { kind: 'later', afterMs: this.#afterMs(retryAfter) };
    throw unexpected(status);
  }

  /** Not all who were told the same come back at the same moment. */
  #afterMs(retryAfter: string | undefined): number {
    const seconds = /^\d{1,6}$/.test(retryAfter ?? '') ? Number(retryAfter) : usualAfterMs / 1_000;
    const ms = Math.min(mostAfterMs, Math.max(1_000, seconds * 1_000));
    return Math.round(ms * (1 + this.#parts.random() / 2));
  }

  async #get(path: string, mostBytes: number): Promise<HttpsAnswer> {
    const identity = this.#parts.identity();
    const [tls, agent] = [shownBy(identity), this.#agentFor(identity)];
    const first = this.#firstServer(identity.servers.length);
    const servers = [...identity.servers.slice(first), ...identity.servers.slice(0, first)];
    return askInTurn(servers, async (server) => {
      const url = new URL(`/terminal/v1/${path}`, server);
      const answer = await exchange(url, { tls, agent, withinMs, mostBytes });
      this.#answered(identity.servers.indexOf(server));
      return answer;
    });
  }

  #firstServer(count: number): number {
    const passed = this.#passedOver;
    if (!passed || passed.servers >= count) return 0;
    return this.#parts.clock.monotonicUs() - passed.sinceUs < preferAgainUs ? passed.servers : 0;
  }

  /** The one that answers goes on being asked, so that not every question waits for those that do not. */
  #answered(server: number): void {
    if (server === 0) this.#passedOver = undefined;
    else if (this.#passedOver?.servers !== server)
      this.#passedOver = { servers: server, sinceUs: this.#parts.clock.monotonicUs() };
  }

  /** Connections are kept for as long as the certificate that was shown over them is the device's. */
  #agentFor({ certificates: [certificate] }: Asked): Agent {
    if (this.#agent && this.#agent.certificate === certificate) return this.#agent.agent;
    this.#agent?.agent.destroy();
    const agent = new Agent({ keepAlive: true, maxSockets: atOnce, timeout: keptMs });
    this.#agent = { agent, certificate };
    return agent;
  }
}

function unexpected(status: number): Fault {
  const why =
    status === 401 ? 'the server does not admit this terminal' : 'the server does not answer as it should';
  return new Fault('server-unreachable', `${why} (status ${status})`);
}
