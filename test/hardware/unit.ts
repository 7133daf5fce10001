import type { Machine } from './machine.ts';

export const unit = 'kazasu-terminal';
/** its processes */
export const group = `/sys/fs/cgroup/system.slice/${unit}.service`;

export async function property(machine: Machine, name: string): Promise<string> {
  return machine.run(`systemctl show --value -p ${name} ${unit}`);
}

/**
 * Resolves when the terminal says that it serves, with its keys open and all of its doors. What it said last stands until it is started again,
 * and it is active from when it says something new.
 */
export async function ready(machine: Machine): Promise<void> {
  await machine.until(
    `said=$(systemctl show -p ActiveState -p StatusText ${unit}); echo "$said"
[[ $said == *ActiveState=active* && $said == *StatusText=ready* && $said != *'keys being opened'* && $said != *'out of service'* ]]`,
  );
}

/**
 * A place in the log of the terminal, for what comes after it: that of its own last line, since after another's journalctl
 * of systemd 252 leaves out the first.
 */
export function placeInLog(machine: Machine): Promise<string> {
  return machine.run(`journalctl -u ${unit} -n 1 -o cat --show-cursor | sed -n 's/^-- cursor: //p'`);
}

/**
 * Resolves when the terminal is ready and has told of these readers that they are, after a place in the log or since it was
 * started last. Before that its lamps tell of a fault, which would be taken for an answer to a card.
 */
export async function serves(machine: Machine, names: readonly string[], after?: string): Promise<void> {
  await ready(machine);
  for (const name of names) await becomes(machine, { name, state: 'ready', after });
}

/** Resolves when the last state that the terminal told of a reader is this one. */
export async function becomes(
  machine: Machine,
  {
    name,
    state,
    after,
  }: { readonly name: string; readonly state: string; readonly after?: string | undefined },
): Promise<void> {
  const since =
    after === undefined
      ? `_SYSTEMD_INVOCATION_ID=$(systemctl show --value -p InvocationID ${unit})`
      : `-u ${unit} --after-cursor='${after}'`;
  const last = `/reader changed/ && index($0, "\\"reader\\":\\"${name}\\"") { last = $0 }`;
  const isIt = `END { print last; exit !index(last, "\\"state\\":\\"${state}\\"") }`;
  await machine.until(`journalctl -o cat ${since} | awk '${last} ${isIt}'`);
}
