import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const units = join(root, 'systemd');
const text = (name: string): string => readFileSync(join(units, name), 'utf8');
const services = readdirSync(units).filter((name) => name.endsWith('.service'));
const others = readdirSync(units).filter((name) => /\.(timer|path|socket)$/.test(name));

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

/** The units as they are installed, with the checkout in place of /opt/kazasu and only the drop-ins named. */
function installed(dropIns: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'kazasu-units-'));
  folders.push(folder);
  cpSync(units, folder, {
    recursive: true,
    filter: (path) => !path.endsWith('.conf') || dropIns.some((name) => path.endsWith(`/${name}`)),
  });
  for (const name of [...services, ...others]) {
    writeFileSync(join(folder, name), text(name).replaceAll('/opt/kazasu', root));
  }
  return folder;
}

/** Needs systemd-analyze, of Debian's `systemd`, which scripts/setup --test installs. */
function analyze(verb: string, ...options: readonly string[]) {
  const run = spawnSync('systemd-analyze', [verb, ...options], { encoding: 'utf8' });
  if (run.error) throw run.error;
  return run;
}

/** What systemd has to say of the units given; of units of this machine they refer to it may say anything. */
function remarksOn(folder: string, names: readonly string[]): readonly string[] {
  const { stderr } = analyze('verify', '--man=no', ...names.map((name) => join(folder, name)));
  return stderr.split('\n').filter((line) => line.includes('kazasu'));
}

describe('the systemd units', () => {
  const terminal = 'kazasu-terminal.service';
  const exposed: readonly (readonly [string, readonly string[]])[] = [
    ...services.map((name): [string, string[]] => [name, []]),
    [terminal, ['server.conf']],
    [terminal, ['sealing.conf']],
    [terminal, ['server.conf', 'sealing.conf']],
  ];

  it.each(exposed)('%s with the drop-ins %j is exposed by at most 2.0', (name, dropIns) => {
    const { stdout, status } = analyze(
      'security',
      '--offline=true',
      '--threshold=20',
      join(installed(dropIns), name),
    );
    expect(stdout).toMatch(/Overall exposure level for kazasu/);
    expect(status).toBe(0);
  });

  it.each([[[]], [['server.conf', 'sealing.conf']]])(
    'are understood by systemd to the last line, with the drop-ins %j',
    (dropIns) => {
      expect(remarksOn(installed([...dropIns]), [...services, ...others])).toEqual([]);
    },
  );

  it('are not understood where a word is wrong or a program is missing', () => {
    const folder = installed([]);
    const wrong = text(terminal)
      .replace('ProtectHome=', 'ProtectHomes=')
      .replaceAll('/opt/kazasu', '/nowhere');
    writeFileSync(join(folder, terminal), wrong);
    const remarks = remarksOn(folder, [terminal]).join('\n');
    expect(remarks).toContain('ProtectHomes');
    expect(remarks).toContain('/nowhere/scripts/kazasu is not executable');
  });

  it('of the terminal relocks after any death, restarts for ever, and lets the guard finish locking', () => {
    const lines = text(terminal).split('\n');
    for (const line of [
      'Type=notify',
      'NotifyAccess=all',
      'Restart=always',
      'StartLimitIntervalSec=0',
      'KillMode=control-group',
      'DevicePolicy=closed',
    ]) {
      expect(lines).toContain(line);
    }
    expect(text(terminal)).toMatch(/^ExecStopPost=\/opt\/kazasu\/scripts\/kazasu door lock --config \S+$/m);
    expect(text(terminal)).toMatch(/^WatchdogSec=\d+s$/m);
    expect(text(terminal)).toMatch(/^TimeoutStartSec=[1-5]min$/m);
  });

  it('of an enrolled terminal lets a thread give way to the others', () => {
    expect(text('kazasu-terminal.service.d/server.conf')).toMatch(
      /^SystemCallFilter=sched_setattr sched_setscheduler$/m,
    );
    expect(text('kazasu-terminal.service')).toMatch(/^RestrictRealtime=yes$/m);
  });

  it.each([
    [terminal, 'hidraw', 'hid'],
    ['kazasu-sealing.service', 'tpm', 'tpm'],
  ])('%s is started once the kernel knows %s, by the module %s', (name, devices, module) => {
    const lines = text(name).split('\n');
    expect(lines).toContain(`DeviceAllow=char-${devices} rw`);
    expect(lines).toContain(`Wants=modprobe@${module}.service`);
    expect(lines).toContain(`After=modprobe@${module}.service`);
  });

  it('back the server up every day', () => {
    expect(text('kazasu-backup.timer')).toMatch(/^OnCalendar=\*-\*-\* /m);
  });
});

describe('what opens the sealing', () => {
  interface Booted {
    readonly isThere?: boolean;
    readonly uptime?: string;
  }

  /** Runs the command of the unit where `systemd-creds` is the script `tries`, the TPM a file, and `sleep` takes no time. */
  function open(tries: string, { isThere = false, uptime = '9.87 1.23' }: Booted = {}) {
    const folder = mkdtempSync(join(tmpdir(), 'kazasu-sealing-'));
    folders.push(folder);
    const [tpm, creds, log] = [join(folder, 'tpm'), join(folder, 'systemd-creds'), join(folder, 'log')];
    writeFileSync(log, '');
    writeFileSync(creds, `#!/bin/sh\ncd ${folder}\necho "$*" >> log\n${tries}\n`, { mode: 0o755 });
    mkdirSync(join(folder, 'bin'));
    writeFileSync(join(folder, 'bin/sleep'), '#!/bin/sh\n', { mode: 0o755 });
    if (isThere) writeFileSync(tpm, '');
    writeFileSync(join(folder, 'uptime'), `${uptime}\n`);
    const command = /^ExecStart=(.*)$/m.exec(text('kazasu-sealing.service'))?.[1] ?? '';
    const here = command
      .replaceAll('$$', () => '$')
      .replaceAll('/dev/tpmrm0', tpm)
      .replaceAll('/proc/uptime', join(folder, 'uptime'))
      .replace('/usr/bin/systemd-creds', creds);
    const { status } = spawnSync('sh', ['-c', here], {
      env: { PATH: `${folder}/bin:${process.env.PATH}` },
      timeout: 10_000,
    });
    const tried = readFileSync(log, 'utf8').trimEnd().split('\n');
    for (const words of tried) expect(words).toMatch(/^decrypt --name=kazasu-sealing \S+ \S+$/);
    return { status, tried: tried.length };
  }

  it('waits for a TPM that comes late', () => {
    const late = 'test -e tpm && exit 0; test $(wc -l < log) -lt 3 || touch tpm; exit 1';
    expect(open(late)).toEqual({ status: 0, tried: 4 });
  });

  it('waits for none long after boot, when a terminal is started anew', () => {
    expect(open('exit 1', { uptime: '60.00 1.23' })).toEqual({ status: 1, tried: 1 });
  });

  it('asks a TPM that refuses once', () => {
    expect(open('exit 1', { isThere: true })).toEqual({ status: 1, tried: 1 });
  });

  it('needs none for what is encrypted without', () => {
    expect(open('exit 0')).toEqual({ status: 0, tried: 1 });
  });
});

describe('what belongs on a machine', () => {
  const docs = readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => readFileSync(join(root, 'docs', name), 'utf8'))
    .join('\n');
  const commands = [...docs.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block).join('\n');
  const files = ['systemd', 'device-config/udev', 'device-config/polkit'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1)),
  );

  it.each(files)('%s is put there by a command of the documentation', (file) => {
    const copied = commands
      .split('\n')
      .filter((line) => /\b(cp|install)\b/.test(line))
      .flatMap((line) => line.split(/\s+/).map((word) => word.replace(/^\/opt\/kazasu\//, '')));
    const folder = file.slice(0, file.lastIndexOf('/'));
    expect(copied.some((word) => word === file || (word === folder && folder.endsWith('.d')))).toBe(true);
  });
});
