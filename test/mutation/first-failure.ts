import fc from 'fast-check';

/** A mutant is found by the first case that fails; which is the smallest matters to nobody. */
fc.configureGlobal({ ...fc.readConfigureGlobal(), endOnFailure: true });
