import { Fault } from '#core/fault.ts';
import type { DeviceIdentity } from '#core/sync/device-identity.ts';
import {
  certificateAnswerSchema,
  type EnrolmentFile,
  type EnrolmentRequest,
  type RenewalRequest,
} from '#core/sync/enrolment.ts';
import type { IssuanceClient, IssuanceReply } from '#ports/issuance-client.ts';
import { askInTurn, exchange, pemOf, shownBy, type TlsIdentity } from './exchange.ts';

/** of one try */
const limits = { withinMs: 20_000, mostBytes: 65_536 };

/** Asks each server of an enrolment in turn, over TLS 1.3 that its authority alone vouches for. */
export class HttpsIssuanceClient implements IssuanceClient {
  enrol({ servers, authority }: EnrolmentFile, body: EnrolmentRequest): Promise<IssuanceReply> {
    return askAny(servers, '/terminal/v1/enrolment', { ca: pemOf(authority) }, body);
  }

  renew(identity: DeviceIdentity, body: RenewalRequest): Promise<IssuanceReply> {
    return askAny(identity.servers, '/terminal/v1/renewal', shownBy(identity), body);
  }
}

function askAny(
  servers: readonly string[],
  path: string,
  tls: TlsIdentity,
  body: object,
): Promise<IssuanceReply> {
  return askInTurn(servers, async (server) => {
    const { status, bytes } = await exchange(new URL(path, server), { tls, body, ...limits });
    if (status === 401 || status === 403) return { kind: 'refused' };
    const answer = status === 200 ? certificateAnswerSchema.safeParse(parse(bytes)) : undefined;
    if (!answer?.success) {
      throw new Fault('server-unreachable', `${server} does not answer as it should (status ${status})`);
    }
    return { kind: 'answered', answer: answer.data };
  });
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}
