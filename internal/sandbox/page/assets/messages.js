// Messages: kept by channel, drawn for the one that is open. The list only
// grows at its end; older messages than the last hundred are drawn on demand.
import { $, h, make, patch, say } from './dom.js';
import { post } from './api.js';
import { blocks } from './blockkit.js';
import { mrkdwn, names, plain } from './mrkdwn.js';
import { clock, dayOf } from './words.js';

const store = new Map(); // channel → {list: [message in order of ts], byTS, unread}
const page = 100;
let as = '';
let people = new Map();
let open = ''; // channel on the screen
let thread = ''; // ts of the root of the open thread
let shown = page; // how many of the newest are drawn
let rows = new Map(); // ts → <li>
let history = true; // what comes now was there before this page looked

function room(channel) {
  let r = store.get(channel);
  if (!r) store.set(channel, r = { list: [], byTS: new Map(), unread: 0 });
  return r;
}

// setPeople says who is who, and whose eyes these are.
export function setPeople(who, list) {
  as = who;
  people = new Map(list.map((p) => [p.id, p]));
}

export const unread = (channel) => store.get(channel)?.unread ?? 0;
export const latest = (channel) => store.get(channel)?.list.at(-1);

// take takes messages from the stream; onUnread is told when the marks of
// channels may have changed.
export function take({ reset, messages }, onUnread) {
  const list = messages || [];
  if (reset) {
    history = true;
    store.clear();
    rows.clear();
    $('message-list').replaceChildren();
  }
  const old = history;
  let redraw = old || list.length > 40;
  const stick = atEnd();
  for (const m of list) {
    const r = room(m.channel);
    const had = r.byTS.get(m.ts);
    if (had && had.n > m.n) continue;
    if (m.deleted) {
      if (had) { r.byTS.delete(m.ts); r.list.splice(r.list.indexOf(had), 1); redraw ||= m.channel === open; }
      continue;
    }
    if (had) {
      r.list[r.list.indexOf(had)] = m;
      r.byTS.set(m.ts, m);
      if (m.channel === open && !redraw) change(m);
      continue;
    }
    r.byTS.set(m.ts, m);
    let at = r.list.length;
    while (at > 0 && r.list[at - 1].ts > m.ts) at--;
    r.list.splice(at, 0, m);
    if (m.channel === open && !redraw) {
      if (at === r.list.length - 1 && !isReply(m)) append(m);
      else if (isReply(m)) change(r.byTS.get(m.thread_ts));
      else redraw = true;
    }
    if (!old && m.user !== as) {
      if (m.channel !== open) r.unread++;
      if (list.length <= 3) say((m.ephemeral ? 'Only for you, from ' : 'New message from ') + nameOf(m.user) + ': ' + aloud(m.text));
    }
  }
  if (redraw && !old) shown += list.length;
  if (redraw) drawAll(old || stick);
  else if (stick) toEnd();
  drawThread();
  onUnread();
  if (list.length < chunk) settled();
}

// Long histories come in chunks of this many; a shorter one is the last.
const chunk = 200;

// settled says that all old messages are here: from now on they are news.
function settled() { history = false; }

// aloud is a text as it is read out: without marks, and with names and dates.
function aloud(source) {
  const el = document.createElement('div');
  patch(el, mrkdwn(source || ''));
  return el.textContent;
}

const isReply = (m) => m.thread_ts && m.thread_ts !== m.ts;

// show opens a channel.
export function show(channel) {
  if (open !== channel) { open = channel; shown = page; closeThread(); }
  room(channel).unread = 0;
  drawAll(true);
}

function atEnd() {
  const box = $('messages');
  return box.scrollHeight - box.scrollTop - box.clientHeight < 60;
}

// toEnd scrolls down, again after the first layout: rows that were never drawn
// have only a guessed height until then.
function toEnd(again = 2) {
  const box = $('messages');
  box.scrollTop = box.scrollHeight;
  if (again > 0) requestAnimationFrame(() => toEnd(again - 1));
}

function roots() { return room(open).list.filter((m) => !isReply(m)); }

function drawAll(end) {
  const list = roots();
  const part = list.slice(-shown);
  const ol = $('message-list');
  rows = new Map();
  const nodes = [];
  let before = list.length > part.length ? list[list.length - part.length - 1] : null;
  for (const m of part) {
    nodes.push(row(m, before));
    before = m;
  }
  if (nodes.length === 0) nodes.push(make(h('li.message-none', 'Quiet in here. Too quiet.')));
  ol.replaceChildren(...nodes);
  $('older').hidden = list.length <= part.length;
  if (end) toEnd();
}

function append(m) {
  const list = roots();
  const ol = $('message-list');
  ol.querySelector('.message-none')?.remove();
  ol.append(row(m, list.at(-2)));
  shown++;
}

function change(m) {
  const li = m && rows.get(m.ts);
  if (li) fill(li, m);
}

function row(m, before) {
  const li = make(h('li.message', { test: 'slack-message-' + m.ts, 'data-ts': m.ts }));
  li._before = before ? { at: atOf(before), user: before.user, ephemeral: before.ephemeral } : null;
  rows.set(m.ts, li);
  fill(li, m);
  return li;
}

const atOf = (m) => Date.parse(m.at) || Number(m.ts) * 1000;

function fill(li, m) {
  const b = li._before;
  const at = atOf(m);
  const sameDay = b && new Date(b.at).toDateString() === new Date(at).toDateString();
  const compact = sameDay && b.user === m.user && at - b.at < 300000 && !m.ephemeral && !b.ephemeral;
  li.classList.toggle('is-ephemeral', !!m.ephemeral);
  patch(li,
    !sameDay && h('div.day', { key: 'day' }, h('span', dayOf(at))),
    h('article.message-row', { key: 'row', class: compact ? 'is-compact' : '' }, content(m, 'm', compact, true)));
}

function content(m, uid, compact, replies) {
  const p = people.get(m.user);
  const when = clock(atOf(m));
  const channel = m.channel;
  const said = replies ? room(channel).list.filter((x) => x.thread_ts === m.ts && x.ts !== m.ts) : [];
  return [
    h('div.message-left', { 'aria-hidden': 'true' }, compact ? h('span.message-hover', when) : avatar(m.user)),
    h('div.message-main',
      m.ephemeral && h('p.message-only', h('span', { 'aria-hidden': 'true' }, '👁 '), 'Only visible to you'),
      h('p.message-by', { class: compact ? 'sr' : '' },
        h('strong', nameOf(m.user)), isApp(m.user) && h('span.badge', 'APP'), p?.external && h('span.badge', 'EXTERNAL'), ' ',
        h('time.message-at', { datetime: new Date(atOf(m)).toISOString() }, when)),
      m.blocks && m.blocks.length > 0
        ? h('div.bk', blocks(m.blocks, surface(m, uid)))
        : h('div.message-text', mrkdwn(m.text || '')),
      m.edited && !(m.blocks && m.blocks.length > 0) && h('span.message-edited', '(edited)'),
      said.length > 0 && h('button.replies', { type: 'button', onclick: () => { thread = m.ts; drawThread(true); } },
        said.length + (said.length === 1 ? ' reply' : ' replies'), h('span.replies-last', ' last at ' + clock(atOf(said.at(-1))))))];
}

function surface(m, uid) {
  const state = {};
  return {
    uid: uid + '-' + m.ts.replace('.', '-'),
    values: state,
    async press(block, element, extra) {
      const res = await post('slack/press', { as, where: 'message', channel: m.channel, ts: m.ts, block_id: block.block_id, action_id: element.action_id, text: plain(element.text), ...extra });
      if (!res.ok) trouble(res.error || 'That did not work.');
    },
    input(block, element, change) {
      post('slack/press', { as, where: 'message', channel: m.channel, ts: m.ts, block_id: block.block_id, action_id: element.action_id, option: change.selected?.[0] ?? change.text })
        .then((res) => { if (!res.ok) trouble(res.error || 'That did not work.'); });
    },
  };
}

// trouble shows Slack's own warning: a line from Slackbot that only this person sees.
export function trouble(text) {
  say(text, true);
  const ol = $('message-list');
  ol.querySelector('.message-none')?.remove();
  ol.append(make(h('li.message.is-ephemeral', h('article.message-row',
    h('div.message-left', { 'aria-hidden': 'true' }, h('span.avatar.avatar-slackbot', '♥')),
    h('div.message-main', h('p.message-only', h('span', { 'aria-hidden': 'true' }, '👁 '), 'Only visible to you'),
      h('p.message-by', h('strong', 'Slackbot')), h('div.message-text.message-trouble', text))))));
  toEnd();
}

// avatar is a square with initials; apps have the key.
export function avatar(id) {
  if (isApp(id)) return h('span.avatar.avatar-app', '🔑');
  const name = nameOf(id);
  let sum = 0;
  for (const c of id || '') sum = (sum * 31 + c.charCodeAt(0)) % 6;
  return h('span.avatar', { class: 'avatar-' + sum }, (name[0] || '?').toUpperCase());
}

export const isApp = (id) => people.get(id)?.bot === true || !people.has(id);

export function nameOf(id) {
  const p = people.get(id);
  if (p?.bot || !p) return p?.name || names.people.get(id) || 'Keyturn';
  return p.name;
}

function closeThread() {
  thread = '';
  drawThread();
}

function drawThread(focus = false) {
  const aside = $('thread');
  const r = room(open);
  const root = thread && r.byTS.get(thread);
  aside.hidden = !root;
  $('slack').classList.toggle('has-thread', !!root);
  if (!root) { patch(aside); return; }
  const list = r.list.filter((m) => m.ts === thread || m.thread_ts === thread);
  patch(aside,
    h('div.thread-head', h('h2', 'Thread'), h('button.icon-btn', { type: 'button', 'aria-label': 'Close thread', onclick: closeThread }, '✕')),
    h('ol.message-list.thread-list', list.map((m) => h('li.message', { key: m.ts, test: m.ts === thread ? null : 'slack-message-' + m.ts }, h('article.message-row', content(m, 't', false, false))))));
  if (focus) aside.querySelector('button').focus();
}

$('older').addEventListener('click', () => {
  const box = $('messages');
  const from = box.scrollHeight - box.scrollTop;
  shown += 200;
  drawAll(false);
  box.scrollTop = box.scrollHeight - from;
  $('messages').focus({ preventScroll: true });
});

$('thread').addEventListener('keydown', (e) => { if (e.key === 'Escape') closeThread(); });

