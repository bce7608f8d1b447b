// The emoji names that bots like this one use; any other stays as it was typed.
export const emoji = {
  white_check_mark: '✅', heavy_check_mark: '✔️', ballot_box_with_check: '☑️', x: '❌', negative_squared_cross_mark: '❎',
  warning: '⚠️', no_entry: '⛔', no_entry_sign: '🚫', octagonal_sign: '🛑', exclamation: '❗', question: '❓', grey_question: '❔',
  bangbang: '‼️', rotating_light: '🚨', bell: '🔔', no_bell: '🔕', mega: '📣', loudspeaker: '📢',
  hourglass: '⌛', hourglass_flowing_sand: '⏳', stopwatch: '⏱️', alarm_clock: '⏰', watch: '⌚', calendar: '📅', date: '📅',
  red_circle: '🔴', large_orange_circle: '🟠', large_yellow_circle: '🟡', large_green_circle: '🟢', large_blue_circle: '🔵',
  white_circle: '⚪', black_circle: '⚫', white_small_square: '▫️', black_small_square: '▪️', small_blue_diamond: '🔹',
  key: '🔑', old_key: '🗝️', lock: '🔒', unlock: '🔓', closed_lock_with_key: '🔐', shield: '🛡️', eyes: '👀', eye: '👁️',
  arrows_counterclockwise: '🔄', repeat: '🔁', arrow_right: '➡️', arrow_left: '⬅️', arrow_up: '⬆️', arrow_down: '⬇️', leftwards_arrow_with_hook: '↩️',
  tada: '🎉', rocket: '🚀', fire: '🔥', zap: '⚡', boom: '💥', sparkles: '✨', star: '⭐', trophy: '🏆', skull: '💀', ghost: '👻',
  memo: '📝', page_facing_up: '📄', scroll: '📜', clipboard: '📋', link: '🔗', paperclip: '📎', package: '📦', inbox_tray: '📥', outbox_tray: '📤',
  wrench: '🔧', hammer: '🔨', gear: '⚙️', bulb: '💡', mag: '🔍', robot_face: '🤖', robot: '🤖', llama: '🦙', chart_with_upwards_trend: '📈', chart_with_downwards_trend: '📉',
  house: '🏠', office: '🏢', phone: '☎️', telephone_receiver: '📞', pager: '📟', computer: '💻', envelope: '✉️', email: '📧', speech_balloon: '💬',
  wave: '👋', thumbsup: '👍', '+1': '👍', thumbsdown: '👎', '-1': '👎', ok_hand: '👌', clap: '👏', pray: '🙏', point_right: '👉', point_left: '👈', raised_hand: '✋', muscle: '💪',
  smile: '😄', slightly_smiling_face: '🙂', smiley: '😃', grin: '😁', joy: '😂', wink: '😉', thinking_face: '🤔', cry: '😢', sweat_smile: '😅', sleeping: '😴', sunglasses: '😎', scream: '😱',
  heart: '❤️', coffee: '☕', beer: '🍺', zzz: '💤', moon: '🌙', sunny: '☀️', information_source: 'ℹ️', one: '1️⃣', two: '2️⃣', three: '3️⃣',
};
