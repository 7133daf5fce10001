import { monitorEventLoopDelay } from 'node:perf_hooks';
import { decodeSigned } from '#core/sync/signed.ts';
import { pinTrustRoot, type TrustRoot } from '#core/sync/trust.ts';
import type { Clock } from '#ports/clock.ts';
import type { DownMessage } from '#ports/message-bus.ts';
import { clockErrorOf } from './clock-error.ts';
import type { FleetPlan, FleetPrepared, FleetReport, FleetStatus } from './fleet-protocol.ts';
import { type FleetEvent, FleetTerminal } from './fleet-terminal.ts';
import { type PlannedBatch, planBatches } from './journal-plan.ts';
import { NetworkFaults, type Passage } from './network-faults.ts';
import { seededRandom } from './random.ts';

/** what is kept of what must never be */
const mostWrong = 100;
const notBegun = -1_000_000_000;

/** A fleet in this process. Everything that chance decides comes from the seed of the plan. */
export class FleetRun {
  readonly #plan: FleetPlan;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #terminals: FleetTerminal[] = [];
  readonly #batches: (readonly PlannedBatch[])[] = [];
  readonly #rows: (readonly [dueMs: number, sentMs: number, storedMs: number, entries: number])[] = [];
  readonly #told = new Map<DownMessage['kind'], number>();
  readonly #withPolicy = new Set<string>();
  readonly #revoked = new Map<string, number[]>();
  readonly #lost = new Map<string, number>();
  readonly #wrong: string[] = [];
  readonly #delay = monitorEventLoopDelay({ resolution: 5 });
  #network: NetworkFaults | undefined;
  #connected = 0;
  #allConnected = Promise.withResolvers<void>();
  #beganUs: number | undefined;

  constructor(parts: { readonly plan: FleetPlan; readonly clock: Clock }) {
    this.#plan = parts.plan;
    this.#clock = parts.clock;
    this.#random = seededRandom(parts.plan.seed);
  }

  /** Makes everything that is sent. */
  async prepare(): Promise<FleetPrepared> {
    const { tasks, passagesInBatch, disturbed, broker } = this.#plan;
    if (disturbed) this.#network = new NetworkFaults({ target: broker });
    const port = await this.#network?.start();
    const beginsAtMs = this.#clock.utcMs();
    const root = rootOf(this.#plan.root);
    for (const { member, atMs } of tasks) {
      const clockError = clockErrorOf(this.#random);
      const { organization, terminal, deviceKey, devicePublicKey } = member;
      const incarnation = `fleet-${this.#plan.seed}-${terminal}`;
      const batches = planBatches({
        identity: { organization, terminal },
        incarnation,
        deviceKey,
        devicePublicKey,
        beginsAtMs,
        clock: clockError,
        atMs,
        passagesInBatch,
      });
      this.#batches.push(batches);
      this.#terminals.push(
        new FleetTerminal({
          member,
          broker: port === undefined ? broker : { host: broker.host, port },
          incarnation,
          batches,
          clock: this.#clock,
          clockError,
          random: this.#random,
          nowMs: () => this.#nowMs(),
          stored: (batch, sentAtMs) => this.#rows.push([batch.dueMs, sentAtMs, this.#nowMs(), batch.entries]),
          told: (event) => this.#happened(terminal, event),
          root,
          revoked: (holders) => this.#hasRevoked(holders),
          wrong: (what) => this.#isWrong(`${terminal}: ${what}`),
        }),
      );
    }
    const all = this.#batches.flat();
    return {
      batches: all.length,
      entries: all.reduce((sum, { entries }) => sum + entries, 0),
      bytes: all.reduce((sum, { payload }) => sum + payload.length, 0),
    };
  }

  /** Resolves when all are connected. */
  async connect(overMs: number): Promise<void> {
    const apartMs = overMs / this.#terminals.length;
    for (const [at, terminal] of this.#terminals.entries()) {
      this.#clock.after(at * apartMs, () => void terminal.start());
    }
    await this.#allConnected.promise;
  }

  begin(): void {
    this.#beganUs = this.#clock.monotonicUs();
    this.#delay.enable();
    for (const terminal of this.#terminals) terminal.begin();
  }

  /** Whether the network is there; without one that can be disturbed it always is. */
  network(open: boolean): void {
    if (this.#network) this.#network.open = open;
  }

  /** Resolves to how many connections were cut. */
  cut(share: number): number {
    return this.#network?.cut(share, this.#random) ?? 0;
  }

  /** Resolves to how many connections pass so from now on. */
  pass(passage: Passage, share: number): number {
    return this.#network?.pass(passage, share, this.#random) ?? 0;
  }

  status(): FleetStatus {
    return {
      atMs: this.#nowMs(),
      connected: this.#connected,
      due: this.#due(),
      stored: this.#rows.length,
      withPolicy: this.#withPolicy.size,
    };
  }

  report(): FleetReport {
    const column = (at: 0 | 1 | 2 | 3) => this.#rows.map((row) => row[at]);
    return {
      dueMs: Float64Array.from(column(0)),
      sentMs: Float64Array.from(column(1)),
      storedMs: Float64Array.from(column(2)),
      entries: Uint32Array.from(column(3)),
      missing: this.#due() - this.#rows.length,
      told: this.#told,
      revoked: this.#revoked,
      lost: this.#lost,
      wrong: this.#wrong,
      lateMs: this.#delay.percentile(99) / 1e6 - 5,
      memoryBytes: process.memoryUsage().rss,
    };
  }

  async stop(): Promise<void> {
    this.#delay.disable();
    await Promise.all(this.#terminals.map((terminal) => terminal.stop()));
    await this.#network?.stop();
  }

  #due(): number {
    const nowMs = this.#nowMs();
    return this.#batches.reduce(
      (sum, batches) => sum + batches.filter(({ dueMs }) => dueMs <= nowMs).length,
      0,
    );
  }

  #nowMs(): number {
    return this.#beganUs === undefined ? notBegun : (this.#clock.monotonicUs() - this.#beganUs) / 1_000;
  }

  #happened(terminal: string, event: FleetEvent): void {
    if (event.kind === 'connected') {
      this.#connected += 1;
      if (this.#connected === this.#terminals.length) this.#allConnected.resolve();
    } else if (event.kind === 'lost') {
      if (event.wasConnected) this.#connected -= 1;
      const why = event.fault ?? 'stopped';
      this.#lost.set(why, (this.#lost.get(why) ?? 0) + 1);
    } else {
      if (event.kind === 'manifest') this.#withPolicy.add(terminal);
      this.#told.set(event.kind, (this.#told.get(event.kind) ?? 0) + 1);
    }
  }

  #hasRevoked(holders: readonly string[]): void {
    const nowMs = performance.timeOrigin + performance.now();
    for (const holder of holders) {
      const moments = this.#revoked.get(holder) ?? [];
      moments.push(nowMs);
      this.#revoked.set(holder, moments);
    }
  }

  #isWrong(what: string): void {
    if (this.#wrong.length < mostWrong) this.#wrong.push(what);
  }
}

function rootOf(signed: Uint8Array | undefined): TrustRoot | undefined {
  if (!signed) return undefined;
  const read = decodeSigned(signed);
  const root = read.kind === 'accepted' ? pinTrustRoot(read.value) : read;
  if (root.kind === 'refused') throw new Error(`the root of trust is ${root.reason}`);
  return root.value;
}
