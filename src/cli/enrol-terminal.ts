import { join } from 'node:path';
import { HttpsIssuanceClient } from '#adapters/https/issuance-client.ts';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { makeFolder } from '#adapters/process/ownership.ts';
import { readSecretFile } from '#adapters/process/secret-file.ts';
import { PolicySyncFile } from '#adapters/sqlite/policy-sync-file.ts';
import { makeCertificateKey } from '#adapters/x509/certificate-request.ts';
import { Fault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';
import type { DeviceIdentity } from '#core/sync/device-identity.ts';
import { type EnrolmentFile, enrolmentFileSchema } from '#core/sync/enrolment.ts';
import { loadTerminalConfig } from '#terminal/config.ts';
import { Enrolment } from '#terminal/enrolment.ts';
import { identityStores } from '#terminal/server-connection.ts';

/** Enrols the device that `config` describes. Rejects with the faults of configuration, files and enrolment. */
export async function enrolTerminal(options: { config: string; file: string }): Promise<DeviceIdentity> {
  const { config } = await loadTerminalConfig(options.config);
  const file = await readEnrolmentFile(options.file);
  if (file.terminal !== config.terminal) {
    throw new Fault(
      'argument-invalid',
      `${options.file} is for terminal ${file.terminal}, and ${options.config} describes ${config.terminal}`,
    );
  }
  try {
    makeFolder(config.stateDirectory);
  } catch (error) {
    throw unreadable(config.stateDirectory, error);
  }
  const { store, roots } = identityStores(config.stateDirectory);
  const enrolment = new Enrolment({
    store,
    trust: roots,
    client: new HttpsIssuanceClient(),
    makeKey: makeCertificateKey,
    deviceKey: await openDeviceKey(config.stateDirectory),
  });
  const identity = await enrolment.enrol(file);
  // from now on the server alone says what the policy is
  const policy = new PolicySyncFile(join(config.stateDirectory, 'policy.sqlite'));
  policy.close();
  return identity;
}

async function readEnrolmentFile(path: string): Promise<EnrolmentFile> {
  const content = await readSecretFile(path);
  try {
    const parsed = enrolmentFileSchema.safeParse(JSON.parse(Buffer.from(content).toString('utf8')));
    if (parsed.success) return parsed.data;
  } catch {
    // told below
  } finally {
    content.fill(0);
  }
  throw new Fault('file-unreadable', `${path} is no enrolment file of this version`);
}
