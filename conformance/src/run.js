// Runs every suite, or those named on the command line.
import { bolt } from './bolt.js';
import { gh } from './gh.js';
import { fatal, finish } from './harness.js';
import { heroku } from './heroku.js';
import { socketMode } from './socket-mode.js';
import { types } from './types.js';

const suites = { types, 'socket-mode': socketMode, bolt, gh, heroku };

// A client that throws on its own must not end the run unseen.
process.on('uncaughtException', fatal);
process.on('unhandledRejection', fatal);
setTimeout(() => { fatal(new Error('no end after 8 minutes')); finish(); }, 480_000).unref();

// Two lanes, as most of the Slack suites' time is spent waiting for a client to
// reconnect. Each suite has simulators of its own.
const lanes = [['socket-mode', 'bolt'], ['types', 'gh', 'heroku']];
const wanted = process.argv.slice(2);
for (const name of wanted.filter((n) => !suites[n])) fatal(new Error(`no suite ${name}; there are ${Object.keys(suites).join(', ')}`));
await Promise.all(lanes.map(async (names) => {
  for (const name of names.filter((n) => wanted.length === 0 || wanted.includes(n))) {
    try {
      await suites[name]();
    } catch (err) {
      fatal(err);
    }
  }
}));
finish();
