import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EmulatedCard, emulate } from './kazasu-process.ts';
import { openPcscdFixture, type PcscdFixture, readerNames } from './pcscd-fixture.ts';
import { lines } from './travel-document/machine-readable-zone.ts';

const run = promisify(execFile);
const passport = fileURLToPath(new URL('travel-document/card.yaml', import.meta.url));

/** What cardpeek logged of a passport, and the tree that it made of what it read. */
interface Walk {
  readonly log: string;
  readonly tree: string;
}

/**
 * cardpeek (Debian), with its own passport script, in its console mode: it derives the keys from the machine
 * readable zone, authenticates and asks for all 18 files of ICAO Doc 9303-10 in secure messaging.
 */
class Cardpeek {
  readonly #home: string;

  constructor(home: string) {
    this.#home = home;
  }

  /** Lets it unpack its scripts into its home, which it asks to do when it finds none. */
  async install(): Promise<void> {
    await this.#run('os.exit(0)', '1\n1\n');
  }

  async readPassport(machineReadableZone: string, slot: 0 | 1 = 0): Promise<Walk> {
    const tree = join(this.#home, 'tree.xml');
    const log = await this.#run(
      `local ok, problem = pcall(dofile, "e-passport.lua")
      if not ok then print(problem) end
      ui.save_view("${tree}")
      os.exit(ok and 0 or 1)`,
      `${machineReadableZone}\n1\n`,
      slot,
    );
    return { log, tree: await readFile(tree, 'utf8') };
  }

  /** Runs a script on the card in a slot, with the answers to what it asks; what it logs. */
  async #run(script: string, answers: string, slot: 0 | 1 = 0): Promise<string> {
    const words = ['--console', '--reader', `pcsc://${readerNames[slot]}`, '--exec', script];
    const running = run('cardpeek', words, {
      env: { ...process.env, HOME: this.#home },
      timeout: 20_000,
    });
    running.child.stdin?.end(answers);
    return (await running).stderr;
  }
}

/** The bytes, in hexadecimal, of the first item of the tree with this label. */
function bytesOf(tree: string, label: string): string | undefined {
  const from = tree.indexOf(`<attr name="label">${label}</attr>`);
  return from < 0 ? undefined : /encoding="bytes">8:([0-9A-F]*)</.exec(tree.slice(from))?.[1];
}

describe('a host that is not ours, on `card emulate`', () => {
  let fixture: PcscdFixture;
  let card: EmulatedCard;
  let cardpeek: Cardpeek;
  beforeAll(async () => {
    fixture = await openPcscdFixture();
    card = await emulate(passport);
    cardpeek = new Cardpeek(fixture.folder);
    await cardpeek.install();
  });
  afterAll(async () => {
    await card.stop();
    await fixture.close();
  });

  test('authenticates mutually and reads in secure messaging what the card holds', async () => {
    const { log, tree } = await cardpeek.readPassport(lines[1]);
    expect(log).not.toMatch(/WARNING|ERROR/);
    expect(log).toMatch(/send: 0082000028[\s\S]*?Recv: 9000/);
    expect(bytesOf(tree, 'cold ATR')).toMatch(/^3B888001/);
    expect(bytesOf(tree, 'Dedicated File (DF) Name')).toBe('A0000002471001');
    expect(bytesOf(tree, 'LDS Version Number')).toBe(Buffer.from('0107').toString('hex').toUpperCase());
    expect(Buffer.from(bytesOf(tree, 'MRZ data elements') ?? '', 'hex').toString()).toBe(lines.join(''));
  });

  test('is told in secure messaging which files are not there', async () => {
    const { log } = await cardpeek.readPassport(lines[1]);
    expect(log.match(/Recv: 6A82 99026A828E08[0-9A-F]{16} /g)).toHaveLength(16);
  });

  test('notices an answer that was changed on its way', async () => {
    // a bit of the MAC over the first answer in secure messaging, 99 02 90 00 8E 08 MAC
    const misbehaviour = 'misbehaviour: [{ kind: flipped-bit, exchange: 4, bit: 48 }]\n';
    const changed = join(fixture.folder, 'changed.yaml');
    await writeFile(changed, (await readFile(passport, 'utf8')) + misbehaviour);
    const other = await emulate(changed, 1);
    const { log } = await cardpeek.readPassport(lines[1], 1);
    expect(log.match(/WARNING.*/g)).toEqual([expect.stringContaining('Failed to verify MAC in response')]);
    await other.stop();
  });

  test('with the keys of another passport gets nothing', async () => {
    const { log, tree } = await cardpeek.readPassport(lines[1].replace('L898902C<3', 'L898902D<4'));
    expect(log).toMatch(/send: 0082000028[\s\S]*?Recv: 6300/);
    expect(log).toContain("Perhaps you didn't enter the right MRZ data");
    expect(bytesOf(tree, 'MRZ data elements')).toBeUndefined();
  });
});
