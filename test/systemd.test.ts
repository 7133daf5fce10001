import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
  });

  it('of an enrolled terminal lets a thread give way to the others', () => {
    expect(text('kazasu-terminal.service.d/server.conf')).toMatch(
      /^SystemCallFilter=sched_setattr sched_setscheduler$/m,
    );
    expect(text('kazasu-terminal.service')).toMatch(/^RestrictRealtime=yes$/m);
  });

  it('back the server up every day', () => {
    expect(text('kazasu-backup.timer')).toMatch(/^OnCalendar=\*-\*-\* /m);
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
