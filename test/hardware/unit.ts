import type { Machine } from './machine.ts';

export const unit = 'kazasu-terminal';

export async function property(machine: Machine, name: string): Promise<string> {
  return machine.run(`systemctl show --value -p ${name} ${unit}`);
}

/**
 * Resolves when the terminal says that it serves, with its keys open. What it said last stands until it is started again,
 * and it is active from when it says something new.
 */
export async function ready(machine: Machine): Promise<void> {
  const said = `systemctl show -p ActiveState -p StatusText ${unit} > /run/unit`;
  await machine.until(
    `${said}; grep ActiveState=active /run/unit && grep StatusText=ready /run/unit && ! grep 'keys being opened' /run/unit`,
  );
}
