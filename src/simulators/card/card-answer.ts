import { statusWords } from '#core/apdu/response.ts';

/** What an application answers before any protection: data and status word. */
export interface CardAnswer {
  readonly data: Uint8Array;
  readonly status: number;
}

const noData = new Uint8Array();

export const statusAnswer = (status: number): CardAnswer => ({ data: noData, status });

export const dataAnswer = (data: Uint8Array): CardAnswer => ({ data, status: statusWords.success });

/** `6Cxx`: wrong Le, xx are available. */
export const wrongExpected = (available: number): CardAnswer => statusAnswer(0x6c00 | (available & 0xff));
