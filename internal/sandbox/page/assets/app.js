// The page: one stream of events, three parts, and the keys that lead from one
// to the next.
import { $, recall, remember, say } from './dom.js';
import { listen } from './api.js';
import * as coach from './coach.js';
import * as drill from './drill.js';
import * as messages from './messages.js';
import { names } from './mrkdwn.js';
import * as outside from './outside.js';
import * as rotation from './rotation.js';
import * as slack from './slack.js';

const parts = ['slack', 'outside', 'rotation'];
let startedAt = '';
let end = () => {};

const seen = () => ({ slack: slack.state(), rotation: rotation.current(), secret: outside.hasSecret(), bot: rotation.botRuns() });
const goAlong = () => coach.show(seen());

// connect opens the stream of what person as sees.
function connect(as) {
  end();
  remember('as', as);
  end = listen(as, {
    state(connected) {
      if ($('lost').hidden !== connected) {
        $('lost').hidden = connected;
        if (!connected) say('The sandbox does not answer. Trying again.', true);
      }
    },
    hello(d) {
      // Another run of the sandbox has another world: begin anew.
      if (startedAt && d.startedAt !== startedAt) { location.reload(); return; }
      startedAt = d.startedAt;
      slack.hello(d);
      rotation.hello(d);
      coach.setDrill(!!d.drill);
      if (d.drill) drill.show(d.drill);
      goAlong();
    },
    slack(d) { slack.show(d); mark('slack', !!d.modal); goAlong(); },
    messages(d) { slack.takeMessages(d); },
    outside(d) { outside.show(d); rotation.setDead(outside.dead()); goAlong(); },
    rotation(d) { rotation.show(d); mark('rotation', !!rotation.current()?.exposure?.running); goAlong(); },
    audit(d) { rotation.takeAudit(d); },
    drill(d) { drill.show(d); },
  });
}

slack.begin({
  person: connect,
  sent: () => {},
});
outside.begin({ secret: () => { mark('slack', true); goAlong(); } });
coach.begin({ insert: (text) => { openTab('slack'); slack.goOps(); slack.insert(text); } });
names.onDashboard = () => { openTab('outside'); pulse('outside'); outside.focusDashboard(); };

// A click into the empty message box offers the command: selected, so that
// typing something else simply replaces it.
$('composer-text').addEventListener('click', () => {
  if (slack.composerEmpty() && slack.inOps() && messages.latest(slack.state().open)?.user !== slack.state().as && coach.wanted(seen())) slack.insert(slack.state().command + ' prod', true);
});

// Tabs, on narrow screens.

function openTab(name, focus = false) {
  $('parts').dataset.tab = name;
  for (const p of parts) {
    const on = p === name;
    $('tab-' + p).setAttribute('aria-selected', String(on));
    $('tab-' + p).tabIndex = on ? 0 : -1;
    if (on) { $('tab-' + p).classList.remove('is-marked'); if (focus) $('tab-' + p).focus(); }
  }
}

// mark points at a tab in which something waits.
function mark(name, on) {
  $('tab-' + name).classList.toggle('is-marked', on && $('parts').dataset.tab !== name);
}

for (const [i, p] of parts.entries()) {
  $('tab-' + p).addEventListener('click', () => openTab(p));
  $('tab-' + p).addEventListener('keydown', (e) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
    if (step) openTab(parts[(i + step + parts.length) % parts.length], true);
  });
}

// F6 goes round the parts, from anywhere, also out of Slack's window; Alt+1,
// Alt+2 and Alt+3 lead straight there.
addEventListener('keydown', (e) => {
  let to = -1;
  const here = parts.findIndex((p) => $('part-' + p).contains(document.activeElement));
  if (e.key === 'F6') to = (here + (e.shiftKey ? parts.length - 1 : 1)) % parts.length;
  else if (e.altKey && !e.ctrlKey && ['1', '2', '3'].includes(e.key)) to = Number(e.key) - 1;
  if (to < 0) return;
  e.preventDefault();
  openTab(parts[to]);
  const part = $('part-' + parts[to]);
  (part.querySelector('.modal') || part).focus();
});

function pulse(name) {
  const el = $('part-' + name);
  el.classList.remove('is-pulsing');
  void el.offsetWidth;
  el.classList.add('is-pulsing');
}

openTab('slack');
connect(new URLSearchParams(location.search).get('as') || recall('as') || 'U0ADA');
