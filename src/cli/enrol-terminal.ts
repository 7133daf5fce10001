import { join } from 'node:path';
import { HttpsIssuanceClient } from '#adapters/https/issuance-client.ts';
import { IdentityFiles } from '#adapters/keyfile/identity-files.ts';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { makeFolder } from '#adapters/process/ownership.ts';
import { readSecretFile } from '#adapters/process/secret-file.ts';
import { makeCertificateKey } from '#adapters/x509/certificate-request.ts';
import { Fault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';
import type { DeviceIdentity } from '#core/sync/device-identity.ts';
import { type EnrolmentFile, enrolmentFileSchema } from '#core/sync/enrolment.ts';
import { loadTerminalConfig } from '#terminal/config.ts';
import { Enrolment } from '#terminal/enrolment.ts';

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
  const enrolment = new Enrolment({
    store: new IdentityFiles(join(config.stateDirectory, 'identity')),
    client: new HttpsIssuanceClient(),
    makeKey: makeCertificateKey,
    deviceKey: await openDeviceKey(config.stateDirectory),
  });
  return enrolment.enrol(file);
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
