import { readFileSync } from 'node:fs';
import type { DoorObservation } from './simulated-door.ts';

/** Everything the doors of a record file saw, in order. A last line that is still being written is left out. */
export function readDoorRecord(path: string): readonly DoorObservation[] {
  const text = readFileSync(path, 'utf8');
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as DoorObservation);
}
