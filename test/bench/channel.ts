import { createCipheriv, createDecipheriv, hash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { deriveCardKeys } from '#core/card/diversification.ts';
import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import { type CardProfile, parseCardProfile } from '#core/card/profile.ts';
import { CardSession } from '#core/card/session.ts';
import { type CardDescription, cardDescriptionSchema } from '#simulators/card/card-description.ts';
import { linkMs, VirtualCard } from '#simulators/card/virtual-card.ts';
import { nowUs, percentile } from './figures.ts';

/**
 * `node test/bench/channel.ts [--short]`: what the terminal computes for a tap, the card and the derivation of its keys
 * left out, beside the bare node:crypto calls that the protocol needs; fails above twice those. Then the exchanges and
 * bytes of a tap, and what they take on the radio link.
 */
const short = process.argv.includes('--short');
const warmUps = short ? 200 : 2_000;
const taps = short ? 200 : 5_000;
const mostTimes = 2;

const repository = new URL('../../', import.meta.url);
const readYaml = (path: string): unknown => parse(readFileSync(new URL(path, repository), 'utf8'));

const block = new Uint8Array(16);
const blocks = (count: number): Uint8Array => new Uint8Array(16 * count);
const key = new Uint8Array(randomBytes(16));
const cipher = () => createCipheriv('aes-128-cbc', key, block).setAutoPadding(false);
const decipher = () => createDecipheriv('aes-128-cbc', key, block).setAutoPadding(false);

/** A CMAC key made ready: a cipher and the block of zeros its subkeys come from. */
function cmacKey() {
  const made = cipher();
  made.update(block);
  return made;
}

/** GET CHALLENGE, MUTUAL AUTHENTICATE and one READ with MACs alone. */
function bareTypeA(): void {
  randomBytes(24);
  const mac = cmacKey();
  cipher().update(blocks(2));
  mac.update(blocks(2));
  mac.update(blocks(2));
  decipher().update(blocks(2));
  hash('sha256', blocks(2), 'buffer');
  hash('sha256', blocks(2), 'buffer');
  const sessionMac = cmacKey();
  sessionMac.update(blocks(3));
  sessionMac.update(blocks(4));
}

/** INITIALIZE UPDATE, EXTERNAL AUTHENTICATE and one READ, encrypted and with MACs both ways. */
function bareTypeD(): void {
  randomBytes(8);
  const mac = cmacKey();
  const encryption = cmacKey();
  for (const derivation of [mac, mac, encryption]) derivation.update(blocks(2));
  const sMac = cmacKey();
  const sRmac = cmacKey();
  const sEnc = cipher();
  // two cryptograms and two C-MACs
  for (const length of [2, 2, 3, 2]) sMac.update(blocks(length));
  sRmac.update(blocks(3));
  sEnc.update(block);
  decipher().update(block);
}

interface Subject {
  readonly name: string;
  readonly profile: CardProfile;
  readonly card: CardDescription;
  readonly master: Uint8Array;
  readonly bare: () => void;
}

const profileOf = (name: string) =>
  parseCardProfile(readYaml(`device-config/card-profiles/${name}.yaml`), name);
const cardOf = (name: string) =>
  cardDescriptionSchema.parse(readYaml(`src/simulators/card/decks/${name}.yaml`));

const subjects: readonly Subject[] = [
  {
    name: 'Type A',
    profile: profileOf('synthetic-type-a'),
    card: cardOf('employee'),
    master: Buffer.from('54455354204B4559204F4E4C59203031', 'hex'),
    bare: bareTypeA,
  },
  {
    name: 'Type D',
    profile: profileOf('synthetic-type-d'),
    card: cardOf('employee-type-d'),
    master: Buffer.from('54455354204B4559204F4E4C59203431', 'hex'),
    bare: bareTypeD,
  },
];

/** One tap: microseconds that the terminal itself took, and the bytes of each exchange. */
async function tap(subject: Subject): Promise<{ hostUs: number; bytes: number[] }> {
  const card = new VirtualCard({
    description: subject.card,
    randomBytes,
    clock: { after: () => () => undefined },
  });
  card.powerOn();
  const bytes: number[] = [];
  let elsewhereUs = 0;
  const elsewhere = async <T>(work: () => Promise<T>): Promise<T> => {
    const from = nowUs();
    const result = work();
    elsewhereUs += nowUs() - from;
    return result;
  };
  const cardKeys = async ({ diversification, diversifier }: CardKeyRequest): Promise<CardKeys> => {
    if (diversification === 'none' || !diversifier) throw new Error('the deck diversifies its keys');
    return deriveCardKeys(subject.master, diversification, diversifier);
  };
  const session = new CardSession({
    transmit: async (command) => {
      const response = await elsewhere(() => card.transmit(command));
      bytes.push(command.length + response.length);
      return response;
    },
    profiles: [subject.profile],
    cardKeys: (request) => elsewhere(() => cardKeys(request)),
    randomBytes,
    monotonicUs: () => Math.round(nowUs()),
    presentedAtUs: Math.round(nowUs()),
  });
  const from = nowUs();
  const { kind } = await session.read();
  const hostUs = nowUs() - from - elsewhereUs;
  session.close();
  if (kind !== 'reading') throw new Error(`the card was not read: ${kind}`);
  return { hostUs, bytes };
}

for (const subject of subjects) {
  const hostUs: number[] = [];
  const bareUs: number[] = [];
  let bytes: number[] = [];
  for (let round = 0; round < warmUps + taps; round += 1) {
    const measured = await tap(subject);
    const from = nowUs();
    subject.bare();
    const bare = nowUs() - from;
    if (round < warmUps) continue;
    hostUs.push(measured.hostUs);
    bareUs.push(bare);
    bytes = measured.bytes;
  }
  const [host, bare] = [percentile(hostUs, 0.5), percentile(bareUs, 0.5)];
  const ratio = host / bare;
  const onLink = (rate: number) => bytes.reduce((sum, count) => sum + linkMs(count, rate), 0).toFixed(1);
  const total = bytes.reduce((sum, count) => sum + count, 0);
  console.log(
    `${subject.name}: terminal ${host.toFixed(0)} µs, bare primitives ${bare.toFixed(0)} µs, ratio ${ratio.toFixed(2)}`,
  );
  console.log(
    `${subject.name}: ${bytes.length} exchanges, ${total} bytes; ${onLink(106)} ms at 106, ${onLink(848)} ms at 848 kbit/s`,
  );
  if (!short && ratio > mostTimes) process.exitCode = 1;
}
