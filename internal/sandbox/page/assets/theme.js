// Runs before the first paint, so that a chosen theme does not flash. The
// button goes through auto (the system's choice), light and dark.
(function () {
  const order = ['auto', 'light', 'dark'];
  const read = () => { try { return localStorage.getItem('keyturn-theme') || 'auto'; } catch { return 'auto'; } };
  const keep = (v) => { try { localStorage.setItem('keyturn-theme', v); } catch { /* private window */ } };
  const show = (v) => {
    document.documentElement.dataset.theme = v;
    const button = document.getElementById('theme-switch');
    if (button) {
      button.textContent = 'Theme: ' + v;
      button.setAttribute('aria-label', 'Theme: ' + v + '. Press to change it.');
    }
  };
  let now = order.includes(read()) ? read() : 'auto';
  show(now);
  document.addEventListener('DOMContentLoaded', () => {
    show(now);
    document.getElementById('theme-switch').addEventListener('click', () => {
      now = order[(order.indexOf(now) + 1) % order.length];
      keep(now);
      show(now);
    });
  });
})();
