/** Runs the simulated doors and ends with the site, however that ends: its death closes the pipe to this process. */
process.stdin.once('end', () => process.kill(process.pid, 'SIGTERM'));
process.stdin.resume();
await import('#simulators/door/door-main.ts');
