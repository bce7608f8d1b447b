// The modal of the person on the screen: title bar, stack with a way back,
// inputs that keep what is typed while the bot redraws the view, busy, errors.
import { $, ask, h, patch, say } from './dom.js';
import { post } from './api.js';
import { blocks } from './blockkit.js';
import { plain } from './mrkdwn.js';

let as = '';
let now = null; // what the sandbox says
let errors = {};
let submitting = false;
let closing = '';
let note = '';
let back = null; // what had the focus before

// pending holds what was typed or chosen and is not yet at the sandbox.
const pending = new Map();
const settled = new Map(); // key → when it arrived; events sent before that may be older
let timer;
let sending = Promise.resolve();

const surface = {
  uid: 'modal',
  values: {},
  errors: {},
  input(block, element, change) {
    const key = block.block_id + '|' + element.action_id;
    pending.set(key, { view: now?.id, block_id: block.block_id, action_id: element.action_id, ...change });
    remember(block, element, change);
    clearTimeout(timer);
    timer = setTimeout(flush, change.selected ? 0 : 150);
    if (change.selected) draw();
  },
  flush: () => { if (pending.size > 0) flush(); },
  enter: () => submit(),
  waiting: (key) => pending.has(key) || Date.now() - (settled.get(key) || 0) < 400,
  async press(block, element, extra) {
    await flush();
    const res = await post('slack/press', { as, where: 'modal', block_id: block.block_id, action_id: element.action_id, text: plain(element.text), ...extra });
    note = res.ok ? '' : res.error || 'That did not work.';
    if (!res.ok) say(note, true);
    draw();
  },
};

// local remembers what the person chose until the sandbox says the same.
const local = new Map();

function remember(block, element, change) {
  const key = block.block_id + '|' + element.action_id;
  if (change.text !== undefined) { local.set(key, { value: change.text }); return; }
  const all = [...(element.options || []), ...(element.option_groups || []).flatMap((g) => g.options)];
  const picked = all.filter((o) => change.selected.includes(o.value));
  local.set(key, { selected_option: picked[0] ?? null, selected_options: picked, selected_date: change.selected[0], selected_time: change.selected[0] });
}

// flush sends what waits and resolves when the sandbox has it.
function flush() {
  clearTimeout(timer);
  const batch = [...pending.entries()];
  sending = sending.then(async () => {
    for (const [key, change] of batch) {
      if (change.view === now?.id) {
        const { view, ...body } = change;
        const res = await post('slack/input', { as, ...body });
        if (!res.ok) { note = res.error || 'That did not work.'; say(note, true); draw(); }
      }
      settled.set(key, Date.now());
      if (pending.get(key) === change) pending.delete(key);
    }
  });
  return sending;
}

async function submit() {
  if (!now || submitting || now.busy || !now.view.submit) return;
  submitting = true;
  note = '';
  const id = now.id;
  draw();
  await flush();
  const res = await post('slack/submit', { as });
  submitting = false;
  if (now && now.id === id) {
    errors = res.errors || {};
    note = res.trouble || (res.ok ? '' : res.error || '');
    if (note) say(note, true);
  }
  draw();
  complain();
}

// complain leads to the first input with an error, and reads it out.
function complain() {
  const first = $('modal-layer').querySelector('.bk-wrong input, .bk-wrong select, .bk-wrong textarea');
  if (!first) return;
  say(Object.values(surface.errors).join(' '), true);
  first.focus();
}

async function close(all) {
  if (!now || closing) return;
  if (typedSomething() && !(await ask({
    title: 'Close this window?', text: 'What you typed here is not sent yet and will be gone. The rotation itself stays as it is.', yes: 'Close', no: 'Stay here', danger: true,
  }))) return;
  if (!now) return;
  closing = now.id;
  pending.clear();
  const res = await post('slack/close', { as, all });
  closing = '';
  if (!res.ok) { note = res.error; draw(); }
}

function typedSomething() {
  if (!now?.view.submit) return false;
  return [...$('modal-layer').querySelectorAll('.bk-typed')].some((el) => el.value !== '');
}

// show takes what the sandbox says about the modal of person who.
export function show(who, modal) {
  const other = who !== as;
  if (other || modal?.id !== now?.id) {
    pending.clear();
    local.clear();
    settled.clear();
    errors = {};
    note = '';
    submitting = false;
  }
  const opened = modal && !now;
  const closed = !modal && now;
  const turned = modal && now && modal.view.callback_id !== now.view.callback_id;
  as = who;
  now = modal;
  if (modal) {
    errors = modal.errors || {};
    surface.values = merged(modal.values || {});
  }
  if (opened) back = document.activeElement;
  draw();
  if (opened) {
    say(plain(modal.view.title) + ', window opened');
    focusInside();
  } else if (turned) {
    fromTheTop();
  } else if (closed) {
    say('Window closed');
    if (document.activeElement === document.body) (back && back.isConnected && back !== document.body ? back : $('composer-text')).focus({ preventScroll: true });
  }
}

// merged lays what is still under way over what the sandbox says.
function merged(values) {
  const out = {};
  for (const [block, actions] of Object.entries(values)) {
    out[block] = {};
    for (const [action, state] of Object.entries(actions)) {
      const key = block + '|' + action;
      out[block][action] = surface.waiting(key) && local.has(key) ? { ...state, ...local.get(key) } : state;
    }
  }
  return out;
}

function focusInside() {
  const layer = $('modal-layer');
  const first = layer.querySelector('.modal-body input:not([type=hidden]), .modal-body select, .modal-body textarea');
  const long = layer.querySelector('.modal-body');
  // A first input far below would scroll what must be read out of sight.
  if (first && first.getBoundingClientRect().top < long.getBoundingClientRect().bottom) first.focus({ preventScroll: true });
  else layer.querySelector('.modal')?.focus({ preventScroll: true });
}

// fromTheTop begins to read another view where it begins, not where the last one
// was left.
function fromTheTop() {
  const layer = $('modal-layer');
  layer.querySelector('.modal-body').scrollTop = 0;
  if (layer.contains(document.activeElement)) focusInside();
}

function draw() {
  const layer = $('modal-layer');
  layer.hidden = !now;
  $('slack').inert = !!now;
  document.body.classList.toggle('has-modal', !!now);
  if (!now) { patch(layer); return; }
  surface.errors = errors;
  surface.values = merged(now.values || {});
  const view = now.view;
  const busy = submitting || now.busy;
  const trouble = note || now.trouble;
  const had = layer.contains(document.activeElement);
  patch(layer, h('div.modal', {
    key: now.id, role: 'dialog', 'aria-modal': 'false', 'aria-labelledby': 'modal-title', tabindex: '-1', test: 'slack-modal', 'aria-busy': busy ? 'true' : 'false',
  },
  h('div.modal-head',
    now.depth > 1 && h('button.icon-btn', { type: 'button', 'aria-label': 'Back', title: 'Back', onclick: () => close(false) }, '‹'),
    h('span.modal-app', { 'aria-hidden': 'true' }, '🔑'),
    h('h2.modal-title', { id: 'modal-title' }, plain(view.title)),
    h('button.icon-btn', { type: 'button', 'aria-label': 'Close all windows', title: 'Close', test: 'slack-modal-x', onclick: () => close(true) }, '✕')),
  h('div.modal-body', { key: 'body', tabindex: '0', role: 'group', 'aria-label': 'Content of the window' },
    trouble && h('p.modal-trouble', { key: 'trouble', role: 'alert' }, trouble),
    h('div.bk', { key: 'blocks' }, blocks(view.blocks, surface))),
  h('div.modal-foot', { key: 'foot' },
    h('span.modal-hint', h('kbd', 'F6'), ' next part of the page'),
    h('button.btn', { type: 'button', test: 'slack-modal-close', onclick: () => close(false) }, plain(view.close) || 'Close'),
    view.submit && h('button.btn.btn-primary', { key: 'submit', type: 'button', test: 'slack-modal-submit', class: busy ? 'is-busy' : '', disabled: view.submit_disabled === true, 'aria-disabled': busy ? 'true' : null, onclick: () => submit() },
      plain(view.submit), h('span.spin', { 'aria-hidden': 'true' })))));
  if (had && !layer.contains(document.activeElement)) layer.querySelector('.modal').focus({ preventScroll: true });
}

$('modal-layer').addEventListener('keydown', (e) => {
  if (e.key === 'Escape' && now) {
    e.preventDefault();
    close(false);
  }
});

// state tells the coach and the tabs what is open.
export const state = () => now;
