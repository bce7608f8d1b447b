// The fake dashboard of the broker. Its wording follows the real one, so that
// what people practise here is what they will do there.
import { ask, copy, h, say } from './dom.js';
import { post } from './api.js';
import { last4 } from './words.js';

let data = null;
let book = 'paper'; // what the switcher shows
let chosen = ''; // account number
let seen = {}; // account → key ID that View showed
let once = null; // {account, key_id, secret}: shown once
let told = {}; // what the copy buttons say
let trouble = '';
let busy = '';
let redraw = () => {};
let onSecret = () => {};

// begin wires the dashboard up; secret is called when a new pair is on the screen.
export function begin({ draw, secret }) {
  redraw = draw;
  onSecret = secret;
}

export const hasSecret = () => once !== null && once.account !== 'LIVE';

// focus leads the person here, from a link in Slack: to the switcher, which is
// what must be looked at first.
export function focus() {
  document.querySelector('[data-testid=alpaca-switch-' + book + ']')?.focus();
}

async function act(name, path, body, done = '') {
  busy = name;
  trouble = '';
  redraw();
  const res = await post(path, body);
  busy = '';
  if (!res.ok) { trouble = res.error || 'That did not work.'; say(trouble, true); } else if (done) say(done);
  redraw();
  return res;
}

const accounts = () => data?.accounts || [];

function account() {
  const list = accounts();
  return list.find((a) => a.number === chosen) || list.find((a) => a.ours) || list[0];
}

// view renders the dashboard.
export function view(section) {
  data = section;
  const live = book === 'live';
  const a = account();
  if (a) chosen = a.number;
  return h('section.card.alpaca', { key: 'alpaca', 'aria-labelledby': 'alpaca-title' },
    h('div.alpaca-top',
      h('div.switch', { role: 'group', 'aria-label': 'Trading book' },
        h('button', { type: 'button', test: 'alpaca-switch-paper', 'aria-pressed': String(!live), onclick: () => turn('paper') }, 'Paper'),
        h('button', { type: 'button', test: 'alpaca-switch-live', 'aria-pressed': String(live), onclick: () => turn('live') }, 'Live')),
      h('h2.alpaca-name', { id: 'alpaca-title' }, 'Alpaca', h('span.sr', ' dashboard'), h('span', { 'aria-hidden': 'true' }, ' 🦙'))),
    live ? liveView() : a ? paperView(a) : h('p.waiting', 'There is no paper account. Open one:'),
    trouble && h('p.trouble', { role: 'alert' }, trouble),
    !live && h('div.alpaca-more',
      !a && newButton(),
      a && h('details.more', { key: 'more' }, h('summary', 'Account settings'),
        h('div.more-body',
          h('p.small', 'Each of these kills the keys of ', h('span.mono', a.number), ', too. No dashboard says so.'),
          h('button.btn.btn-small', { type: 'button', test: 'alpaca-reset', onclick: () => reset(a) }, 'Reset Paper Account'),
          h('button.btn.btn-small.btn-danger', { type: 'button', test: 'alpaca-delete', onclick: () => remove(a) }, 'Delete Account'),
          h('button.btn.btn-small', { type: 'button', test: 'alpaca-block', onclick: () => act('block', 'alpaca/flags', { account: a.number, blocked: !a.blocked }) }, a.blocked ? 'Lift trading block' : 'Block trading')))));
}

function turn(to) {
  book = to;
  once = null;
  told = {};
  say(to === 'live' ? 'The dashboard shows the LIVE book' : 'The dashboard shows the paper book');
  redraw();
}

function liveView() {
  return h('div.alpaca-live', { key: 'live' },
    h('p.live-warning', h('strong', 'This is the LIVE book. '), 'Real money, in the real world. Keys made here start with AK, and the bot refuses them. Mistakes are welcome here, and only here.'),
    keys({ number: 'LIVE', keyID: '', last4: '' }, true));
}

function paperView(a) {
  return h('div', { key: 'paper' },
    h('label.field', { for: 'alpaca-account' }, 'Account'),
    h('select.select', { id: 'alpaca-account', test: 'alpaca-account', value: a.number, onchange: (e) => { chosen = e.currentTarget.value; told = {}; trouble = ''; redraw(); } },
      accounts().map((x) => h('option', { key: x.number, value: x.number }, x.number + (x.ours ? ' · ' + x.ours : '')))),
    h('dl.facts',
      fact('Status', h('span', { class: a.status === 'ACTIVE' && !a.blocked ? 'good' : 'bad' }, a.status + (a.blocked ? ', trading blocked' : ''))),
      fact('Equity', h('span.num', money(a.equity))),
      fact('Opened', h('span.num', (a.createdAt || '').slice(0, 10)))),
    keys(a, false),
    holdings(a),
    orders(a),
    h('div.pair', { key: 'market' }, h('label.toggle', h('input', { type: 'checkbox', role: 'switch', test: 'alpaca-market', checked: !!data.marketOpen, onchange: (e) => act('market', 'alpaca/market', { open: e.currentTarget.checked }) }),
      h('span', data.marketOpen ? 'Market open' : 'Market closed')), newButton()));
}

const newButton = () => h('button.btn.btn-small', { key: 'new', type: 'button', test: 'alpaca-new', onclick: openNew }, 'Open New Paper Account');

const fact = (name, value) => h('div', h('dt', name), h('dd', value));

function money(text) {
  const n = Number(text);
  return text && Number.isFinite(n) ? '$' + n.toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 }) : text || '–';
}

function keys(a, live) {
  const fresh = once && once.account === a.number ? once : null;
  const id = fresh ? fresh.key_id : seen[a.number] && seen[a.number] === a.keyID ? a.keyID : '';
  const has = !!(fresh || a.keyID || a.last4);
  const name = has ? 'Regenerate' : 'Generate New Keys';
  return h('div.keys', { key: 'keys', class: fresh ? 'is-fresh' : '' },
    h('h3', 'API Keys'),
    h('div.key-row', h('span.key-label', 'Key ID'),
      h('code.key-value', { id: 'alpaca-key-id', test: 'alpaca-key-id' }, id || (has ? '••••••••••' + (a.last4 || '') : 'none')),
      id && copyButton('key_id', 'alpaca-copy-key-id', 'Key ID', id, 'alpaca-key-id')),
    fresh && h('div.key-row', { key: 'secret' }, h('span.key-label', 'Secret'),
      h('code.key-value', { id: 'alpaca-secret', test: 'alpaca-secret' }, fresh.secret),
      copyButton('secret', 'alpaca-copy-secret', 'Secret', fresh.secret, 'alpaca-secret')),
    fresh && h('p.key-once', { key: 'once' }, 'The secret is shown once. Copy it before you leave this panel.'),
    h('div.key-acts',
      !live && has && !fresh && h('button.btn.btn-small', { key: 'view', type: 'button', test: 'alpaca-view-key', onclick: () => viewKey(a) }, 'View'),
      h('button.btn.btn-small.btn-alpaca', { key: 'regen', type: 'button', test: 'alpaca-regenerate', class: busy === 'regenerate' ? 'is-busy' : '', onclick: () => regenerate(a, live, name) }, name, h('span.spin', { 'aria-hidden': 'true' })),
      fresh && h('button.btn.btn-small', { key: 'hide', type: 'button', test: 'alpaca-hide-secret', onclick: () => { once = null; told = {}; redraw(); } }, 'I have both. Hide them')));
}

function copyButton(what, test, name, value, from) {
  const word = told[what] || 'Copy';
  return h('button.btn.btn-small.btn-copy', {
    key: test, type: 'button', test, 'aria-label': word + ' ' + name,
    onclick: async () => {
      told = { [what]: await copy(value, document.getElementById(from)) };
      say(name + ': ' + told[what]);
      redraw();
    },
  }, word);
}

async function viewKey(a) {
  const res = await act('view', 'alpaca/view', { account: a.number }, 'Key ID shown');
  if (res.ok) { seen[a.number] = res.key_id || a.keyID; redraw(); }
}

async function regenerate(a, live, name) {
  const fine = await ask({
    title: name + '?', yes: name, danger: true,
    text: live ? 'You are about to make LIVE keys. (Only pretend ones. This is a good place to learn what that looks like.)'
      : 'The key that is in use now stops working at once, everywhere. This cannot be undone. ' + (a.ours ? 'It is the one that “' + a.ours + '” trades with.' : ''),
  });
  if (!fine) return;
  const res = await act('regenerate', 'alpaca/regenerate', { account: a.number });
  if (!res.ok) return;
  once = { account: a.number, key_id: res.key_id, secret: res.secret };
  told = {};
  say('A new pair is on the screen. The secret is shown once.');
  redraw();
  onSecret();
  document.querySelector('[data-testid=alpaca-copy-key-id]')?.focus();
}

async function openNew() {
  const balance = await ask({ title: 'Open New Paper Account', text: 'A new account has a new number, and no keys yet.', yes: 'Open', input: { label: 'Starting balance in dollars', value: '100000', mode: 'numeric' } });
  if (balance) await act('new', 'alpaca/new', { balance: String(balance).replace(/[^0-9.]/g, '') }, 'Account opened');
}

async function reset(a) {
  if (await ask({ title: 'Reset Paper Account?', text: 'Balance, positions and orders start over. The account gets a new number, and its keys die without a word.', yes: 'Reset', danger: true })) {
    await act('reset', 'alpaca/reset', { account: a.number }, 'Account reset');
  }
}

async function remove(a) {
  if (await ask({ title: 'Delete ' + a.number + '?', text: 'The account and its keys are gone. There is no way back.', yes: 'Delete', danger: true })) {
    await act('delete', 'alpaca/delete', { account: a.number }, 'Account deleted');
  }
}

function holdings(a) {
  const list = a.positions || [];
  return h('details.more', { key: 'positions' }, h('summary', 'Positions ', h('span.count', list.length)),
    list.length === 0 ? h('p.small', 'None.') : h('ul.rows', list.map((p) => h('li', { key: p.symbol }, h('span', p.symbol), h('span.num', p.qty)))),
    h('span.sr', 'Last four of the key ID: ' + last4(a.last4)));
}

function orders(a) {
  const list = a.orders || [];
  return h('details.more', { key: 'orders' }, h('summary', 'Orders ', h('span.count', list.length)),
    list.length === 0 ? h('p.small', 'None.') : h('ul.rows', list.map((o) => h('li', { key: o.id }, h('span', o.side + ' ' + o.qty + ' ' + o.symbol + ', ' + o.type), h('span', { class: 'order-' + o.status }, o.status + (Number(o.filledQty) > 0 ? ' ' + o.filledQty : ''))))));
}
