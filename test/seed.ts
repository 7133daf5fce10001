import fc from 'fast-check';

/** Properties run on the same cases each time; `FC_SEED=<number>` tries others. */
fc.configureGlobal({ seed: Number(process.env.FC_SEED ?? 20_260_401) });
