import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { AuthorityFiles } from '#issuance/authority-files.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';

const yearMs = 365 * 86_400_000;

describe('the certificates of a server', () => {
  let folder: string;
  let clock: SimulatedClock;
  const at = (name: string): string => join(folder, 'authorities', name);
  const files = () =>
    new AuthorityFiles({ directory: join(folder, 'authorities'), clock, entropy: new SystemEntropy() });
  const own = (pem: string) => new X509Certificate(pem);

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'kazasu-authorities-'));
    clock = new SimulatedClock({ utcMs: Date.now() });
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('are made at first, for their owner alone, and kept', async () => {
    const server = await files().server(['door.example', '127.0.0.1']);
    expect(own(server.certificates).checkHost('door.example')).toBe('door.example');
    expect(own(server.certificates).checkPrivateKey(createPrivateKey(server.privateKey))).toBe(true);
    for (const name of ['platform', 'services', 'server']) {
      expect(statSync(at(`${name}.key`)).mode & 0o777).toBe(0o600);
    }
    const city = await files().organization('city');
    expect(await files().server(['door.example', '127.0.0.1'])).toEqual(server);
    expect((await files().organization('city')).chain()).toEqual(city.chain());
    expect(own((await files().issuance()).certificates).subject).toBe('CN=issuance');
    expect(server.authorities).toBe(readFileSync(at('platform.pem'), 'utf8'));
  });

  it('are made anew for another name, and in the second half of their life', async () => {
    const first = await files().server(['door.example']);
    const moved = await files().server(['gate.example']);
    expect(own(moved.certificates).checkHost('gate.example')).toBe('gate.example');
    expect(moved.privateKey).toBe(first.privateKey);
    clock.advance(1.1 * yearMs);
    const renewed = await files().server(['gate.example']);
    expect(Date.parse(own(renewed.certificates).validTo)).toBeGreaterThan(clock.utcMs() + 1.9 * yearMs);
  });

  it('do without the key of the platform, but for what is still to be made', async () => {
    const server = await files().server(['door.example']);
    await files().organization('city');
    renameSync(at('platform.key'), join(folder, 'kept-elsewhere'));
    expect(await files().server(['door.example'])).toEqual(server);
    await files().server(['gate.example']);
    await files().organization('city');
    await expect(files().organization('ward')).rejects.toMatchObject({ code: 'key-unavailable' });
  });
});
