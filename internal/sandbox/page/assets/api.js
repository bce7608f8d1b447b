// The two ways to talk to the sandbox: POST for what the person does, one
// stream of events for everything that can be seen.

// post sends what a person did. It never throws: {ok, error, …}.
export async function post(path, body = {}) {
  try {
    const res = await fetch('/api/' + path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
      cache: 'no-store',
    });
    const answer = await res.json().catch(() => ({}));
    if (answer.ok === undefined) answer.ok = res.ok;
    if (!answer.ok && !answer.error && res.status >= 400) answer.error = 'The sandbox refused that (' + res.status + ').';
    return answer;
  } catch {
    return { ok: false, error: 'The sandbox does not answer. Is it still running?' };
  }
}

const names = ['hello', 'slack', 'messages', 'outside', 'rotation', 'audit', 'drill'];

// listen opens the stream of what person as sees. on has one function per event
// name, and state(connected). It returns a function that ends it.
export function listen(as, on) {
  let source;
  let timer;
  let ended = false;
  const open = () => {
    source = new EventSource('/api/events?as=' + encodeURIComponent(as));
    source.onopen = () => on.state(true);
    source.onerror = () => {
      if (ended) return;
      on.state(false);
      if (source.readyState === EventSource.CLOSED) {
        clearTimeout(timer);
        timer = setTimeout(open, 1000);
      }
    };
    for (const name of names) {
      source.addEventListener(name, (e) => { if (!ended && on[name]) on[name](JSON.parse(e.data)); });
    }
  };
  open();
  return () => {
    ended = true;
    clearTimeout(timer);
    source.close();
  };
}

// The sandbox's clock can be ahead of the browser's: people may move it.
let ahead = 0;

// tick tells what time it is in the sandbox.
export function tick(iso) {
  const t = Date.parse(iso);
  if (!Number.isNaN(t)) ahead = t - Date.now();
}

// now is the sandbox's time in milliseconds.
export const now = () => Date.now() + ahead;
