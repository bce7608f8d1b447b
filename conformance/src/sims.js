// Starts the simulators, and does there what a person would do.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { deadline, start } from './harness.js';

const program = new URL('../.build/sim', import.meta.url).pathname;

// startSims returns the addresses and tokens, act(), and stop(). Each suite
// starts its own: two apps on one workspace would get each other's envelopes.
export async function startSims() {
  const dir = mkdtempSync(join(tmpdir(), 'keyturn-conformance-')); // short: a socket's path has 108 bytes at most
  const child = start(program, [dir]);
  const [line] = await deadline(20, 'start the simulators', once(createInterface(child.stdout), 'line'));
  const place = JSON.parse(line);
  return {
    ...place,
    dir,
    // act does one thing at the simulators; see sim/control.go.
    async act(op, fields = {}) {
      const answer = await fetch(place.Control, { method: 'POST', body: JSON.stringify({ op, ...fields }) });
      const { value, error } = await answer.json();
      if (error) throw new Error(`${op}: ${error}`);
      return value;
    },
    async stop() {
      child.stdin.end(); // it ends with its input
      if (child.exitCode === null) await deadline(10, 'stop the simulators', once(child, 'exit'));
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
