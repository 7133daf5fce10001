import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { parseDevicePublicKey } from '#core/crypto/device-signature.ts';
import { encodeAcknowledgement } from '#core/sync/journal-acknowledgement.ts';
import { decodeJournalBatch } from '#core/sync/journal-batch.ts';
import { checkBatch } from '#issuance/journal/checked-batch.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { clockErrorOf } from '#simulators/fleet/clock-error.ts';
import { busiestMs, dayNames, passagesOf, steadyPassages } from '#simulators/fleet/days.ts';
import { FleetUpload } from '#simulators/fleet/fleet-upload.ts';
import { type PlannedBatch, planBatches } from '#simulators/fleet/journal-plan.ts';
import { NetworkFaults } from '#simulators/fleet/network-faults.ts';
import { seededRandom } from '#simulators/fleet/random.ts';

const identity = { organization: 'city', terminal: 't-1' };
const beginsAtMs = 1_775_000_000_000;

function plan(atMs: readonly number[], passagesInBatch = 1) {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const devicePublicKey = publicKey.export({ format: 'pem', type: 'spki' }).toString();
  const batches = planBatches({
    identity,
    incarnation: 'fleet-1',
    deviceKey: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    devicePublicKey,
    beginsAtMs,
    clock: { shows: (utcMs) => utcMs, state: 'trusted' },
    atMs,
    passagesInBatch,
  });
  return { batches, devicePublicKey };
}

describe('a day at a fleet', () => {
  const day = { people: 2_000, terminals: 20, seed: 7, fromMs: 0, toMs: 86_400_000 };

  it.each(dayNames)('of %s is the same for the same seed, in order, and busiest when it says', (name) => {
    const passages = passagesOf(name, day);
    expect(passagesOf(name, day)).toEqual(passages);
    expect(passagesOf(name, { ...day, seed: 8 })).not.toEqual(passages);
    for (const at of passages) expect(at).toEqual([...at].sort((a, b) => a - b));
    const all = passages.flat();
    expect(all.length).toBeGreaterThanOrEqual(day.people);
    const soonAfter = (fromMs: number) => all.filter((at) => at >= fromMs && at < fromMs + 600_000).length;
    expect(soonAfter(busiestMs[name])).toBeGreaterThan(30);
    expect(soonAfter(busiestMs[name])).toBeGreaterThan(2 * soonAfter(busiestMs[name] - 3.5 * 3_600_000));
  });

  it('gives the part that is asked for', () => {
    const fromMs = busiestMs.office;
    const part = passagesOf('office', { ...day, fromMs, toMs: fromMs + 60_000 });
    const whole = passagesOf('office', day);
    expect(part.map((at) => at.map((ms) => ms + fromMs))).toEqual(
      whole.map((at) => at.filter((ms) => ms >= fromMs && ms < fromMs + 60_000)),
    );
  });

  it('of a limit test has as many passages as it says', () => {
    const passages = steadyPassages([100, 400], { terminals: 5, stepMs: 10_000, seed: 3 }).flat();
    const first = passages.filter((at) => at < 10_000).length;
    expect(first).toBeGreaterThan(850);
    expect(first).toBeLessThan(1_150);
    expect(passages.length - first).toBeGreaterThan(3_700);
    expect(Math.max(...passages)).toBeLessThan(20_000);
  });
});

it('clocks of a fleet are mostly right, and some are far off', () => {
  const random = seededRandom(1);
  const off = Array.from({ length: 1_000 }, () => {
    const clock = clockErrorOf(random);
    return { ms: Math.abs(clock.shows(beginsAtMs) - beginsAtMs), state: clock.state };
  });
  expect(off.filter(({ ms }) => ms < 5_000).length).toBeGreaterThan(920);
  expect(off.some(({ ms }) => ms > 365 * 86_400_000)).toBe(true);
  expect(off.every(({ ms, state }) => ms < 600_000 || state === 'untrusted')).toBe(true);
});

it('batches that are made beforehand are what the server takes', () => {
  const { batches, devicePublicKey } = plan([0, 10, 500, 501, 9_000], 2);
  const key = parseDevicePublicKey(devicePublicKey);
  const keys = new Map(key ? [[key.keyId, key]] : []);
  expect(batches.map(({ dueMs, last, entries }) => [dueMs, last, entries])).toEqual([
    [10, 4, 4],
    [501, 8, 4],
    [9_000, 10, 2],
  ]);
  for (const { payload, hash } of batches) {
    const read = decodeJournalBatch(payload, identity);
    if (read.kind === 'refused') throw new Error(read.reason);
    const checked = checkBatch(read.value, keys);
    expect(checked.wrong).toEqual([]);
    expect(checked.entries.flatMap(({ wrong }) => wrong)).toEqual([]);
    expect(checked.entries.at(-1)?.hashText).toBe(hash);
  }
  expect(decodeJournalBatch(batches.at(-1)?.payload ?? new Uint8Array(), identity)).toMatchObject({
    value: { checkpoints: [{}] },
  });
});

describe('the upload of a simulated terminal', () => {
  const { batches } = plan(Array.from({ length: 30 }, (_, at) => 100 * at));

  function upload(clock: SimulatedClock, publish: (batch: PlannedBatch) => void) {
    const stored: [dueMs: number, sentAtMs: number][] = [];
    const wrong: string[] = [];
    const beganUs = clock.monotonicUs();
    const own = new FleetUpload({
      identity,
      incarnation: 'fleet-1',
      batches,
      clock,
      random: () => 0.5,
      nowMs: () => (clock.monotonicUs() - beganUs) / 1_000,
      publish: async (payload) => {
        const batch = batches.find((one) => one.payload === payload);
        if (batch) publish(batch);
        return 'taken';
      },
      stored: (batch, sentAtMs) => stored.push([batch.dueMs, sentAtMs]),
      wrong: (what) => wrong.push(what),
    });
    return { own, stored, wrong };
  }
  const acknowledge = (batch: PlannedBatch, credit: number, returnAfterMs = 0) =>
    encodeAcknowledgement({
      ...identity,
      position: { incarnation: 'fleet-1', sequence: batch.last, hash: batch.hash },
      signedThrough: 0,
      credit,
      returnAfterMs,
    });

  it('sends each batch from its moment on, as many as it has credit for', () => {
    const clock = new SimulatedClock({ utcMs: beginsAtMs });
    const sent: PlannedBatch[] = [];
    const { own, stored, wrong } = upload(clock, (batch) => sent.push(batch));
    own.connected();
    expect(sent).toEqual(batches.slice(0, 1));
    clock.advance(450);
    expect([sent.length, own.backlog()]).toEqual([1, 10]);
    own.acknowledged(acknowledge(batches[0] as PlannedBatch, 3));
    expect(sent).toEqual(batches.slice(0, 4));
    // who is told to return later does
    own.acknowledged(acknowledge(batches[3] as PlannedBatch, 8, 1_000));
    clock.advance(1_400);
    expect(sent.length).toBe(4);
    clock.advance(200);
    expect(sent.length).toBe(12);
    expect(stored).toEqual([
      [0, 0],
      [100, 450],
      [200, 450],
      [300, 450],
    ]);
    expect(wrong).toEqual([]);
  });

  it('sends again what nobody answers, also after a connection was lost in the meantime', () => {
    const clock = new SimulatedClock({ utcMs: beginsAtMs });
    const sent: PlannedBatch[] = [];
    const { own } = upload(clock, (batch) => sent.push(batch));
    own.connected();
    own.lost();
    own.connected();
    clock.advance(60_000);
    const [first] = batches as [PlannedBatch];
    expect(sent).toEqual([first, first, first]);
  });

  it('says what must never be', () => {
    const { own, wrong } = upload(new SimulatedClock({ utcMs: beginsAtMs }), () => undefined);
    own.connected();
    const [first, second] = batches as [PlannedBatch, PlannedBatch];
    own.acknowledged(acknowledge({ ...first, hash: second.hash }, 1));
    own.acknowledged(acknowledge({ ...first, last: 0 }, 1));
    own.acknowledged(Uint8Array.of(1));
    expect(wrong).toEqual([
      'another history is stored',
      'the server went back from 2 to 0',
      'an acknowledgement is malformed',
    ]);
  });

  it('has everything stored whatever is lost', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('kept', 'lost', 'cut'), { maxLength: 40 }), (fates) => {
        const clock = new SimulatedClock({ utcMs: beginsAtMs });
        const left = [...fates];
        let head = 0;
        const answers: Uint8Array[] = [];
        const { own, stored, wrong } = upload(clock, (batch) => {
          const fate = left.shift() ?? 'kept';
          if (fate === 'cut') clock.after(0, () => own.lost());
          if (fate !== 'kept') return;
          if (batch.last === head + 2) head = batch.last;
          const at = batches.find(({ last }) => last === head);
          if (at) answers.push(acknowledge(at, 4));
        });
        for (let step = 0; step < 4_000 && stored.length < batches.length; step += 1) {
          if (step % 10 === 0) own.connected();
          clock.advance(100);
          for (const answer of answers.splice(0)) own.acknowledged(answer);
        }
        expect([stored.length, wrong]).toEqual([batches.length, []]);
      }),
      { numRuns: 50 },
    );
  });
});

describe('a network that is disturbed', () => {
  const stops: (() => unknown)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
  });

  async function through() {
    const inner: Socket[] = [];
    const target = createServer((socket) => {
      inner.push(socket);
      socket.on('error', () => undefined);
      socket.pipe(socket);
    }).listen(0, '127.0.0.1');
    await once(target, 'listening');
    const network = new NetworkFaults({
      target: { host: '127.0.0.1', port: (target.address() as AddressInfo).port },
    });
    const port = await network.start();
    const open = async () => {
      const socket = connect({ host: '127.0.0.1', port });
      socket.on('error', () => undefined);
      stops.push(() => socket.destroy());
      await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve));
      return socket;
    };
    stops.push(
      () => target.close(),
      () => network.stop(),
    );
    return { network, open, inner };
  }
  const gone = (socket: Socket) => new Promise((resolve) => socket.once('close', resolve));
  const echo = async (socket: Socket) => {
    socket.write('a');
    return String((await once(socket, 'data'))[0]);
  };

  it('passes everything, until it cuts those that chance takes', async () => {
    const { network, open } = await through();
    const [kept, cut] = [await open(), await open()];
    expect([await echo(kept), await echo(cut)]).toEqual(['a', 'a']);
    const closed = gone(cut);
    const chance = [0.9, 0.1];
    expect(network.cut(0.5, () => chance.shift() ?? 1)).toBe(1);
    await closed;
    expect(await echo(kept)).toBe('a');
  });

  it('swallows what passes, and tells nobody that the other end is gone', async () => {
    const { network, open, inner } = await through();
    const socket = await open();
    expect(await echo(socket)).toBe('a');
    expect(network.pass({ kind: 'silent' }, 1, () => 0)).toBe(1);
    const got: unknown[] = [];
    socket.on('data', (bytes) => got.push(bytes));
    socket.write('b');
    const other = inner[0] as Socket;
    const ended = gone(other);
    other.destroy();
    await ended;
    // whoever comes now finds the network as it was
    expect(await echo(await open())).toBe('a');
    expect([got, socket.destroyed]).toEqual([[], false]);
  });

  it('lets nobody through while it is away', async () => {
    const { network, open } = await through();
    const socket = await open();
    expect(await echo(socket)).toBe('a');
    const closed = gone(socket);
    network.open = false;
    await closed;
    const refused = await open();
    if (!refused.closed) await gone(refused);
    network.open = true;
    expect(await echo(await open())).toBe('a');
  });
});
