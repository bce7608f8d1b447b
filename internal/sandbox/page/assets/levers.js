// The levers of the sandbox: faults to switch on, the bot's process, the clock.
import { h, say } from './dom.js';
import { post } from './api.js';
import { took } from './words.js';

// levers renders them; in a drill the faults are hidden. tell takes what went wrong.
export function levers(data, drilling, tell, trouble) {
  const act = (path, body, done) => async (e) => {
    const el = e.currentTarget;
    if (el.getAttribute('aria-disabled') === 'true' || el.getAttribute('aria-busy') === 'true') return;
    el.setAttribute('aria-busy', 'true');
    const res = await post(path, body);
    el.removeAttribute('aria-busy');
    tell(res.ok ? '' : res.error || 'That did not work.');
    say(res.ok ? done : res.error || 'That did not work.', !res.ok);
  };
  return [
    h('section.card', { key: 'bot', 'aria-labelledby': 'bot-title' },
      h('div.card-head', h('h2', { id: 'bot-title' }, 'The bot'),
        h('span.pill', { class: data.botRunning ? 'pill-good' : 'pill-bad' }, data.botRunning ? '● runs' + (data.pid ? ', pid ' + data.pid : '') : '✕ is down')),
      h('div.lever-row',
        h('button.btn.btn-small.btn-danger', { type: 'button', test: 'bot-kill', 'aria-disabled': data.botRunning ? null : 'true', onclick: act('bot/kill', {}, 'The bot is killed') }, 'kill -9'),
        h('button.btn.btn-small', { type: 'button', test: 'bot-stop', 'aria-disabled': data.botRunning ? null : 'true', onclick: act('bot/stop', {}, 'The bot is stopped') }, 'Stop'),
        h('button.btn.btn-small.btn-primary', { type: 'button', test: 'bot-start', 'aria-disabled': data.botRunning ? 'true' : null, onclick: act('bot/start', {}, 'The bot is started') }, 'Start')),
      h('p.small', 'Kill it whenever you like. A pasted pair survives.')),
    h('section.card', { key: 'clock', 'aria-labelledby': 'clock-title' },
      h('div.card-head', h('h2', { id: 'clock-title' }, 'The clock'), h('span.card-note.num', ahead(data.clock?.ahead_s || 0))),
      h('div.lever-row',
        [['+30 s', 30], ['+1 hour', 3600], ['+1 day', 86400], ['+14 days', 14 * 86400], ['+180 days', 180 * 86400]].map(([name, s]) => h('button.btn.btn-small', { key: name, type: 'button', test: 'clock-' + s, onclick: act('clock', { advance_s: s }, 'The clock is moved: ' + name) }, name)))),
    !drilling && faults(data.faults || [], tell),
    trouble && h('p.trouble', { key: 'trouble', role: 'alert' }, trouble),
  ];
}

const ahead = (s) => (s > 0 ? (s >= 86400 ? Math.round(s / 86400) + ' d ahead' : took(s * 1000) + ' ahead') : 'real time');

function faults(list, tell) {
  const groups = [...new Set(list.map((f) => f.group || 'Other'))];
  const on = list.filter((f) => f.on).length;
  return h('section.card', { key: 'faults', 'aria-labelledby': 'faults-title' },
    h('div.card-head', h('h2', { id: 'faults-title' }, 'Break something'), h('span.card-note', on > 0 ? on + ' on' : 'all is well')),
    groups.map((g) => {
      const own = list.filter((f) => (f.group || 'Other') === g);
      const active = own.filter((f) => f.on).length;
      return h('details.fault-group', { key: g }, h('summary', g, ' ', h('span.count', active > 0 ? active + ' on' : own.length)),
        own.map((f) => fault(f, tell)));
    }),
    list.length === 0 && h('p.small', 'No faults to offer. Suspicious.'));
}

function fault(f, tell) {
  const id = 'fault-' + f.name;
  if (f.times === 'once') {
    return h('div.fault', { key: f.name },
      h('span.fault-once', { id: id + '-name' }, f.name),
      h('button.btn.btn-small', {
        type: 'button', id, test: id, 'aria-describedby': id + '-what', 'aria-label': 'Do it once: ' + f.name,
        onclick: async () => {
          const res = await post('faults/' + encodeURIComponent(f.name), { on: true });
          tell(res.ok ? '' : res.error || 'That did not work.');
          say(res.ok ? f.name + ' is done' : res.error, !res.ok);
        },
      }, 'Do it'),
      h('p.fault-what', { id: id + '-what' }, f.what));
  }
  return h('div.fault', { key: f.name },
    h('input', {
      type: 'checkbox', role: 'switch', id, test: id, checked: f.on, 'aria-describedby': id + '-what',
      onchange: async (e) => {
        const on = e.currentTarget.checked;
        const res = await post('faults/' + encodeURIComponent(f.name), { on });
        if (!res.ok) e.target.checked = f.on;
        tell(res.ok ? '' : res.error || 'That did not work.');
        say(res.ok ? f.name + (on ? ' is on' : ' is off') : res.error, !res.ok);
      },
    }),
    h('label', { for: id }, f.name),
    h('p.fault-what', { id: id + '-what' }, f.what));
}
