import { isIP } from 'node:net';
import { connect } from 'node:tls';
import { MqttClient } from 'mqtt';
import { Fault } from '#core/fault.ts';

export interface SessionEndParts {
  /** the nodes of the cluster, where they take MQTT */
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  /** of the issuance server; PEM */
  readonly credentials: {
    readonly certificates: string;
    readonly privateKey: string;
    readonly authorities: string;
  };
}

const withinMs = 10_000;

/**
 * Cuts off whoever is connected as `username`, at whatever node: of two that come with one client id the later one stays,
 * and the server may come with any. Rejects with `broker-unreachable` where no node answers.
 */
export async function endSession(parts: SessionEndParts, username: string): Promise<void> {
  for (const node of parts.nodes) {
    if (await takeOver(node, parts.credentials, username)) return;
  }
  throw new Fault('broker-unreachable', `no node of RabbitMQ ended the session of ${username}`);
}

async function takeOver(
  { host, port }: SessionEndParts['nodes'][number],
  { certificates: cert, privateKey: key, authorities: ca }: SessionEndParts['credentials'],
  clientId: string,
): Promise<boolean> {
  const client = new MqttClient(
    () =>
      connect({
        ...{ host, port, cert, key, ca, minVersion: 'TLSv1.3' },
        ...(isIP(host) === 0 && { servername: host }),
      }),
    { clientId, protocolVersion: 4, clean: true, reconnectPeriod: 0, connectTimeout: withinMs },
  );
  client.on('error', () => undefined);
  const taken = await new Promise<boolean>((resolve) => {
    client.once('connect', () => resolve(true));
    client.once('close', () => resolve(false));
  });
  await client.endAsync(!taken).catch(() => undefined);
  return taken;
}
