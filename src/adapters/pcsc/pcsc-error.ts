import { Fault, type FaultCode } from '#core/fault.ts';

/** Return values of PC/SC part 5, as pcsc-lite defines them (pcsclite.h), that mean something to a terminal. */
const meanings: Readonly<Record<number, FaultCode>> = {
  // the card has left: pcscd knows, or the exchange broke off, which is how a card leaving the field first shows
  2148532329: 'card-removed', // SCARD_W_REMOVED_CARD
  2148532236: 'card-removed', // SCARD_E_NO_SMARTCARD
  2148532246: 'card-removed', // SCARD_E_NOT_TRANSACTED
  2148532271: 'card-removed', // SCARD_E_COMM_DATA_LOST
  2148532326: 'card-removed', // SCARD_W_UNRESPONSIVE_CARD: in the field, but not close enough to answer
  2148532327: 'card-removed', // SCARD_W_UNPOWERED_CARD
  2148532328: 'card-removed', // SCARD_W_RESET_CARD
  2148532234: 'card-timeout', // SCARD_E_TIMEOUT
  2148532235: 'reader-in-use', // SCARD_E_SHARING_VIOLATION
  2148532233: 'reader-absent', // SCARD_E_UNKNOWN_READER
  2148532247: 'reader-absent', // SCARD_E_READER_UNAVAILABLE
  2148532253: 'reader-service-absent', // SCARD_E_NO_SERVICE
  2148532254: 'reader-service-absent', // SCARD_E_SERVICE_STOPPED
  2148532243: 'reader-service-absent', // SCARD_F_COMM_ERROR
  2148532227: 'reader-service-absent', // SCARD_E_INVALID_HANDLE: of a pcscd that has been restarted
};

const codePattern = /\(0x([0-9a-f]{8,16})\)$/;

/** What an error of the binding means; one of no known meaning is `reader-failed`. Its text holds no card data. */
export function pcscFault(error: Error): Fault {
  const code = Number.parseInt(codePattern.exec(error.message)?.[1] ?? '', 16);
  return new Fault(meanings[code] ?? 'reader-failed', error.message, { cause: error });
}
