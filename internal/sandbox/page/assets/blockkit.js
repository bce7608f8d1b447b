// Block Kit as nodes. Every block and element that Keyturn's views and messages
// use is here; any other shows a box that names it, because an element that is
// silently left out would hide a mistake.
//
// A surface says what happens:
//   uid      makes ids unique on the page
//   values   state of inputs: values[block_id][action_id]; {} in a message
//   errors   texts under inputs, by block_id
//   press(at, element, extra)  a button or another dispatching element
//   input(at, state)           something was typed or chosen in an input
import { ask, h } from './dom.js';
import { plain, text } from './mrkdwn.js';

// blocks renders a list of blocks.
export function blocks(list, surface) {
  const seen = new Map();
  return (list || []).map((b) => {
    const base = keyOf(b);
    const n = (seen.get(base) || 0) + 1;
    seen.set(base, n);
    return block(b, surface, base + '#' + n);
  });
}

// keyOf says which block of the view before this one is. Inputs are the same
// while their ids are, as in Slack; the rest by kind and order.
function keyOf(b) {
  if (b.type === 'input') return 'input|' + b.block_id + '|' + (b.element?.action_id ?? '') + '|' + (b.element?.type ?? '');
  return b.type;
}

function block(b, surface, key) {
  const make = Object.hasOwn(kinds, b.type) && kinds[b.type];
  return make ? make(b, surface, key) : unknown('block', b.type, key);
}

function unknown(what, type, key) {
  return h('div.bk-unknown', { key, role: 'note' }, h('strong', 'Not supported: '), what + ' ', h('code', String(type)));
}

const kinds = {
  header: (b, s, key) => h('h3.bk-header', { key }, plain(b.text)),
  divider: (b, s, key) => h('hr.bk-divider', { key }),
  section: (b, s, key) => h('div.bk-section', { key },
    h('div.bk-body',
      b.text && h('div.bk-text', text(b.text)),
      b.fields && h('div.bk-fields', b.fields.map((f) => h('div.bk-field', text(f))))),
    b.accessory && h('div.bk-accessory', element(b.accessory, b, s, ''))),
  context: (b, s, key) => h('div.bk-context', { key }, b.elements.map((e) => {
    if (e.type === 'image') return picture(e, 'bk-context-image');
    if (e.type === 'mrkdwn' || e.type === 'plain_text') return h('div.bk-context-text', text(e));
    return unknown('element', e.type);
  })),
  actions: (b, s, key) => h('div.bk-actions', { key }, b.elements.map((e, i) => element(e, b, s, '', i))),
  alert: (b, s, key) => h('div.bk-alert', { key, class: 'bk-alert-' + (b.level || 'default'), role: 'note' },
    h('span.bk-alert-icon', { 'aria-hidden': 'true' }, { warning: '⚠️', error: '⛔', success: '✅', info: 'ℹ️' }[b.level] || '💬'),
    h('div', text(b.text))),
  image: (b, s, key) => h('figure.bk-image', { key }, b.title && h('figcaption', plain(b.title)), picture(b, 'bk-picture')),
  input: inputBlock,
};

// picture shows an image of this page; others are not fetched, the page is offline.
function picture(e, name) {
  const own = e.image_url && (e.image_url.startsWith('data:') || e.image_url.startsWith('/'));
  return own ? h('img', { class: name, src: e.image_url, alt: e.alt_text || '' })
    : h('span', { class: name + ' bk-noimage', role: 'img', 'aria-label': e.alt_text || 'image' }, '🖼 ' + (e.alt_text || 'image'));
}

function inputBlock(b, s, key) {
  const e = b.element || {};
  const id = s.uid + '-' + b.block_id;
  const error = s.errors?.[b.block_id];
  const about = [b.hint && id + '-hint', error && id + '-error'].filter(Boolean).join(' ') || null;
  const group = e.type === 'checkboxes' || e.type === 'radio_buttons';
  const label = [plain(b.label), b.optional && h('span.bk-optional', ' (optional)')];
  const inside = [
    Object.hasOwn(elements, e.type) ? elements[e.type](e, { block: b, surface: s, id, about, error, input: true, label: plain(b.label) }) : unknown('element', e.type),
    h('p.bk-error', { key: 'error', id: id + '-error', hidden: !error }, error ? [h('span', { 'aria-hidden': 'true' }, '⚠ '), error] : ''),
    b.hint && h('p.bk-hint', { key: 'hint', id: id + '-hint' }, plain(b.hint)),
  ];
  if (group) {
    return h('fieldset.bk-input', { key, class: error ? 'bk-wrong' : '', 'data-block': b.block_id, 'aria-describedby': about }, h('legend.bk-label', label), inside);
  }
  return h('div.bk-input', { key, class: error ? 'bk-wrong' : '', 'data-block': b.block_id }, h('label.bk-label', { for: id }, label), inside);
}

// element renders one element outside an input block.
function element(e, b, s, label, index = 0) {
  const make = Object.hasOwn(elements, e.type) && elements[e.type];
  if (!make) return unknown('element', e.type, 'unknown' + index);
  return make(e, { block: b, surface: s, id: s.uid + '-' + b.block_id + '-' + e.action_id, about: null, input: false, label: label || plain(e.placeholder) || e.action_id });
}

const elements = {
  button(e, at) {
    return h('button.btn', {
      key: 'b|' + e.action_id + '|' + (e.value ?? ''), type: 'button', class: e.style ? 'btn-' + e.style : '',
      'data-action': e.action_id, 'data-value': e.value, 'aria-label': e.accessibility_label,
      onclick: async (ev) => {
        const el = ev.currentTarget;
        if (el.dataset.busy) return;
        if (!(await confirmed(e))) return;
        el.dataset.busy = '1';
        el.setAttribute('aria-busy', 'true');
        await at.surface.press(at.block, e, { value: e.value });
        delete el.dataset.busy;
        el.removeAttribute('aria-busy');
      },
    }, plain(e.text), e.url && h('span', { 'aria-hidden': 'true' }, ' ↗'));
  },

  plain_text_input: (e, at) => typed(e, at, e.multiline ? 'textarea' : 'input', 'text'),
  number_input: (e, at) => typed(e, at, 'input', 'text', e.is_decimal_allowed ? 'decimal' : 'numeric'),
  email_text_input: (e, at) => typed(e, at, 'input', 'email'),
  url_text_input: (e, at) => typed(e, at, 'input', 'url'),
  datepicker: (e, at) => picker(e, at, 'date', 'selected_date'),
  timepicker: (e, at) => picker(e, at, 'time', 'selected_time'),

  static_select(e, at) {
    const value = stateOf(at, e)?.selected_option?.value ?? '';
    const option = (o) => h('option', { key: o.value, value: o.value }, plain(o.text));
    return h('select.bk-select', {
      key: 'control', id: at.id, 'aria-describedby': at.about, 'aria-invalid': at.error ? 'true' : null,
      'aria-label': at.input ? null : at.label, value,
      onchange: (ev) => choose(at, e, [ev.currentTarget.value].filter(Boolean)),
    },
    h('option', { key: '', value: '' }, plain(e.placeholder) || 'Choose'),
    e.option_groups ? e.option_groups.map((g) => h('optgroup', { label: plain(g.label) }, g.options.map(option))) : e.options.map(option));
  },

  checkboxes(e, at) {
    const picked = (stateOf(at, e)?.selected_options || []).map((o) => o.value);
    return options(e, at, 'checkbox', picked, (ev) => {
      const box = ev.currentTarget.closest('.bk-options');
      choose(at, e, [...box.querySelectorAll('input:checked')].map((i) => i.value));
    });
  },

  radio_buttons(e, at) {
    const value = stateOf(at, e)?.selected_option?.value;
    return options(e, at, 'radio', value === undefined ? [] : [value], (ev) => choose(at, e, [ev.currentTarget.value]));
  },

  overflow(e, at) {
    return h('select.bk-overflow', {
      key: 'o|' + e.action_id, 'aria-label': 'More actions', value: '',
      onchange: async (ev) => {
        const value = ev.currentTarget.value;
        ev.currentTarget.value = '';
        if (value && await confirmed(e)) at.surface.press(at.block, e, { option: value });
      },
    }, h('option', { value: '' }, '⋯'), e.options.map((o) => h('option', { value: o.value }, plain(o.text))));
  },

  image: (e) => picture(e, 'bk-thumb'),
};

const stateOf = (at, e) => at.surface.values?.[at.block.block_id]?.[e.action_id] ?? initial(e);

function initial(e) {
  return { value: e.initial_value, selected_option: e.initial_option, selected_options: e.initial_options, selected_date: e.initial_date, selected_time: e.initial_time };
}

// typed is an input for text. What is typed belongs to the browser: it is set
// from outside only while nobody is in the field and nothing waits to be sent.
function typed(e, at, tag, type, mode) {
  const given = String(stateOf(at, e)?.value ?? '');
  return h(tag + '.bk-typed', {
    key: 'control|' + tag, id: at.id, type: tag === 'input' ? type : null, inputmode: mode, rows: tag === 'textarea' ? 4 : null, $value: given,
    placeholder: plain(e.placeholder) || null, maxlength: null, autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false',
    'aria-describedby': at.about, 'aria-invalid': at.error ? 'true' : null, 'aria-required': at.input && !at.block.optional ? 'true' : null, 'aria-label': at.input ? null : at.label,
    'data-action': e.action_id,
    oninput: (ev) => at.surface.input(at.block, e, { text: ev.currentTarget.value }),
    onblur: () => at.surface.flush?.(),
    onkeydown: (ev) => {
      if (ev.key !== 'Enter' || tag === 'textarea' && !ev.ctrlKey && !ev.metaKey) return;
      ev.preventDefault();
      at.surface.enter?.();
    },
    hook: (el, made) => {
      const key = at.block.block_id + '|' + e.action_id;
      if (made || document.activeElement === el || at.surface.waiting?.(key)) return;
      if (el.value !== given) el.value = given;
    },
  });
}

function picker(e, at, type, field) {
  return h('input.bk-typed', {
    key: 'control', id: at.id, type, value: stateOf(at, e)?.[field] || '', 'aria-describedby': at.about, 'aria-label': at.input ? null : at.label,
    onchange: (ev) => choose(at, e, [ev.currentTarget.value].filter(Boolean)),
  });
}

function options(e, at, type, picked, onchange) {
  return h('div.bk-options', { key: 'control', role: at.input ? null : 'group', 'aria-label': at.input ? null : at.label }, e.options.map((o, i) => {
    const id = at.id + '-' + i;
    return h('div.bk-option', { key: o.value },
      h('input', {
        type, id, name: at.id, value: o.value, checked: picked.includes(o.value), onchange,
        'aria-describedby': o.description ? id + '-about' : null, 'aria-invalid': at.error ? 'true' : null,
      }),
      h('label', { for: id }, text(o.text), o.description && h('span.bk-about', { id: id + '-about' }, text(o.description))));
  }));
}

// choose tells the surface what is chosen now. Outside an input block, and with
// dispatch_action, the sandbox sends it to the bot at once.
async function choose(at, e, values) {
  if (!at.input && !(await confirmed(e))) return;
  at.surface.input(at.block, e, { selected: values });
}

// confirmed asks where an element has a confirmation dialog.
async function confirmed(e) {
  if (!e.confirm) return true;
  return ask({
    title: plain(e.confirm.title), text: text(e.confirm.text), yes: plain(e.confirm.confirm), no: plain(e.confirm.deny),
    danger: e.confirm.style === 'danger' || e.style === 'danger',
  });
}
