// Durations, times and other words that several parts of the page use.
import { now } from './api.js';

const two = (n) => String(n).padStart(2, '0');

// stopwatch shows a running time: 12.3 s, 1 min 02.3 s, 1 h 02 min.
export function stopwatch(ms, tenths = true) {
  if (!(ms > 0)) ms = 0;
  const s = ms / 1000;
  const part = (v) => (tenths ? v.toFixed(1) : String(Math.floor(v)));
  if (s < 60) return part(Math.floor(s * 10) / 10) + ' s';
  const whole = Math.floor(s);
  if (whole < 3600) {
    const rest = Math.floor((s % 60) * 10) / 10;
    return Math.floor(whole / 60) + ' min ' + (rest < 10 ? '0' : '') + part(rest) + ' s';
  }
  return Math.floor(whole / 3600) + ' h ' + two(Math.floor(whole / 60) % 60) + ' min';
}

// took shows a duration that is over, the way the bot writes it.
export function took(ms) {
  if (!(ms >= 0)) return '';
  if (ms < 1000) return Math.round(ms) + ' ms';
  const s = ms / 1000;
  if (s < 10) return s.toFixed(1) + ' s';
  return stopwatch(ms, false);
}

// instant parses a Go time; a zero or absent one is NaN.
export function instant(iso) {
  if (!iso || iso.startsWith('0001-')) return NaN;
  return Date.parse(iso);
}

// clock shows the time of day in the person's own zone.
export function clock(ms, seconds = false) {
  const d = new Date(ms);
  const base = two(d.getHours()) + ':' + two(d.getMinutes());
  return seconds ? base + ':' + two(d.getSeconds()) : base;
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const monthsLong = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December'];
const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];

// dayOf names a day: Today, Yesterday, or Monday, 2 March.
export function dayOf(ms) {
  const start = (t) => { const d = new Date(t); d.setHours(0, 0, 0, 0); return d.getTime(); };
  const apart = Math.round((start(now()) - start(ms)) / 86400000);
  if (apart === 0) return 'Today';
  if (apart === 1) return 'Yesterday';
  const d = new Date(ms);
  return days[d.getDay()] + ', ' + d.getDate() + ' ' + monthsLong[d.getMonth()];
}

// ago says how long ago something was, as Slack's {ago} does.
export function ago(ms) {
  const s = Math.round((now() - ms) / 1000);
  const word = (n, what) => n + ' ' + what + (n === 1 ? '' : 's');
  const size = Math.abs(s);
  let text;
  if (size < 60) text = word(size, 'second');
  else if (size < 3600) text = word(Math.floor(size / 60), 'minute');
  else if (size < 86400) text = word(Math.floor(size / 3600), 'hour');
  else text = word(Math.floor(size / 86400), 'day');
  return s >= 0 ? text + ' ago' : 'in ' + text;
}

// slackDate renders the token string of a <!date^…> in the person's time zone.
export function slackDate(seconds, format) {
  const ms = seconds * 1000;
  const d = new Date(ms);
  const nth = (n) => n + (n % 10 === 1 && n !== 11 ? 'st' : n % 10 === 2 && n !== 12 ? 'nd' : n % 10 === 3 && n !== 13 ? 'rd' : 'th');
  const long = days[d.getDay()] + ', ' + monthsLong[d.getMonth()] + ' ' + nth(d.getDate()) + ', ' + d.getFullYear();
  const plain = monthsLong[d.getMonth()] + ' ' + nth(d.getDate()) + ', ' + d.getFullYear();
  const short = months[d.getMonth()] + ' ' + d.getDate() + ', ' + d.getFullYear();
  const pretty = (text) => { const day = dayOf(ms); return day === 'Today' || day === 'Yesterday' ? day.toLowerCase() : text; };
  const known = {
    date_num: d.getFullYear() + '-' + two(d.getMonth() + 1) + '-' + two(d.getDate()),
    date: plain, date_short: short, date_long: long,
    date_pretty: pretty(plain), date_short_pretty: pretty(short), date_long_pretty: pretty(long),
    time: clock(ms), time_secs: clock(ms, true), ago: ago(ms),
  };
  return format.replace(/\{([a-z_]+)\}/g, (all, name) => (Object.hasOwn(known, name) ? known[name] : all));
}

// likeWhat compares an outage with something that a person knows.
export function likeWhat(ms) {
  const s = ms / 1000;
  const table = [
    [3, 'a blink and half a yawn'],
    [8, 'one sneeze, “bless you” included'],
    [20, 'washing your hands properly'],
    [45, 'tying both shoes without hurry'],
    [90, 'waiting for the toast'],
    [180, 'brushing your teeth, if your dentist asks'],
    [300, 'one pop song, bridge included'],
    [900, 'a coffee, and walking there'],
    [1800, 'an episode of a sitcom'],
  ];
  const row = table.find(([limit]) => s <= limit);
  return row ? row[1] : 'a film with a director’s cut';
}

// last4 shows the end of a key ID, as the bot writes it.
export const last4 = (text) => (text ? '····' + text : 'none');
