import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';

/** A terminal whose thread of the journal or the policy has died must not go on denying everybody for ever. */
it('a database thread that dies ends the process, so that it is restarted whole', () => {
  const module = new URL('../../src/adapters/sqlite/worker-link.ts', import.meta.url);
  const program = `
    const { LinkedWorker } = await import(${JSON.stringify(module.href)});
    new LinkedWorker(new URL('data:text/javascript,setImmediate(() => { throw new Error("a bug in the thread") })'));
    setInterval(() => {}, 1000);
  `;
  const ended = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    encoding: 'utf8',
    timeout: 20_000,
    cwd: new URL('../..', import.meta.url).pathname,
  });
  expect(ended.status).toBe(1);
  expect(ended.stderr).toMatch(/process-lost|the thread of the database ended/);
  expect(ended.stderr).toContain('a bug in the thread');
});
