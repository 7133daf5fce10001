import { expect, test } from 'vitest';
import { EventFeed, type EventSink } from '#simulators/site/event-feed.ts';
import { ScriptedBuilding, scriptedDoor } from './scripted-building.ts';

function slowPage(): EventSink & { readonly closed: () => boolean; readonly written: () => number } {
  let bytes = 0;
  let closed = false;
  return {
    write: (text) => {
      bytes += text.length;
    },
    bufferedBytes: () => bytes,
    close: () => {
      closed = true;
    },
    closed: () => closed,
    written: () => bytes,
  };
}

test('a page that takes nothing is let go before much is buffered for it', () => {
  const building = new ScriptedBuilding();
  const feed = new EventFeed({ runId: 'run', snapshot: () => building.snapshot() });
  const page = slowPage();
  feed.attach(page, undefined);
  for (let i = 0; i < 10_000 && !page.closed(); i += 1)
    feed.publish({ type: 'door', door: scriptedDoor('front') });
  expect(page.closed()).toBe(true);
  expect(page.written()).toBeLessThanOrEqual(256 * 1024);
  expect(feed.pages).toBe(0);
});

test('a page that is let go gets nothing more, others go on', () => {
  const building = new ScriptedBuilding();
  const feed = new EventFeed({ runId: 'run', snapshot: () => building.snapshot() });
  const gone = slowPage();
  const detach = feed.attach(gone, undefined);
  detach();
  const before = gone.written();
  feed.publish({ type: 'door', door: scriptedDoor('front') });
  feed.heartbeat();
  expect(gone.written()).toBe(before);
});
