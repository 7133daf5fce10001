import { GpioDoor } from '#adapters/gpio/gpio-door.ts';
import { GpioIndicator } from '#adapters/gpio/gpio-indicator.ts';
import { after } from '#adapters/process/after.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { describeDoorHardware, strikeWirings } from '../../contracts/door-hardware.ts';
import { describeIndicator, perceptionOf } from '../../contracts/indicator.ts';
import { chip, interfaces, label, TestedLines } from './gpio-chip.ts';

const at = { strike: 17, contact: 27, exit: 5, tamper: 6, obstruction: 12, passage: 13 } as const;
const lamps = { granted: 22, denied: 23, busy: 24, buzzer: 25 } as const;
const input = (line: number, active: 'high' | 'low') => ({ chip: label, line, active, debounceMs: 30 });

for (const [name, kernelLines] of interfaces) {
  for (const [active, lockType, lockedLevel] of strikeWirings) {
    describeDoorHardware(`GPIO of the kernel by ${name}, active ${active}, ${lockType}`, async () => {
      chip.replace();
      chip.pull(at.exit, 1);
      const lines = new TestedLines(kernelLines);
      const hardware = new GpioDoor({
        wiring: {
          strike: { kind: 'gpio', chip: label, line: at.strike, active, lockType },
          contact: input(at.contact, 'high'),
          exitRequest: input(at.exit, 'low'),
          tamper: input(at.tamper, 'high'),
          obstruction: input(at.obstruction, 'high'),
          passage: input(at.passage, 'high'),
        },
        lines,
        after,
      });
      return {
        hardware,
        locked: () => chip.level(at.strike) === lockedLevel,
        setContact: (open) => chip.pull(at.contact, open ? 1 : 0),
        pressExit: (pressed) => chip.pull(at.exit, pressed ? 0 : 1),
        tamper: (active) => chip.pull(at.tamper, active ? 1 : 0),
        obstruct: (active) => chip.pull(at.obstruction, active ? 1 : 0),
        pass: (active) => chip.pull(at.passage, active ? 1 : 0),
        cut: () => chip.unplug(),
        repair: () => {
          chip.plug();
          chip.pull(at.exit, 1);
        },
        readWrong: (wrong) => {
          lines.contrary = wrong;
        },
        close: async () => {
          await hardware.stop();
          lines.letGo();
        },
      };
    });
  }

  for (const active of ['high', 'low'] as const) {
    describeIndicator(`GPIO of the kernel by ${name}, active ${active}`, async () => {
      chip.replace();
      // the lines are the kernel's; the rhythm is looked at in a time that no load disturbs
      const clock = new SimulatedClock({ utcMs: 0 });
      const lines = new TestedLines(kernelLines);
      const wiring = Object.fromEntries(
        Object.entries(lamps).map(([lamp, line]) => [lamp, { chip: label, line, active }]),
      );
      const indicator = new GpioIndicator({
        wiring,
        lines,
        after: (ms, action) => clock.after(ms, action),
      });
      const level = (line: number) => chip.level(line);
      return {
        indicator,
        perceive: perceptionOf({ lines: Object.values(lamps), active, level, clock, everyMs: 40 }),
        cut: () => chip.unplug(),
        repair: () => chip.plug(),
        close: async () => lines.letGo(),
      };
    });
  }
}
