// Slack's mrkdwn as nodes: *bold* _italic_ ~strike~ `code` ```pre``` > quote,
// <links>, mentions, dates and :emoji:. Nothing from the bot is ever parsed as HTML.
import { h } from './dom.js';
import { slackDate } from './words.js';
import { emoji } from './emoji.js';

// people and channels turn ids into names; slack.js fills them.
export const names = { people: new Map(), channels: new Map(), onChannel: () => {}, onDashboard: () => {} };

const unescape = (s) => s.replace(/&(amp|lt|gt);/g, (_, n) => ({ amp: '&', lt: '<', gt: '>' })[n]);

const withEmoji = (s) => s.replace(/:([a-z0-9_+-]+):/g, (all, name) => (Object.hasOwn(emoji, name) ? emoji[name] : all));

// plain renders a plain_text object.
export function plain(t) {
  if (!t) return '';
  const text = t.text ?? '';
  return t.emoji === false ? text : withEmoji(text);
}

// text renders a text object of either type.
export function text(t) {
  if (!t) return [];
  return t.type === 'mrkdwn' ? mrkdwn(t.text ?? '', t.verbatim === true) : [plain(t)];
}

// mrkdwn renders mrkdwn. Without verbatim bare addresses become links, too.
export function mrkdwn(source, verbatim = false) {
  const out = [];
  const parts = source.split(/```/);
  parts.forEach((part, i) => {
    if (i % 2 === 1 && i < parts.length - 1) {
      out.push(h('pre.mk-pre', inlineOnlyLinks(part.replace(/^\n/, '').replace(/\n$/, ''))));
      return;
    }
    if (i % 2 === 1) part = '```' + part;
    else if (i > 0) part = part.replace(/^\n/, '');
    if (part !== '') out.push(...lines(part, verbatim));
  });
  return out;
}

// lines gathers quoted lines into blocks.
function lines(source, verbatim) {
  const out = [];
  let quote = null;
  let body = [];
  const flush = () => {
    if (body.join('') !== '' || body.length > 1) out.push(h('span.mk-text', inline(body.join('\n'), verbatim)));
    body = [];
    if (quote) out.push(h('blockquote.mk-quote', inline(quote.join('\n'), verbatim)));
    quote = null;
  };
  for (const line of source.split('\n')) {
    const m = /^(?:&gt;|>)\s?(.*)$/.exec(line);
    if (m) {
      if (!quote) { flush(); quote = []; }
      quote.push(m[1]);
    } else {
      if (quote) flush();
      body.push(line);
    }
  }
  flush();
  return out;
}

const marks = { '*': 'strong', _: 'em', '~': 's' };
const wordy = /[\p{L}\p{N}]/u;

// inline renders one run of text without blocks.
function inline(s, verbatim) {
  const out = [];
  let from = 0;
  const put = (to) => { if (to > from) out.push(...words(s.slice(from, to), verbatim)); };
  for (let i = 0; i < s.length; i++) {
    const c = s[i];
    let end = -1;
    let node = null;
    if (c === '<') {
      end = s.indexOf('>', i + 1);
      if (end > 0) node = special(s.slice(i + 1, end));
    } else if (c === '`') {
      end = s.indexOf('`', i + 1);
      if (end > i + 1 && !s.slice(i, end).includes('\n')) node = h('code.mk-code', inlineOnlyLinks(s.slice(i + 1, end)));
    } else if (marks[c] && opens(s, i)) {
      end = closing(s, i, c);
      if (end > 0) node = h(marks[c], inline(s.slice(i + 1, end), verbatim));
    }
    if (node !== null) {
      put(i);
      out.push(node);
      from = end + 1;
      i = end;
    }
  }
  put(s.length);
  return out;
}

const opens = (s, i) => (i === 0 || !wordy.test(s[i - 1])) && i + 1 < s.length && !/\s/.test(s[i + 1]) && s[i + 1] !== s[i];

// closing finds the mark that ends what begins at i, on the same line.
function closing(s, i, c) {
  for (let j = i + 1; j < s.length && s[j] !== '\n'; j++) {
    if (s[j] === '<') {
      const end = s.indexOf('>', j);
      if (end > 0) { j = end; continue; }
    }
    if (s[j] === '`') {
      const end = s.indexOf('`', j + 1);
      if (end > 0 && !s.slice(j, end).includes('\n')) { j = end; continue; }
    }
    if (s[j] === c && j > i + 1 && !/\s/.test(s[j - 1]) && (j + 1 >= s.length || !wordy.test(s[j + 1]))) return j;
  }
  return -1;
}

// words renders text without marks.
function words(s, verbatim) {
  if (verbatim) return [withEmoji(unescape(s))];
  const out = [];
  let from = 0;
  for (const m of s.matchAll(/https?:\/\/[^\s<>|]+[^\s<>|.,;:!?)]/g)) {
    if (m.index > from) out.push(withEmoji(unescape(s.slice(from, m.index))));
    out.push(link(unescape(m[0]), unescape(m[0])));
    from = m.index + m[0].length;
  }
  if (from < s.length) out.push(withEmoji(unescape(s.slice(from))));
  return out;
}

// inlineOnlyLinks renders code: Slack resolves <…> there and nothing else.
function inlineOnlyLinks(s) {
  const out = [];
  let from = 0;
  for (const m of s.matchAll(/<([^>\n]+)>/g)) {
    const node = special(m[1]);
    if (node === null) continue;
    if (m.index > from) out.push(unescape(s.slice(from, m.index)));
    out.push(node);
    from = m.index + m[0].length;
  }
  if (from < s.length) out.push(unescape(s.slice(from)));
  return out;
}

// special renders what stands between < and >, or null if it is nothing known.
function special(inner) {
  const bar = inner.indexOf('|');
  const target = bar < 0 ? inner : inner.slice(0, bar);
  const label = bar < 0 ? '' : unescape(inner.slice(bar + 1));
  if (target.startsWith('@')) {
    const id = target.slice(1);
    const name = names.people.get(id) || label || id;
    return h('span.mk-mention', { title: id }, '@' + name);
  }
  if (target.startsWith('#')) {
    const id = target.slice(1);
    const name = names.channels.get(id) || label || id;
    return h('button.mk-channel', { type: 'button', onclick: () => names.onChannel(id) }, '#' + name);
  }
  if (target.startsWith('!')) return command(target.slice(1), label);
  if (/^(https?:|mailto:)/.test(target)) return link(unescape(target), label || unescape(target));
  return null;
}

function command(what, label) {
  if (what.startsWith('date^')) {
    const [, seconds, ...rest] = what.split('^');
    let format = rest.join('^');
    let url = '';
    const at = format.search(/\^https?:/);
    if (at >= 0) { url = format.slice(at + 1); format = format.slice(0, at); }
    const t = Number(seconds);
    if (!(Math.abs(t) <= 8.64e12)) return label; // outside of what a Date can hold
    const shown = unescape(slackDate(t, format));
    const node = h('time.mk-date', {
      datetime: new Date(t * 1000).toISOString(), title: new Date(t * 1000).toString().replace(/ GMT.*/, ''),
      'data-date': format.includes('{ago}') ? t : null, 'data-format': format,
    }, shown);
    return url ? link(url, [node]) : node;
  }
  if (what === 'here' || what === 'channel' || what === 'everyone') return h('span.mk-mention', '@' + what);
  if (what.startsWith('subteam^')) return h('span.mk-mention', label || '@' + (names.people.get(what.slice(8)) || 'group'));
  return label || '<' + what + '>';
}

// link renders a link. A link to Alpaca's dashboard leads to the fake one: a
// sandbox must never send anybody to where real keys die.
function link(url, label) {
  if (/^https:\/\/app\.alpaca\.markets\//.test(url)) {
    return h('a.mk-link', { href: '#part-outside', title: 'In the sandbox: the dashboard on this page', onclick: (e) => { e.preventDefault(); names.onDashboard(url); } }, label);
  }
  return h('a.mk-link', { href: url, target: '_blank', rel: 'noopener noreferrer' }, label);
}

// Running times are rendered by the client, as in Slack.
setInterval(() => {
  for (const el of document.querySelectorAll('time[data-date]')) {
    const shown = slackDate(Number(el.dataset.date), el.dataset.format);
    if (el.textContent !== shown) el.firstChild.data = shown;
  }
}, 1000);

