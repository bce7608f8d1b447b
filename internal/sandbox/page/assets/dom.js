// A small declarative layer over the DOM: h() describes nodes, patch() makes a
// parent's children equal to a description while it keeps every node that it
// can. A kept node is never moved or rebuilt, so focus, caret, typed text,
// scroll position and open <details> survive. Text is only ever set as text.

// h describes an element: h('button.btn', {onclick: f, key: 'x'}, 'Press').
// Properties: key (identity among siblings), test (data-testid), $name (set when
// the node is made, never again), hook(el, made) (after each patch), on… and the
// live properties below; anything else is an attribute (false, null: absent).
export function h(selector, props, ...children) {
  if (props === null || typeof props !== 'object' || Array.isArray(props) || props.sel !== undefined) {
    if (props !== undefined) children.unshift(props);
    props = {};
  }
  const [tag, ...classes] = selector.split('.');
  return { sel: selector, tag, classes, props, key: props.key, children: flat(children) };
}

function flat(list) {
  const out = [];
  for (const c of list) {
    if (c === null || c === undefined || c === false || c === true || c === '') continue;
    if (Array.isArray(c)) out.push(...flat(c));
    else out.push(typeof c === 'object' ? c : String(c));
  }
  return out;
}

const live = new Set(['value', 'checked', 'disabled', 'hidden', 'selected', 'readOnly', 'open', 'inert', 'scrollTop', 'indeterminate']);

// patch makes the children of parent equal to the description.
export function patch(parent, ...list) {
  const want = flat(list);
  const keyed = new Map();
  const plain = [];
  for (const node of parent.childNodes) {
    if (node._key !== undefined) keyed.set(node._key + '|' + node._tag, node);
    else plain.push(node);
  }
  const taken = new Set();
  let next = 0;
  const nodes = want.map((v) => {
    let node = null;
    if (typeof v === 'string') {
      if (next < plain.length && plain[next].nodeType === 3) node = plain[next++];
      if (node === null) node = document.createTextNode(v);
      else if (node.data !== v) node.data = v;
    } else if (v.key !== undefined) {
      node = keyed.get(v.key + '|' + v.tag);
      if (node === undefined || taken.has(node)) node = make(v);
      else update(node, v);
    } else {
      if (next < plain.length && plain[next].nodeType === 1 && plain[next]._tag === v.tag) node = plain[next++];
      if (node === null) node = make(v);
      else update(node, v);
    }
    taken.add(node);
    return node;
  });
  for (const node of [...parent.childNodes]) if (!taken.has(node)) node.remove();
  let cursor = parent.firstChild;
  for (const node of nodes) {
    if (node === cursor) cursor = cursor.nextSibling;
    else parent.insertBefore(node, cursor);
  }
}

// make returns a new node.
export function make(v) {
  const el = document.createElement(v.tag);
  el._tag = v.tag;
  el._key = v.key;
  el._old = {};
  apply(el, v, true);
  return el;
}

function update(el, v) { apply(el, v, false); }

function apply(el, v, made) {
  const name = [...v.classes, v.props.class].filter(Boolean).join(' ');
  if (el._class !== name) {
    el.className = name;
    el._class = name;
  }
  const p = v.props;
  for (const k of Object.keys(el._old)) if (!(k in p)) set(el, k, null);
  if (v.tag !== 'select') for (const k of Object.keys(p)) assign(el, k, p[k], made);
  patch(el, v.children);
  if (v.tag === 'select') for (const k of Object.keys(p)) assign(el, k, p[k], made);
  el._old = p;
  if (p.hook) p.hook(el, made);
}

function assign(el, k, value, made) {
  if (k === 'key' || k === 'hook' || k === 'class') return;
  if (k[0] === '$') {
    if (made) set(el, k.slice(1), value);
    return;
  }
  if (k === 'test') k = 'data-testid';
  set(el, k, value);
}

function set(el, k, value) {
  if (k === 'test') k = 'data-testid';
  if (k === 'key' || k === 'hook' || k === 'class' || k[0] === '$') return;
  if (k.startsWith('on')) el[k] = value;
  else if (live.has(k)) {
    const v = value === null || value === undefined ? (k === 'value' ? '' : false) : value;
    if (el[k] !== v) el[k] = v;
  } else if (value === null || value === undefined || value === false) el.removeAttribute(k);
  else {
    const text = value === true ? '' : String(value);
    if (el.getAttribute(k) !== text) el.setAttribute(k, text);
  }
}

export const $ = (id) => document.getElementById(id);

const saying = new Map(); // live region → what it is about to say

// say announces text to people who do not see the page. What is said in the same
// moment is said together: one text would take the place of the other.
export function say(text, urgent = false) {
  if (!text) return;
  const el = $(urgent ? 'assertive' : 'polite');
  if (saying.has(el)) { saying.get(el).add(text); return; }
  saying.set(el, new Set([text]));
  el.textContent = '';
  setTimeout(() => {
    el.textContent = [...saying.get(el)].map((t) => (/[.!?…]$/.test(t) ? t : t + '.')).join(' ');
    saying.delete(el);
  }, 40);
}

// remember and recall keep small choices of the person between visits.
export function remember(key, value, forever = false) {
  try { (forever ? localStorage : sessionStorage).setItem('keyturn-' + key, value); } catch { /* private window */ }
}

export function recall(key) {
  try { return sessionStorage.getItem('keyturn-' + key) ?? localStorage.getItem('keyturn-' + key); } catch { return null; }
}

// ask shows a confirmation dialog and resolves to true, or to the text of its
// input where it has one, or to false.
export function ask({ title, text, yes = 'Yes', no = 'Cancel', danger = false, input = null }) {
  const box = $('ask');
  const back = document.activeElement;
  return new Promise((resolve) => {
    let answer = false;
    const done = () => {
      const typed = box.querySelector('input');
      answer = typed ? typed.value.trim() || false : true;
      box.close();
    };
    patch(box, h('form', { key: Math.random(), onsubmit: (e) => { e.preventDefault(); done(); } },
      h('h2', { id: 'ask-title' }, title),
      h('div.ask-text', text),
      input && h('label.field', input.label, h('input.text', { $value: input.value || '', inputmode: input.mode, autocomplete: 'off', spellcheck: 'false', test: 'ask-input' })),
      h('div.ask-foot',
        h('button.btn', { type: 'button', test: 'ask-no', onclick: () => box.close() }, no),
        h('button.btn', { type: 'submit', test: 'ask-yes', class: danger ? 'btn-danger' : 'btn-primary' }, yes))));
    box.onclose = () => {
      resolve(answer);
      if (back && back.isConnected) back.focus();
    };
    box.showModal();
    const first = box.querySelector('input') || box.querySelector(danger ? '[data-testid=ask-no]' : '[data-testid=ask-yes]');
    first.focus();
  });
}

// copy puts text on the clipboard; where that is not allowed it selects the text
// of el, so that Ctrl+C does it. It returns what to tell the person.
export async function copy(text, el) {
  try {
    await navigator.clipboard.writeText(text);
    return 'Copied';
  } catch {
    const range = document.createRange();
    range.selectNodeContents(el);
    const picked = getSelection();
    picked.removeAllRanges();
    picked.addRange(range);
    try { if (document.execCommand('copy')) return 'Copied'; } catch { /* select only */ }
    return 'Press Ctrl+C';
  }
}
