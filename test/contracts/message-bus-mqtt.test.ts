import { beforeAll } from 'vitest';
import { MqttIntake } from '#adapters/mqtt/mqtt-intake.ts';
import { TerminalBus } from '#adapters/mqtt/terminal-bus.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import { makePki, type TestPki, terminalCredentials } from '../trust/test-pki.ts';
import { EmbeddedBrokerRig } from './embedded-broker-rig.ts';
import { type BusRig, describeMessageBus } from './message-bus.ts';
import { MosquittoRig } from './mosquitto-rig.ts';

let pki: TestPki;
beforeAll(async () => {
  pki = await makePki();
});

interface Broker {
  start(): Promise<void>;
  port(): number;
  stop(): Promise<void>;
}

async function openRig(broker: Broker, fail: () => Promise<void>): Promise<BusRig> {
  await broker.start();
  const common = () => ({
    address: { host: 'localhost', port: broker.port() },
    clock: new SystemClock(),
    random: Math.random,
    retry: { firstMs: 20, mostMs: 200 },
    failed: () => undefined,
  });
  return {
    bus: (identity) =>
      new TerminalBus({ ...common(), identity, credentials: () => terminalCredentials(pki, identity) }),
    intake: () => new MqttIntake({ ...common(), credentials: async () => pki.issuance }),
    fail,
    recover: () => broker.start(),
    stop: () => broker.stop(),
  };
}

describeMessageBus('embedded broker', async () => {
  const broker = new EmbeddedBrokerRig(pki);
  return openRig(broker, () => broker.stop());
});

describeMessageBus('mosquitto', async () => {
  const broker = new MosquittoRig(pki);
  return openRig(broker, () => broker.kill());
});
