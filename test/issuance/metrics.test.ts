import { afterEach, describe, expect, it } from 'vitest';
import { Metrics } from '#issuance/monitoring/metrics.ts';
import { MetricsListener } from '#issuance/monitoring/metrics-listener.ts';

describe('metrics of the server', () => {
  const stops: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
  });
  const served = async (metrics: Metrics) => {
    const listener = new MetricsListener({ metrics });
    const port = await listener.start({ host: '127.0.0.1', port: 0 });
    stops.push(() => listener.stop());
    return (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
  };

  it('are text that Prometheus reads, of what was counted and what is now', async () => {
    const metrics = new Metrics();
    metrics.start();
    let waiting = 3;
    metrics.watch('kazasu_intake_waiting', 'Messages that wait', () => waiting);
    metrics.refused.inc({ by: 'broker', why: 'terminals-full' }, 2);
    const get = await served(metrics);
    const reply = await get('/metrics');
    expect(reply.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    const text = await reply.text();
    expect(text).toContain('kazasu_refused_total{by="broker",why="terminals-full"} 2\n');
    expect(text).toContain('kazasu_intake_waiting 3\n');
    expect(text).toContain('nodejs_eventloop_lag_p99_seconds');
    waiting = 0;
    expect(await (await get('/metrics')).text()).toContain('kazasu_intake_waiting 0\n');
    expect((await get('/')).status).toBe(404);
  });

  it('say nothing of a value that is not known', async () => {
    const metrics = new Metrics();
    metrics.watch('kazasu_backup_age_seconds', 'Since the last backup', () => undefined);
    expect((await metrics.text()).text).not.toMatch(/^kazasu_backup_age_seconds /m);
  });

  it('tell fifty organizations apart, and the others as one', async () => {
    const metrics = new Metrics();
    const backlog = new Map(Array.from({ length: 60 }, (_, at) => [`town-${at}`, 2]));
    metrics.watch('kazasu_backlog_entries', 'Entries that wait at terminals', () => backlog);
    const { text } = await metrics.text();
    expect(text.match(/^kazasu_backlog_entries\{/gm)).toHaveLength(51);
    expect(text).toContain('kazasu_backlog_entries{organization="other"} 20\n');
  });

  it('say where their address is taken', async () => {
    const first = new MetricsListener({ metrics: new Metrics() });
    const port = await first.start({ host: '127.0.0.1', port: 0 });
    stops.push(() => first.stop());
    const second = new MetricsListener({ metrics: new Metrics() });
    await expect(second.start({ host: '127.0.0.1', port })).rejects.toMatchObject({
      code: 'argument-invalid',
    });
  });
});
