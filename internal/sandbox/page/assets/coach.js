// The coach: one line that says where to begin, and goes along until the first
// rotation is done. It can be sent away for good.
import { $, h, patch, recall, remember } from './dom.js';

let gone = recall('coach') === 'gone';
let drill = false;

export function begin({ insert }) { insertCommand = insert; }
let insertCommand = () => {};

export const setDrill = (d) => { drill = d; };

// stage is what the person should do next.
export function stage({ slack, rotation, secret, bot }) {
  if (!bot) return 'down';
  const r = rotation?.rotation;
  const open = r && !r.outcome;
  if (r?.outcome === 'completed') return 'done';
  if (slack.modal && !open) return 'opening';
  if (!open) return 'start';
  const step = (r.steps || []).find((s) => s.state !== 'done' && s.state !== 'skipped')?.name;
  if (step === 'precheck' && !slack.modal && r.operator?.ID === 'keyturn') return 'paged';
  if (step === 'precheck') return slack.modal ? 'precheck' : 'reopen';
  if (step === 'generate') return secret ? 'paste' : slack.modal ? 'generate' : 'reopen';
  return (r.steps || []).some((s) => s.state === 'failed') ? 'failed' : 'hands-off';
}

const lines = (command) => ({
  start: ['Start here', ['Type ', h('button.coach-command', { type: 'button', test: 'coach-insert', onclick: () => insertCommand(command + ' prod', false) }, command + ' prod'), ' in #ops and press Enter. The bot takes it from there.']],
  down: ['The bot is down', ['Press Start under Rotation. What was pasted is sealed, and it goes on where it stopped.']],
  opening: ['One moment', ['The bot opens a window in Slack and begins to check.']],
  precheck: ['Step 1', ['Read what the bot found, tick the boxes, say whether it may place a test order, then press Go on. Nothing is changed yet.']],
  generate: ['Step 2', ['The bot is waiting for you. Go to the Alpaca dashboard on this page and press Regenerate. From that click on, trading fails, so have your coffee first.']],
  paste: ['Quick', ['Copy Key ID and Secret into the window in Slack, then press its button. The stopwatch is running.']],
  reopen: ['Still open', ['The window is closed, the rotation is not. Press Open on the bot’s message in #ops.']],
  paged: ['Your phone rings', ['The bot saw that the key is dead, and nobody has the rotation yet. Open your direct message from it and press Start now.']],
  'hands-off': ['Hands off', ['Nothing to do. The bot stores, hands out, verifies, and proves that the old key is dead.']],
  failed: ['It stopped', ['Something failed. The bot says in Slack what happened and what to press.']],
  done: ['Well done', ['That was a whole rotation. Now the fun part: under Rotation, break something, and do it again.']],
});

// show draws the coach for what is going on.
export function show(seen) {
  const box = $('coach');
  if (gone || drill) { box.hidden = true; return; }
  box.hidden = false;
  const at = stage(seen);
  const [head, line] = lines(seen.slack.command)[at];
  patch(box, h('p.coach-line', { key: 'line', test: 'coach', 'data-stage': at }, h('strong.coach-head', head), h('span', line)),
    h('button.icon-btn', { key: 'x', type: 'button', 'aria-label': 'Send the coach away', title: 'I know the way', test: 'coach-dismiss', onclick: () => { gone = true; remember('coach', 'gone', true); box.hidden = true; } }, '✕'));
}

// wanted reports whether a click into the empty message box should offer the command.
export const wanted = (seen) => !gone && !drill && stage(seen) === 'start';
