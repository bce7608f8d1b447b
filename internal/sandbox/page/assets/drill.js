// A drill: its story, its clock, and the score card at the end.
import { $, ask, h, patch, say } from './dom.js';
import { post } from './api.js';
import { stopwatch, clock, instant } from './words.js';

let data = null;
let at = 0; // when elapsed_s was true, by the browser's clock
let timer = 0;
let scored = false;

// show takes the section "drill"; null hides the card.
export function show(d) {
  if (!d || !d.name) { $('drill').hidden = true; return; }
  if (!data) say('Drill: ' + d.title + '. ' + d.story + ' ' + d.goal);
  data = d;
  at = performance.now();
  if (d.score && !scored) {
    scored = true;
    say('Drill over. ' + (d.score.passed ? 'Passed.' : 'Not passed.'), true);
  }
  draw();
}

const elapsed = () => data.elapsed_s * 1000 + (data.running ? performance.now() - at : 0);

function draw() {
  const box = $('drill');
  box.hidden = false;
  const s = data.score;
  patch(box,
    h('div.drill-card', { key: 'card', test: 'drill-card' },
      h('div.drill-top', h('h2', h('span.drill-tag', 'Drill'), ' ' + data.title),
        !s && data.running && h('button.btn.btn-small', { key: 'finish', type: 'button', test: 'drill-finish', onclick: finish }, 'I am done'),
        h('p.drill-clock', { role: 'timer', 'aria-live': 'off' }, h('span', { id: 'drill-clock' }, stopwatch(elapsed(), false)))),
      !s && h('details.drill-story', { key: 'story', $open: true }, h('summary', 'The story'), h('p', data.story), data.goal && h('p.drill-goal', h('strong', 'Your goal: '), data.goal))),
    s && score(s));
  clearTimeout(timer);
  if (data.running) timer = setTimeout(beat, 250);
}

async function finish() {
  if (!(await ask({ title: 'End the drill?', text: 'The score card counts what is left undone.', yes: 'Show the score' }))) return;
  const res = await post('drill/finish', {});
  if (!res.ok) say(res.error, true);
}

function beat() {
  const el = $('drill-clock');
  if (el) el.firstChild.data = stopwatch(elapsed(), false);
  timer = setTimeout(beat, 250);
}

function score(s) {
  const turns = s.wrongTurns || [];
  const undone = s.undone || [];
  return h('div.score', { key: 'score', test: 'score-card', class: s.passed ? 'is-passed' : 'is-failed' },
    h('h3', s.passed ? (turns.length === 0 ? 'Passed, and not one wrong turn. Sleep well.' : 'Passed. The scenic route counts, too.') : 'Not there yet. This is what drills are for.'),
    h('dl.score-lines', (s.lines || []).map(([name, value]) => h('div', { key: name }, h('dt', name), h('dd.num', value)))),
    turns.length > 0 && h('div.score-list', { key: 'turns' }, h('h4', 'Wrong turns'), h('ul', turns.map((t) => h('li', h('span.num', clock(instant(t.at), true)), ' ' + t.what)))),
    undone.length > 0 && h('div.score-list', { key: 'undone' }, h('h4', 'Left undone'), h('ul', undone.map((t) => h('li', t)))),
    h('p.small', 'Again? Start the sandbox with the same --drill. Another one? --drill list.'));
}
