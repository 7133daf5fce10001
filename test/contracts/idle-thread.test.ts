import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';

it('a thread runs only when nobody else wants to', () => {
  const module = new URL('../../src/adapters/process/idle-thread.ts', import.meta.url).href;
  const program = `
    const { runWhenIdle } = await import(${JSON.stringify(module)});
    const { readFileSync } = await import('node:fs');
    runWhenIdle();
    process.stdout.write(readFileSync('/proc/thread-self/stat', 'utf8'));`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    encoding: 'utf8',
  });
  // proc_pid_stat(5): field 41 is the policy, sched(7): 5 is SCHED_IDLE; the name before may have spaces
  expect(stdout.split(') ')[1]?.split(' ')[38]).toBe('5');
});
