// The outside world: the dashboard, and every place that holds the pair, with
// what it holds and whether that works now.
import { $, h, patch, say } from './dom.js';
import * as alpaca from './alpaca.js';
import { last4 } from './words.js';

let data = null;
const was = new Map(); // place → what it showed, to point at changes

export function begin({ secret }) {
  alpaca.begin({ draw, secret });
}

// show takes the section "outside".
export function show(d) {
  if (data) tellChanges(d.places || []);
  data = d;
  draw();
}

const works = {
  yes: ['good', 'works', '●'],
  no: ['bad', 'does not work', '✕'],
  unset: ['none', 'nothing set', '○'],
  unknown: ['none', 'not known', '?'],
};

function tellChanges(places) {
  const said = [];
  for (const p of places) {
    const old = was.get(p.id);
    if (old && old.works !== p.works) said.push(p.name + ' ' + (works[p.works] || works.unknown)[1]);
  }
  if (said.length > 0) say(said.join(', '));
}

function draw() {
  if (!data) return;
  const places = data.places || [];
  const groups = [];
  for (const p of places) {
    const g = groups.find((x) => x.name === p.group);
    if (g) g.list.push(p);
    else groups.push({ name: p.group, list: [p] });
  }
  const good = places.filter((p) => p.works === 'yes').length;
  const set = places.filter((p) => p.works !== 'unset').length;
  patch($('outside'),
    data.alpaca && alpaca.view(data.alpaca),
    h('section.places', { key: 'places', 'aria-labelledby': 'places-title' },
      h('div.places-head', h('h2', { id: 'places-title' }, 'Who holds the pair'),
        h('p.places-sum', { class: good === set ? 'good' : 'bad' }, good + ' of ' + set + ' work now')),
      groups.map((g) => h('div.place-group', { key: g.name }, h('h3', g.name), h('ul.place-list', g.list.map(place)))),
      h('div.place-group', { key: 'pager' }, h('h3', 'PagerDuty'),
        (data.alerts || []).length === 0 ? h('p.place-detail', 'Nobody is paged.') : h('ul.place-list', data.alerts.map(alert)))));
  for (const p of places) was.set(p.id, p);
}

const paged = { triggered: ['bad', 'rings', '🔔'], acknowledged: ['none', 'acknowledged', '👤'], resolved: ['good', 'resolved', '✓'] };

function alert(a) {
  const [tone, word, sign] = paged[a.state] || ['none', a.state, '?'];
  return h('li.place', { key: a.key, test: 'alert-' + a.key },
    h('div.place-top', h('span.place-name', a.summary),
      h('span.pill', { class: 'pill-' + tone }, h('span', { 'aria-hidden': 'true' }, sign + ' '), word)));
}

function place(p) {
  const [tone, word, sign] = works[p.works] || works.unknown;
  const old = was.get(p.id);
  const changed = old && (old.last4 !== p.last4 || old.works !== p.works);
  return h('li.place', {
    key: p.id, test: 'place-' + p.id, 'data-works': p.works,
    hook: (el) => {
      if (!changed) return;
      el.classList.remove('is-new');
      void el.offsetWidth; // starts the animation again
      el.classList.add('is-new');
    },
  },
  h('div.place-top',
    h('span.place-name', p.name),
    h('span.pill', { class: 'pill-' + tone }, h('span', { 'aria-hidden': 'true' }, sign + ' '), word)),
  h('p.place-detail', h('code.place-key', { title: 'Last four of the key ID it holds' }, last4(p.last4)), p.detail && h('span', p.detail)),
  p.fields && p.fields.length > 0 && h('dl.place-fields', p.fields.map(([name, value]) => h('div', h('dt', name), h('dd.num', value)))));
}

// dead counts the places that hold a pair which does not work now.
export const dead = () => (data?.places || []).filter((p) => p.works === 'no').length;

export const focusDashboard = alpaca.focus;
export const hasSecret = alpaca.hasSecret;
