import { type DestinationStream, destination } from 'pino';

/** of lines that wait because nobody reads them, in bytes: minutes of a busy terminal */
const mostWaitingBytes = 4_194_304;
/** level of a warning in lines of pino */
const warning = 40;

/**
 * Standard output for the log of a program that must go on whether somebody reads it or not: what is not taken waits in
 * memory up to 4 MiB; further lines are dropped, and how many is logged once there is room again.
 */
export function logOutput(): DestinationStream {
  const output = destination({ dest: 1, sync: false, maxLength: mostWaitingBytes });
  let dropped = 0;
  output.on('drop', () => {
    dropped += 1;
  });
  output.on('drain', () => {
    if (dropped === 0) return;
    const line = {
      level: warning,
      time: Date.now(),
      dropped,
      msg: 'lines of this log were not read in time, and dropped',
    };
    dropped = 0;
    output.write(`${JSON.stringify(line)}\n`);
  });
  return output;
}
