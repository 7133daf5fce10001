import { Fault, type FaultCode } from '#core/fault.ts';

/** Return values of PC/SC part 5, as pcsc-lite defines them (pcsclite.h), that mean something to a terminal. */
const meanings: Readonly<Record<number, FaultCode>> = {
  // the card has left: pcscd knows, or the exchange broke off, which is how a card leaving the field first shows
  0x80100069: 'card-removed', // SCARD_W_REMOVED_CARD
  0x8010000c: 'card-removed', // SCARD_E_NO_SMARTCARD
  0x80100016: 'card-removed', // SCARD_E_NOT_TRANSACTED
  0x8010002f: 'card-removed', // SCARD_E_COMM_DATA_LOST
  0x80100066: 'card-removed', // SCARD_W_UNRESPONSIVE_CARD: in the field, but not close enough to answer
  0x80100067: 'card-removed', // SCARD_W_UNPOWERED_CARD
  0x80100068: 'card-removed', // SCARD_W_RESET_CARD
  0x8010000a: 'card-timeout', // SCARD_E_TIMEOUT
  0x8010000b: 'reader-in-use', // SCARD_E_SHARING_VIOLATION
  0x80100009: 'reader-absent', // SCARD_E_UNKNOWN_READER
  0x80100017: 'reader-absent', // SCARD_E_READER_UNAVAILABLE
  0x8010001d: 'reader-service-absent', // SCARD_E_NO_SERVICE
  0x8010001e: 'reader-service-absent', // SCARD_E_SERVICE_STOPPED
  0x80100013: 'reader-service-absent', // SCARD_F_COMM_ERROR
  0x80100003: 'reader-service-absent', // SCARD_E_INVALID_HANDLE: of a pcscd that has been restarted
};

const codePattern = /\(0x([0-9a-f]{8,16})\)$/;

/** What an error of the binding means; one of no known meaning is `reader-failed`. Its text holds no card data. */
export function pcscFault(error: Error): Fault {
  const code = Number.parseInt(codePattern.exec(error.message)?.[1] ?? '', 16);
  return new Fault(meanings[code] ?? 'reader-failed', error.message, { cause: error });
}
