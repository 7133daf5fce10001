import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Authorization } from './authorization.ts';

export interface AuthorizationListenerParts {
  readonly authorization: Authorization;
  /** an address of this machine alone: what is asked is not encrypted */
  readonly host: string;
  /** 0: any that is free */
  readonly port: number;
}

/** names and a password of at most 64 characters each */
const mostBytes = 8_192;
const requestWithinMs = 5_000;

/** Where the nodes of RabbitMQ on this machine ask who may do what. */
export class AuthorizationListener {
  readonly #parts: AuthorizationListenerParts;
  readonly #server: Server;

  constructor(parts: AuthorizationListenerParts) {
    this.#parts = parts;
    this.#server = createServer({ requestTimeout: requestWithinMs }, (request, response) => {
      void this.#answer(request, response).catch(() => response.destroy());
    });
  }

  /** Rejects with the error of the operating system where the port cannot be had. */
  async start(): Promise<void> {
    this.#server.listen(this.#parts.port, this.#parts.host);
    await once(this.#server, 'listening');
  }

  port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const text = request.method === 'POST' ? await bodyOf(request) : '';
    const kind = (request.url ?? '').slice(1);
    const allowed = this.#parts.authorization.allows(kind, new Map(new URLSearchParams(text)));
    response.setHeader('content-type', 'text/plain');
    response.end(allowed ? 'allow' : 'deny');
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > mostBytes) return '';
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
