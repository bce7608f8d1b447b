// The Slack part: who you are, channels, the message box with its commands, the
// app's Home tab. Messages are in messages.js, the modal is in modal.js.
import { $, h, patch, recall, remember, say } from './dom.js';
import { post } from './api.js';
import { blocks } from './blockkit.js';
import * as messages from './messages.js';
import * as modal from './modal.js';
import { names, plain } from './mrkdwn.js';

let data = null; // the section "slack"
let command = '/rotate-alpaca-paper';
let team = 'Raxx';
let open = ''; // channel id, or "home"
let homeAsked = false;
let onPerson = () => {};
let onSent = () => {};

// begin wires the part up. person is called with the id of who is chosen, sent
// with the text of each message that was sent.
export function begin({ person, sent }) {
  onPerson = person;
  onSent = sent;
}

export function hello(d) {
  command = d.workspace?.command || command;
  team = d.workspace?.team || team;
}

// show takes the section "slack".
export function show(d) {
  const other = data && data.as !== d.as;
  data = d;
  messages.setPeople(d.as, d.people);
  names.people = new Map(d.people.map((p) => [p.id, p.name]));
  names.channels = new Map(d.channels.map((c) => [c.id, c.name]));
  if (other) homeAsked = false;
  if (!open || open !== 'home' && !d.channels.some((c) => c.id === open)) {
    const first = d.channels.find((c) => c.id === recall('channel')) || d.channels.find((c) => c.name === 'ops') || d.channels.find((c) => c.kind === 'channel') || d.channels[0];
    open = first?.id ?? 'home';
    if (open !== 'home') messages.show(open);
  }
  if (open === 'home' && !homeAsked) askHome();
  draw();
  modal.show(d.as, d.modal);
}

export function takeMessages(d) { messages.take(d, drawSide); }

const me = () => data.people.find((p) => p.id === data.as);

function draw() {
  drawSide();
  drawHead();
  drawHome();
  drawComposer();
}

function drawSide() {
  if (!data) return;
  const p = me();
  const line = p?.title || [...(p?.roles || []), p?.guest && 'guest', p?.external && 'external'].filter(Boolean).join(', ') || 'no role';
  patch($('slack-side'),
    h('p.team', team),
    h('div.whoami',
      h('label.side-label', { for: 'slack-person' }, 'You are'),
      h('select.person', { id: 'slack-person', test: 'slack-person', value: data.as, onchange: (e) => onPerson(e.currentTarget.value) },
        data.people.filter((x) => !x.bot).map((x) => h('option', { key: x.id, value: x.id }, x.name))),
      h('p.whoami-line', line)),
    h('div.side-list',
      h('h2.side-head', 'Channels'),
      data.channels.filter((c) => c.kind === 'channel').map(entry),
      h('h2.side-head', 'Apps'),
      h('button.side-item', { type: 'button', test: 'home-tab', class: open === 'home' ? 'is-open' : '', 'aria-current': open === 'home' ? 'page' : null, onclick: () => go('home') },
        h('span.side-icon', { 'aria-hidden': 'true' }, '⌂'), h('span.side-name', 'Home', h('span.sr', ' of Keyturn'))),
      data.channels.some((c) => c.kind !== 'channel') && h('h2.side-head', 'Direct messages'),
      data.channels.filter((c) => c.kind !== 'channel').map(entry)));
}

function entry(c) {
  const n = messages.unread(c.id);
  const here = open === c.id;
  return h('button.side-item', {
    key: c.id, type: 'button', test: 'slack-channel-' + c.id, class: (here ? 'is-open' : '') + (n > 0 ? ' is-unread' : ''),
    'aria-current': here ? 'page' : null, onclick: () => go(c.id),
  },
  h('span.side-icon', { 'aria-hidden': 'true' }, c.kind === 'channel' ? '#' : '🔑'), h('span.side-name', c.kind === 'channel' ? c.name : nameOfDM(c)),
  n > 0 && h('span.side-count', h('span', { 'aria-hidden': 'true' }, n), h('span.sr', n + ' new')));
}

const nameOfDM = (c) => data.people.find((p) => p.id === c.with)?.name || c.name || 'Keyturn';

// go opens a channel or "home".
export function go(id) {
  open = id;
  if (id === 'home') askHome();
  else {
    remember('channel', id);
    messages.show(id);
  }
  draw();
  if (id !== 'home') $('composer-text').focus({ preventScroll: true });
}

async function askHome() {
  homeAsked = true;
  const res = await post('slack/home', { as: data.as });
  if (!res.ok) say(res.error, true);
}

function drawHead() {
  const c = data.channels.find((x) => x.id === open);
  patch($('channel-head'),
    h('h2.channel-name', open === 'home' ? 'Keyturn' : c ? (c.kind === 'channel' ? '# ' + c.name : nameOfDM(c)) : ''),
    open !== 'home' && c?.kind === 'channel' && !c.member && h('span.channel-note', 'You are not in this channel'),
    (open === 'home' || c && c.kind !== 'channel') && h('span.badge', 'APP'),
    h('span.online', { class: data.botOnline ? 'is-on' : 'is-off' }, h('span.dot', { 'aria-hidden': 'true' }), data.botOnline ? 'Keyturn is online' : 'Keyturn is offline'));
}

function drawHome() {
  const home = $('home');
  const here = open === 'home';
  home.hidden = !here;
  $('messages').hidden = here;
  $('composer').hidden = here;
  if (!here) return;
  const view = data.home?.view;
  const surface = {
    uid: 'home', values: {}, errors: {},
    async press(block, element, extra) {
      const res = await post('slack/press', { as: data.as, where: 'home', block_id: block.block_id, action_id: element.action_id, text: plain(element.text), ...extra });
      if (!res.ok) { say(res.error, true); }
    },
    input(block, element, change) {
      this.press(block, element, { option: change.selected?.[0] ?? change.text });
    },
  };
  patch(home, view ? h('div.bk', { key: 'view' }, blocks(view.blocks, surface))
    : h('div.home-none', { key: 'none' }, h('p.home-icon', { 'aria-hidden': 'true' }, '🔑'), h('p', h('strong', 'Nothing here yet.')), h('p', data.botOnline ? 'The app has not published a Home tab for you.' : 'The bot is offline. Start it again in the part “Rotation”.')));
}

// The message box.

const box = $('composer-text');
let picked = -1;

function drawComposer() {
  const c = data.channels.find((x) => x.id === open);
  const name = c ? (c.kind === 'channel' ? '#' + c.name : nameOfDM(c)) : '';
  patch($('composer-label'), 'Message ' + name);
  box.placeholder = 'Message ' + name;
}

const choices = () => [
  [command + ' prod', 'start a rotation, or open the one that runs'],
  [command + ' status', 'due dates, what the sentinel sees, open rotations'],
  [command + ' history', 'earlier rotations'],
  [command + ' check', 'try everything that a rotation needs; changes nothing'],
  [command + ' reset', 'somebody reset or deleted the account'],
  [command + ' help', 'what it can do'],
  [command, 'choose a key set'],
];

function drawSuggest() {
  const text = box.value;
  const list = text.startsWith('/') ? choices().filter(([t]) => t.startsWith(text.trimEnd()) && t !== text) : [];
  if (picked >= list.length) picked = -1;
  $('suggest').hidden = list.length === 0;
  if (picked >= 0) box.setAttribute('aria-activedescendant', 'suggest-' + picked);
  else box.removeAttribute('aria-activedescendant');
  patch($('suggest'), list.map(([t, about], i) => h('div.suggest-row', {
    id: 'suggest-' + i, role: 'option', 'aria-selected': i === picked ? 'true' : 'false', class: i === picked ? 'is-picked' : '',
    onmousedown: (e) => { e.preventDefault(); insert(t); },
  }, h('code', t), h('span', about))));
  return list;
}

// insert puts text into the message box.
export function insert(text, select = false) {
  box.value = text;
  box.focus();
  if (select) box.select();
  grow();
  drawSuggest();
}

const ops = () => data?.channels.find((c) => c.name === 'ops');

// goOps opens the channel in which the command works.
export function goOps() { if (ops() && open !== ops().id) go(ops().id); }

export const inOps = () => open === ops()?.id;

export const composerEmpty = () => box.value === '';

function grow() {
  box.style.height = 'auto';
  box.style.height = Math.min(box.scrollHeight, 140) + 'px';
}

let busy = false;

async function send() {
  const text = box.value.trim();
  if (!text || busy || !data) return;
  busy = true;
  $('composer').classList.add('is-busy');
  box.value = '';
  grow();
  drawSuggest();
  onSent(text);
  const res = await post('slack/command', { as: data.as, channel: open, text });
  busy = false;
  $('composer').classList.remove('is-busy');
  if (!res.ok || res.error) messages.trouble(res.error || 'That did not work.');
}

box.setAttribute('aria-autocomplete', 'list');
box.setAttribute('aria-controls', 'suggest');
box.addEventListener('input', () => { picked = -1; grow(); drawSuggest(); });
box.addEventListener('blur', () => { $('suggest').hidden = true; });
box.addEventListener('focus', drawSuggest);
box.addEventListener('keydown', (e) => {
  const list = $('suggest').hidden ? [] : [...$('suggest').children];
  if (list.length > 0 && (e.key === 'ArrowDown' || e.key === 'ArrowUp')) {
    e.preventDefault();
    picked = (picked + (e.key === 'ArrowDown' ? 1 : list.length - (picked < 0 ? 0 : 1))) % list.length;
    drawSuggest();
  } else if (list.length > 0 && picked >= 0 && (e.key === 'Tab' && !e.shiftKey || e.key === 'Enter')) {
    e.preventDefault();
    const text = list[picked].querySelector('code').textContent;
    picked = -1;
    insert(text);
  } else if (e.key === 'Escape' && list.length > 0) {
    $('suggest').hidden = true;
  } else if (e.key === 'Enter' && !e.shiftKey && !e.isComposing) {
    e.preventDefault();
    send();
  }
});
$('composer').addEventListener('submit', (e) => { e.preventDefault(); send(); });
names.onChannel = (id) => { if (data?.channels.some((c) => c.id === id)) go(id); };

// state is what the coach looks at.
export const state = () => ({ open, modal: modal.state(), home: data?.home, as: data?.as, command });
