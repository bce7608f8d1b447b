// The rotation as the bot knows it: exposed time, the eight steps, the audit
// record as it is written, and the levers: faults, the bot's process, the clock.
import { $, h, patch, say } from './dom.js';
import { now, tick } from './api.js';
import { clock, instant, likeWhat, stopwatch, took } from './words.js';
import { levers } from './levers.js';

let data = null;
let rows = []; // of the audit record, oldest first
let chosen = ''; // rotation on the screen; '' is the newest
let drilling = false;
let deadPlaces = 0;
let trouble = '';
const said = new Map(); // rotation|step → state that was announced
let heard = false; // what was there before this page looked is no news

const titles = {
  precheck: 'Pre-rotation checks', generate: 'Generate the new pair', validate: 'Validate the new pair', store: 'Store in Infisical',
  propagate: 'Propagate', verify: 'Verify downstream', revoked: 'Prove that the old pair is dead', record: 'Write the record',
};

const marks = { pending: ['', 'waiting'], running: ['', 'running'], done: ['✓', 'done'], failed: ['!', 'failed'], skipped: ['–', 'skipped'] };

// hello tells whether a drill is on: it hides the faults.
export function hello(d) {
  drilling = !!d.drill;
  draw();
}

// show takes the section "rotation".
export function show(d) {
  tick(d.now);
  data = d;
  announce();
  draw();
}

// takeAudit takes rows of the audit record.
export function takeAudit(d) {
  rows = d.reset ? [...(d.rows || [])] : rows.concat(d.rows || []);
  draw();
}

const list = () => data?.rotations || [];

// setDead tells how many places do not work now, whatever the bot knows.
export function setDead(n) {
  if (n === deadPlaces) return;
  deadPlaces = n;
  draw();
}

export const botRuns = () => !data || data.botRunning;

export function current() {
  const all = list();
  return all.find((x) => x.rotation.id === chosen) || all.find((x) => !x.rotation.outcome) || all[0];
}

function announce() {
  for (const { rotation: r, exposure: e } of list()) {
    const dead = !!e?.running;
    const was = said.get(r.id + '|dead') ?? false;
    said.set(r.id + '|dead', dead);
    if (heard && dead && !was) say('Exposed now: the old pair is dead. Trading fails until the last consumer is verified.', true);
    if (heard && !dead && was) say('No longer exposed: it lasted ' + exposedText(e));
    for (const s of r.steps || []) {
      const key = r.id + '|' + s.name;
      const before = said.get(key);
      said.set(key, s.state);
      if (before === undefined || before === s.state || s.state === 'pending') continue;
      const word = 'Step ' + s.number + ', ' + (titles[s.name] || s.name) + ': ' + (marks[s.state] || ['', s.state])[1];
      say(word + (s.state === 'failed' && s.problem?.text ? '. ' + s.problem.text : ''), s.state === 'failed');
    }
    const key = r.id + '|outcome';
    const before = said.get(key);
    said.set(key, r.outcome || '');
    if (before === '' && r.outcome) say('Rotation of ' + r.keyset + ' ' + ended(r.outcome));
  }
  heard = true;
}

// ended says an outcome in words.
const ended = (outcome) => outcome.replace('_', ' ');

function draw() {
  if (!data) return;
  const at = current();
  patch($('rotation'),
    exposedCard(at),
    timeline(at),
    auditCard(),
    levers(data, drilling, (text) => { trouble = text; draw(); }, trouble));
  drawBar();
  run();
}

function exposedCard(at) {
  const e = at?.exposure || {};
  const r = at?.rotation;
  const dead = e.running;
  const over = !dead && instant(e.from) > 0;
  const tone = !dead && deadPlaces > 0 ? 'is-odd' : dead ? 'is-dead' : over && r?.outcome ? 'is-over' : 'is-calm';
  let line = 'Trading works. The clock starts when the old pair dies.';
  if (dead) line = 'Trading fails until the last consumer is verified.';
  else if (deadPlaces > 0 && (!r || r.outcome || !over)) line = deadPlaces + (deadPlaces === 1 ? ' place does' : ' places do') + ' not work now. The bot has not measured that yet.';
  else if (over && r?.outcome === 'completed') line = 'Rotated. About as long as ' + likeWhat(e.took_ms) + '.';
  else if (r?.outcome === 'stood_down') line = 'The key was alive after all. Nothing was changed.';
  else if (over) line = 'Trading works again with the new pair.';
  else if (r?.outcome === 'completed') line = 'Rotated without an outage. Nobody will ever know.';
  else if (r?.outcome === 'cancelled') line = 'Cancelled. Nothing was changed.';
  return h('section.card.exposed', { key: 'exposed', class: tone, 'aria-labelledby': 'exposed-title' },
    h('h2.exposed-title', { id: 'exposed-title' }, dead ? 'Exposed now' : 'Exposed time'),
    h('p.exposed-time', { test: 'exposed', 'data-running': String(!!dead) }, h('span', { id: 'exposed-time' }, exposedText(e))),
    h('p.exposed-line', line),
    h('p.exposed-more', over && e.at_most_ms > 0 ? 'At most ' + took(e.at_most_ms) + (e.machine_ms > 0 ? ' · the bot’s own share ' + took(e.machine_ms) : '') : '\u00a0'));
}

function exposedText(e) {
  if (e?.running) return stopwatch(now() - instant(e.from), !calm.matches);
  return instant(e?.from) > 0 ? stopwatch(Math.round(e.took_ms / 100) * 100) : '0.0 s'; // rounded as the bot does
}

// stepText is short, so that it fits beside a title: no tenths after a minute.
function stepText(from) {
  const ms = now() - from;
  return stopwatch(ms, ms < 60000 && !calm.matches);
}

function timeline(at) {
  const r = at?.rotation;
  const all = list();
  return h('section.card', { key: 'steps', 'aria-labelledby': 'steps-title' },
    h('div.card-head', h('h2', { id: 'steps-title' }, 'The eight steps'),
      all.length > 1 ? h('select.select.select-small', { key: 'pick', 'aria-label': 'Rotation', value: r.id, onchange: (e) => { chosen = e.currentTarget.value; draw(); } },
        all.map(({ rotation: x }) => h('option', { key: x.id, value: x.id }, x.keyset + ' ' + clock(instant(x.opened)) + (x.outcome ? ' ' + ended(x.outcome) : ' open'))))
        : r && h('span.card-note', { key: 'note' }, r.keyset + ' · ' + (r.outcome ? ended(r.outcome) : 'open'))),
    h('ol.steps', Object.keys(titles).map((name, i) => step(r?.steps?.find((s) => s.name === name) || { number: i + 1, name, state: 'pending' }, r))),
    !r && h('p.small', { key: 'none' }, 'No rotation yet. It begins in Slack.'));
}

function step(s, r) {
  const [mark, word] = marks[s.state] || ['?', s.state];
  const from = instant(s.started);
  const to = instant(s.ended);
  const waits = s.waits_for && s.waits_for !== 'bot' && s.state === 'running' && !r?.outcome;
  const items = s.items || [];
  const open = s.state === 'failed' || s.state === 'running' && s.name !== 'precheck';
  return h('li.step', { key: s.name + (r?.id || ''), test: 'step-' + s.name, 'data-state': s.state, class: 'step-' + s.state, 'aria-current': s.state === 'running' ? 'step' : null },
    h('span.step-mark', { 'aria-hidden': 'true' }, mark || s.number),
    h('div.step-main',
      h('div.step-top', h('span.step-title', h('span.sr', 'Step ' + s.number + ': '), titles[s.name] || s.name, h('span.sr', ', ' + word)),
        h('span.step-took', s.state === 'running' && from > 0
          ? h('span', { key: 'run', 'data-from': from }, stepText(from))
          : from > 0 && to > 0 ? took(to - from) : '')),
      waits && h('p.step-waits', { key: 'waits' }, 'waits for a person'),
      s.problem?.text && s.state !== 'done' && h('p.step-problem', { key: 'problem' }, s.problem.text, s.problem.fix && h('span.step-fix', s.problem.fix)),
      items.length > 0 && h('details.step-items', { key: 'items', hook: opener(open) }, h('summary', counts(items)), h('ul', items.map(item)))));
}

// opener opens details when a step needs eyes and folds them when it no longer
// does; what the person did in between stays.
function opener(open) {
  return (el, made) => {
    if (el._wanted === open && !made) return;
    el._wanted = open;
    el.open = open;
  };
}

function counts(items) {
  const n = (state) => items.filter((i) => i.state === state).length;
  const said = [[n('done'), 'done'], [n('running'), 'running'], [n('pending'), 'to come'], [n('failed'), 'failed'], [n('skipped'), 'skipped']];
  return said.filter(([k]) => k > 0).map(([k, w]) => k + ' ' + w).join(', ');
}

function item(i) {
  const [mark, word] = marks[i.state] || ['?', i.state];
  const label = i.name.replace(/_/g, ' ');
  return h('li.item', { key: i.name, class: 'item-' + i.state + (i.level ? ' item-' + i.level : '') },
    h('span.item-mark', { 'aria-hidden': 'true' }, i.level === 'unproven' ? '?' : mark || '·'),
    h('span.item-name', label, h('span.sr', ', ' + (i.level === 'unproven' ? 'not provable without writing' : word))),
    h('span.item-detail', i.problem?.text || i.detail || ''),
    instant(i.started) > 0 && instant(i.ended) > 0 && h('span.item-took', took(instant(i.ended) - instant(i.started))));
}

function auditCard() {
  const a = data.audit || { intact: true, rows: rows.length };
  return h('section.card', { key: 'audit', 'aria-labelledby': 'audit-title' },
    h('div.card-head', h('h2', { id: 'audit-title' }, 'Audit record'),
      h('span.pill', { test: 'audit-chain', 'data-intact': String(a.intact), class: a.intact ? 'pill-good' : 'pill-bad', title: a.problem || null },
        h('span', { 'aria-hidden': 'true' }, a.intact ? '⛓ ' : '✕ '), a.intact ? 'chain intact, ' + a.rows + (a.rows === 1 ? ' row' : ' rows') : 'chain broken')),
    a.problem && h('p.trouble', { key: 'problem', role: 'alert' }, a.problem),
    rows.length === 0 ? h('p.small', { key: 'none' }, 'Nothing to witness yet.')
      : h('ol.audit', { key: 'rows', tabindex: '0', 'aria-label': 'Rows, newest first' }, rows.slice(-200).reverse().map(auditRow)));
}

function auditRow(row) {
  const action = row.action.replace(/^secret\.rotate\./, '');
  const about = [row.step && row.step + (row.context?.state ? ' ' + row.context.state : ''), ...context(row.context)].filter(Boolean).join(', ').replace(/_/g, ' ');
  return h('li.audit-row', { key: row.seq, title: row.action + '\n' + (row.hash || '') },
    h('span.audit-seq', row.seq), h('span.audit-at', clock(instant(row.at), true)),
    h('span.audit-what', h('strong', action), about && h('span.audit-about', ' ' + about), h('span.audit-who', (row.actor || '').split('@')[0])));
}

// context picks what is worth a glance; the whole row is in the record.
function context(c) {
  if (!c || typeof c !== 'object') return [];
  const out = [];
  for (const [k, v] of Object.entries(c)) {
    if (['state', 'number', 'sop', 'sop_version', 'method', 'request_id'].includes(k) || k === 'round' && v === 1 || v === '' || typeof v === 'object') continue;
    if (k === 'took_ms') out.push(took(v));
    else if (k.endsWith('_ms')) out.push(k.slice(0, -3) + ' ' + took(v));
    else if (!/^\d{4}-\d\d-\d\dT/.test(v) && String(v).length < 40) out.push(k + ' ' + v);
  }
  return out.slice(0, 4);
}

// Running numbers: only text changes, in boxes of fixed width.
const calm = matchMedia('(prefers-reduced-motion: reduce)');
let timer = 0;

function run() {
  const e = current()?.exposure;
  const running = e?.running || $('rotation').querySelector('[data-from]');
  clearTimeout(timer);
  if (running) timer = setTimeout(beat, calm.matches ? 1000 : 100);
}

function beat() {
  const e = current()?.exposure;
  const el = $('exposed-time');
  if (el && e?.running) el.firstChild.data = exposedText(e);
  for (const s of $('rotation').querySelectorAll('[data-from]')) s.firstChild.data = stepText(Number(s.dataset.from));
  drawBar();
  run();
}

function drawBar() {
  const e = current()?.exposure;
  const bar = $('bar-exposed');
  const any = instant(e?.from) > 0;
  bar.classList.toggle('is-calm', !any);
  bar.classList.toggle('is-dead', !!e?.running);
  $('bar-exposed-text').textContent = any ? (e.running ? 'exposed ' : 'was exposed ') + exposedText(e) : 'not exposed';
  const bot = $('bar-bot');
  bot.dataset.state = data.botRunning ? 'on' : 'off';
  const word = data.botRunning ? 'Bot runs' : 'Bot is down';
  if (bot.textContent !== word) {
    if (bot.textContent !== 'Bot …') say(word, !data.botRunning);
    bot.textContent = word;
  }
}

