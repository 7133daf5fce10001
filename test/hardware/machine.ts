import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pass } from 'node:timers/promises';
import { Qmp } from './qmp.ts';

/** what the image forwards: the shell of the tests, and two slots of vpcd */
const ports = { shell: 4000, vpcd: [35_963, 35_964] } as const;
/** how long the machine may take to boot, or one script in it, in milliseconds: emulated, on a busy host */
const limitMs = 600_000;
const memoryMiB = 768;
/**
 * without what costs an emulator much: five levels of pages, checks that each access of the kernel goes through, memory
 * that is copied byte by byte as a device would do at once, and vectors that are worked on a part after the other
 */
const cpu = 'max,-la57,-pku,-pks,-smep,-smap,-erms,-fsrm,-avx,-avx2,-fma,-f16c';

/** of its kernel, which takes the emulated counter for a clock: others are read by way of the emulator */
const commandLine =
  'console=ttyS0 root=/dev/vda rw quiet mitigations=off tsc=reliable panic=10 systemd.show_status=0';

/** What a machine is started from; see device.ts. */
export interface MachineFiles {
  readonly kernel: string;
  readonly initrd: string;
  /** qcow2, written to */
  readonly disk: string;
  /** words that make the node `data` of qemu, the disk of the state directory */
  readonly data: readonly string[];
  /** a saved state to go on from, instead of a boot */
  readonly state?: string;
  /** where its console and its monitor are put */
  readonly folder: string;
  /** processors of its two that it uses */
  readonly processors: 1 | 2;
}

/** A Debian machine under qemu, emulated in software, so that every host can run it. */
export class Machine {
  readonly qmp: Qmp;
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown>;

  private constructor(process: ChildProcess, ended: Promise<unknown>, qmp: Qmp) {
    this.#process = process;
    this.#ended = ended;
    this.qmp = qmp;
  }

  /** Starts it and resolves when its shell answers. */
  static async start(files: MachineFiles): Promise<Machine> {
    const monitor = join(files.folder, 'monitor');
    const child = spawn('nice', ['-n', '10', 'qemu-system-x86_64', ...words(files, monitor)], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr?.on('data', (bytes: Buffer) => {
      said += bytes.toString();
    });
    // no machine outlives the tests
    const end = () => child.kill('SIGKILL');
    process.once('exit', end);
    const ended = once(child, 'close').then(() => process.off('exit', end));
    const alive = () => child.exitCode === null && child.signalCode === null;
    try {
      const machine = new Machine(child, ended, await Qmp.connect(monitor, alive));
      if (files.state) await machine.#goOn();
      await machine.reached();
      if (files.state) await machine.#adapt(files.processors);
      return machine;
    } catch (error) {
      child.kill('SIGKILL');
      throw new Error(`the machine does not run: ${said}${consoleOf(files.folder)}`, { cause: error });
    }
  }

  /** Resolves when the shell of the tests answers, which it does from early in a boot on. */
  async reached(): Promise<void> {
    const deadlineMs = performance.now() + limitMs;
    for (;;) {
      try {
        if ((await this.#exchange('echo here', 30_000)).includes('here')) return;
      } catch (error) {
        if (performance.now() > deadlineMs) throw error;
        await pass(100);
      }
    }
  }

  /** Runs a script of bash as root; resolves with what it printed, and rejects where it fails. */
  async run(script: string, withinMs = limitMs): Promise<string> {
    const text = await this.#exchange(script, withinMs);
    const end = text.lastIndexOf('\nexit ');
    const output = text.slice(0, end);
    if (end < 0 || text.slice(end + 6).trim() !== '0')
      throw new Error(`${script}\nfailed in the machine:\n${text}`);
    return output.trim();
  }

  /** Runs a script whose lines are told as they come, until `stop`. */
  follow(script: string, line: (text: string) => void): { stop(): void } {
    const socket = connect(ports.shell, '127.0.0.1');
    const lines = createInterface(socket);
    lines.on('line', line);
    // the end of the machine ends it
    for (const told of [lines, socket]) told.on('error', () => undefined);
    socket.write(framed(script));
    return { stop: () => socket.destroy() };
  }

  /** Writes a file in the machine, made as the options of `install` say. */
  async write(path: string, content: string | Buffer, options = '-m 0644'): Promise<void> {
    const text = Buffer.from(content).toString('base64');
    await this.run(`install -D ${options} /dev/stdin ${path} < <(base64 -d <<< ${text})`);
  }

  /** Resolves once a script succeeds; rejects with what it printed when it has not within ten minutes. */
  async until(script: string): Promise<void> {
    // a pause without a program: what asks is not to slow down what it waits for
    await this.run(`exec {pause}<> <(:)
end=$((SECONDS + ${limitMs / 1_000}))
while ((SECONDS < end)); do (${script}) > /run/until 2>&1 && exit 0; read -rt 1 -u $pause || true; done
cat /run/until; exit 1`);
  }

  /** Saves its state for `start` to go on from, and ends it. Its disk then belongs to that state. */
  async save(state: string): Promise<void> {
    await this.run('sync');
    // its kernel may crash when it goes on from a state that was saved while it ran
    await this.qmp.command('stop');
    await this.qmp.command('migrate', { uri: `exec:cat > '${state}'` });
    for (;;) {
      const { status } = (await this.qmp.command('query-migrate')) as { readonly status: string };
      if (status === 'completed') break;
      if (status === 'failed') throw new Error('the state of the machine could not be saved');
      await pass(100);
    }
    await this.qmp.command('quit');
    await this.#ended;
  }

  /** What a power cut is to the machine: nothing it has not written to a disk remains. */
  async cut(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#ended;
  }

  /** Its saved state is of a machine that was stopped. */
  async #goOn(): Promise<void> {
    for (;;) {
      const { status } = (await this.qmp.command('query-status')) as { readonly status: string };
      if (status !== 'inmigrate') break;
      await pass(100);
    }
    await this.qmp.command('cont');
  }

  /** Its clock and processors are those of the moment when its state was saved. */
  async #adapt(processors: 1 | 2): Promise<void> {
    const offline = processors === 1 ? 'echo 0 > /sys/devices/system/cpu/cpu1/online' : '';
    await this.run(`set -e
date -s @${(Date.now() / 1_000).toFixed(3)}
${offline}`);
  }

  #exchange(script: string, withinMs: number): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(ports.shell, '127.0.0.1');
      const parts: Buffer[] = [];
      const limit = setTimeout(
        () => socket.destroy(new Error(`no answer within ${withinMs} ms: ${script}`)),
        withinMs,
      );
      socket.write(framed(script));
      socket.on('data', (bytes) => parts.push(bytes));
      socket.once('error', reject);
      socket.once('close', () => {
        clearTimeout(limit);
        const text = Buffer.concat(parts).toString();
        if (text === '') reject(new Error('nothing listens in the machine'));
        else resolve(text);
      });
    });
  }
}

function framed(script: string): Buffer {
  const bytes = Buffer.from(script);
  return Buffer.concat([Buffer.from(`${bytes.length}\n`), bytes]);
}

function words(files: MachineFiles, monitor: string): readonly string[] {
  const forwards = [ports.shell, ...ports.vpcd].map((port) => `hostfwd=tcp:127.0.0.1:${port}-:${port}`);
  return [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-M', 'pc', '-accel', 'tcg,thread=multi'],
    ...['-cpu', cpu, '-smp', '2', '-m', `${memoryMiB}M`],
    ...['-kernel', files.kernel, '-initrd', files.initrd],
    ...['-append', `${commandLine} maxcpus=${files.processors}`],
    ...['-serial', `file:${join(files.folder, 'console')}`],
    ...['-qmp', `unix:${monitor},server=on,wait=off`],
    ...['-drive', `file=${files.disk},format=qcow2,if=none,id=root,cache=unsafe`],
    ...files.data,
    ...['-device', 'virtio-blk-pci,drive=root', '-device', 'virtio-blk-pci,drive=data'],
    ...['-device', 'virtio-rng-pci', '-device', 'qemu-xhci,id=usb'],
    ...['-device', 'i6300esb', '-action', 'watchdog=reset'],
    ...[
      '-netdev',
      ['user,id=line,restrict=on', ...forwards].join(','),
      '-device',
      'virtio-net-pci,netdev=line',
    ],
    ...(files.state ? ['-incoming', `exec:cat '${files.state}'`] : []),
  ];
}

/** The end of what the machine printed to its console. */
function consoleOf(folder: string): string {
  try {
    return readFileSync(join(folder, 'console'), 'utf8').slice(-4_000);
  } catch {
    return '';
  }
}
