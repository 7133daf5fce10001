import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PolicyInstaller } from '#adapters/sqlite/policy-installer.ts';
import { PolicyStore } from '#adapters/sqlite/policy-store.ts';
import { siteRulesSchema } from '#core/access/site-rules.ts';
import { parseYaml } from '#core/config/yaml-document.ts';
import { Fault } from '#core/fault.ts';
import type { PolicyLookup } from '#ports/policy-lookup.ts';
import { type RuleSet, type RulesView, ruleSets } from '#web/site/api.ts';
import { readTextFile, shipped } from './files.ts';
import type { RuleSwitch } from './site-parts.ts';

const importWithinMs = 30_000;
const run = promisify(execFile);

/**
 * The policy of the site. Everything gets into it by `kazasu policy import`, run in a process of its own as an
 * operator would while taps go on.
 */
export class SitePolicy implements RuleSwitch {
  readonly lookup: PolicyLookup;
  readonly #database: string;
  #current: RulesView = { rules: null, policyVersion: 0 };

  constructor(parts: { readonly directory: string }) {
    this.#database = join(parts.directory, 'policy.sqlite');
    this.lookup = new PolicyStore({
      file: this.#database,
      journal: join(parts.directory, 'journal.sqlite'),
    });
  }

  /** Imports the shipped rules and holders where none are; a policy that is there stays as it is. */
  async prepare(): Promise<void> {
    if (!(await this.#installedRules())) {
      await this.#import(rulesFile('schedule'));
      await this.#import(shipped('./deck/holders.csv'), '--mode', 'complete');
    }
    await this.#refresh();
  }

  current(): RulesView {
    return this.#current;
  }

  /** Rejects with `policy-import-refused` or another fault of the import. */
  async install(rules: RuleSet): Promise<RulesView> {
    if (this.#current.rules !== rules) {
      const policyVersion = await this.#import(rulesFile(rules));
      this.#current = { rules, policyVersion };
    }
    return this.#current;
  }

  async #refresh(): Promise<void> {
    const installed = JSON.stringify(await this.#installedRules());
    let rules: RuleSet | null = null;
    for (const name of ruleSets) {
      const file = rulesFile(name);
      const known = parseYaml(await readTextFile(file), file, siteRulesSchema, 'config-invalid');
      if (JSON.stringify(known) === installed) rules = name;
    }
    await this.lookup.start();
    const version = await this.lookup.version();
    await this.lookup.stop();
    this.#current = { rules, policyVersion: version?.number ?? 0 };
  }

  async #installedRules() {
    const installer = new PolicyInstaller({ file: this.#database });
    await installer.start();
    try {
      return await installer.rules();
    } finally {
      await installer.stop();
    }
  }

  /** Resolves with the number of the new policy version. */
  async #import(file: string, ...options: readonly string[]): Promise<number> {
    const command = ['policy', 'import', file, '--database', this.#database, ...options, '--json'];
    const program = ['--disable-warning=ExperimentalWarning', shipped('../../cli/main.ts'), ...command];
    try {
      const { stdout } = await run(process.execPath, program, { timeout: importWithinMs });
      return (JSON.parse(stdout) as { version: { number: number } }).version.number;
    } catch (error) {
      const { stdout } = error as { stdout?: string };
      const detail = stdout ? `: ${stdout.trim()}` : '';
      throw new Fault('policy-import-refused', `${file} could not be imported${detail}`, { cause: error });
    }
  }
}

function rulesFile(rules: RuleSet): string {
  return shipped(`./deck/rules-${rules}.yaml`);
}
