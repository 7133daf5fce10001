import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { expect, it, onTestFinished } from 'vitest';

const [pino, module] = ['pino', '#adapters/os/log-output.ts'].map((name) =>
  JSON.stringify(import.meta.resolve(name)),
);

it('a log that nobody reads is bounded, stops nothing, and says what it lacks', async () => {
  const program = `
    const { pino } = await import(${pino});
    const { logOutput } = await import(${module});
    const log = pino(logOutput());
    const before = process.memoryUsage().rss;
    for (let round = 0; round < 100; round += 1) {
      for (let line = 0; line < 2_000; line += 1) log.info({ round, line, text: 'x'.repeat(1_000) });
      await new Promise(setImmediate);
    }
    process.send(process.memoryUsage().rss - before);
    process.once('message', () => {
      log.info('the last');
      process.disconnect();
    });`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  // 200 MB were logged
  expect((await once(child, 'message'))[0]).toBeLessThan(100_000_000);
  const lines: { level: number; dropped?: number; msg?: string }[] = [];
  const reading = createInterface(child.stdout as NodeJS.ReadableStream);
  reading.on('line', (line) => {
    const isFirst = lines.every(({ dropped }) => dropped === undefined);
    lines.push(JSON.parse(line));
    if (isFirst && lines.at(-1)?.dropped !== undefined) child.send('go on');
  });
  await once(reading, 'close');
  const dropped = lines.reduce((sum, line) => sum + (line.dropped ?? 0), 0);
  expect(dropped).toBeGreaterThan(100_000);
  expect(lines.filter(({ msg }) => msg === undefined).length + dropped).toBe(200_000);
  expect(lines.at(-1)?.msg).toBe('the last');
});
