import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { refuse } from './problem.ts';

/**
 * What comes first where not everything can be served: `first`, such as a suspension, also has the places that are kept
 * free; `last`, such as parts of policies, is served while nothing else is held up. `stream` takes no place.
 */
export type Rank = 'first' | 'usual' | 'last' | 'stream';

export interface LoadLimitParts {
  /** requests under way at once, and how many more for what comes first */
  readonly places: { readonly usual: number; readonly first: number };
  /** requests under way at once of one peer; where absent peers are not told apart */
  readonly ofOnePeer?: { readonly most: number; readonly peer: (request: FastifyRequest) => string };
  readonly rank: (request: FastifyRequest) => Rank;
  /** Whether this process is held up, so that what comes last must add little to it. */
  readonly isHeldUp?: () => boolean;
  /** A request was refused; for metrics. */
  readonly refused: (why: 'places' | 'peer' | 'held-up') => void;
  readonly nowMs: () => number;
}

/** while it is held up, what comes last still goes on, a little at a time: a machine that is always slow gets there too */
const whileHeldUp = 4;
/** those who were told to come later come back so many a second */
const returnsPerSecond = 50;
const soonestSeconds = 1;
const latestSeconds = 300;

/**
 * Bounds what a server does at once. Whom it does not serve it tells when to come back: each a little later than the
 * one before, so that those who were refused together do not come together. Nobody who is being served is cut.
 */
export class LoadLimit {
  readonly #parts: LoadLimitParts;
  readonly #ofPeers = new Map<string, number>();
  #underWay = 0;
  #nextReturnMs = 0;

  constructor(parts: LoadLimitParts) {
    this.#parts = parts;
  }

  /** Requests under way. */
  underWay(): number {
    return this.#underWay;
  }

  /** Asks before each request of `app`. To be called before routes are added. */
  protect(app: FastifyInstance): void {
    app.addHook('onRequest', async (request, reply) => {
      const rank = this.#parts.rank(request);
      if (rank === 'stream') return;
      const peer = this.#parts.ofOnePeer?.peer(request);
      const why = this.#refusal(rank, peer);
      if (!why) return this.#serve(reply, peer);
      this.#parts.refused(why);
      return refuse(reply.header('retry-after', this.#returnAfterSeconds()), 'busy');
    });
  }

  #refusal(rank: Rank, peer: string | undefined): Parameters<LoadLimitParts['refused']>[0] | undefined {
    const { places, ofOnePeer, isHeldUp } = this.#parts;
    if (this.#underWay >= places.usual + (rank === 'first' ? places.first : 0)) return 'places';
    if (ofOnePeer && (this.#ofPeers.get(peer ?? '') ?? 0) >= ofOnePeer.most) return 'peer';
    const waits = rank === 'last' && this.#underWay >= whileHeldUp && isHeldUp?.();
    return waits ? 'held-up' : undefined;
  }

  #serve(reply: FastifyReply, peer: string | undefined): void {
    this.#count(peer, 1);
    // also where whoever asked went away
    reply.raw.once('close', () => this.#count(peer, -1));
  }

  #count(peer: string | undefined, more: 1 | -1): void {
    this.#underWay += more;
    if (peer === undefined) return;
    const count = (this.#ofPeers.get(peer) ?? 0) + more;
    if (count === 0) this.#ofPeers.delete(peer);
    else this.#ofPeers.set(peer, count);
  }

  #returnAfterSeconds(): number {
    const nowMs = this.#parts.nowMs();
    const latestMs = nowMs + 1_000 * latestSeconds;
    this.#nextReturnMs = Math.max(nowMs, this.#nextReturnMs) + 1_000 / returnsPerSecond;
    // once everybody is as late as can be, they are spread over that time anew
    if (this.#nextReturnMs > latestMs) this.#nextReturnMs = nowMs;
    return Math.max(soonestSeconds, Math.ceil((this.#nextReturnMs - nowMs) / 1_000));
  }
}
