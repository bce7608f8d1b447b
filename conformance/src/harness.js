// A test runner of one page: cases run one after the other, each with a
// deadline, and print a line each. Nothing here may hang: the suite runs
// unattended, and what it drives are long-lived clients.
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

let passed = 0;
let failed = 0;
const children = new Set();

// deadline rejects if work takes longer. The work itself goes on, so a client
// that hangs costs its case and no more.
export async function deadline(seconds, what, work) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no end after ${seconds} s`)), seconds * 1000);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

// test runs one case. A case that fails does not stop the next: they are
// written so that each can go on from whatever the one before left.
export async function test(name, body, seconds = 20) {
  const start = Date.now();
  try {
    await deadline(seconds, name, body());
    passed++;
    console.log(`ok    ${name} (${Date.now() - start} ms)`);
  } catch (err) {
    failed++;
    console.log(`FAIL  ${name}\n      ${String(err?.stack ?? err).replaceAll('\n', '\n      ')}`);
  }
}

// finish ends what was started, says how it went, and exits.
export function finish() {
  for (const child of children) child.kill('SIGKILL');
  console.log(`\n${passed} passed, ${failed} failed`);
  process.exit(failed === 0 && passed > 0 ? 0 : 1);
}

// fatal counts what goes wrong outside any case.
export function fatal(err) {
  failed++;
  console.log(`FAIL  outside any case\n      ${String(err?.stack ?? err).replaceAll('\n', '\n      ')}`);
}

// until polls look until it returns something true.
export async function until(what, look, seconds = 15) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const seen = await look();
    if (seen) return seen;
    if (Date.now() > end) throw new Error(`waited ${seconds} s for ${what}`);
    await sleep(20);
  }
}

// start runs a program that lives until the end.
export function start(file, args, options) {
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'], ...options });
  children.add(child);
  child.on('exit', () => children.delete(child));
  return child;
}

// command runs a program to its end and returns what it printed.
export function command(file, args, { env, input = '', cwd, seconds = 60 } = {}) {
  return new Promise((resolve, reject) => {
    const child = start(file, args, { env, cwd, stdio: 'pipe' });
    const timer = setTimeout(() => child.kill('SIGKILL'), seconds * 1000);
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (d) => { stdout += d; });
    child.stderr.on('data', (d) => { stderr += d; });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code: signal ?? code, stdout, stderr });
    });
    child.stdin.on('error', () => {}); // it may end without reading
    child.stdin.end(input);
  });
}

// quiet is a logger for Slack's clients, which print every refusal: here
// refusals are what is wanted.
export const quiet = {
  debug() {}, info() {}, warn() {}, error() {}, setLevel() {}, getLevel: () => 'error', setName() {},
};
