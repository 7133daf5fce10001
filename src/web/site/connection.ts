import { type Dispatch, useEffect } from 'react';
import type { Problem, SiteEvent } from './api.ts';
import type { PageInput } from './state.ts';

const retryAfterMs = 3_000;

/** Follows the site's events for as long as the page lives; the browser resumes where it left off. */
export function useSiteEvents(dispatch: Dispatch<PageInput>): void {
  useEffect(() => {
    let source: EventSource;
    let retry: ReturnType<typeof setTimeout>;
    const connect = () => {
      source = new EventSource('/api/events');
      source.onopen = () => dispatch({ kind: 'connected' });
      source.onmessage = (message: MessageEvent<string>) =>
        dispatch({ kind: 'event', event: JSON.parse(message.data) as SiteEvent });
      source.onerror = () => {
        dispatch({ kind: 'disconnected' });
        // an answer other than events ends the browser's own attempts
        if (source.readyState === EventSource.CLOSED) retry = setTimeout(connect, retryAfterMs);
      };
    };
    connect();
    return () => {
      clearTimeout(retry);
      source.close();
    };
  }, [dispatch]);
}

export type Asked<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: Problem };

/** Asks the site for something that changes nothing. */
export async function read<T>(path: string): Promise<Asked<T>> {
  return answered(() => fetch(path));
}

/** Asks the site to do something; a refusal comes back as its problem document. */
export async function ask<T = undefined>(path: string, body: object = {}): Promise<Asked<T>> {
  return answered(() =>
    fetch(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }),
  );
}

async function answered<T>(asking: () => Promise<Response>): Promise<Asked<T>> {
  try {
    const response = await asking();
    const value = response.status === 204 ? undefined : await response.json();
    return response.ok ? { ok: true, value: value as T } : { ok: false, problem: value as Problem };
  } catch {
    return { ok: false, problem: { type: 'about:blank', title: 'no connection', status: 0 } };
  }
}
