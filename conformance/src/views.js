// Views and messages of the Slack suites: the kinds that the bot sends, small.
export const plain = (text) => ({ type: 'plain_text', text, emoji: false });

export const button = (text, action_id, value) => ({ type: 'button', text: plain(text), action_id, value });

// form is a modal with one input and one button.
export function form(title, callback_id, fields = {}) {
  return {
    type: 'modal',
    callback_id,
    private_metadata: 'r1',
    title: plain(title),
    submit: plain('Save'),
    close: plain('Close'),
    blocks: [
      { type: 'section', block_id: 'about', text: { type: 'mrkdwn', text: `*${title}*` } },
      { type: 'input', block_id: 'key', label: plain('Key ID'), element: { type: 'plain_text_input', action_id: 'id' } },
      { type: 'actions', block_id: 'acts', elements: [button('More', 'more', 'v')] },
    ],
    ...fields,
  };
}

// note is a modal without inputs.
export const note = (title, text) => ({
  type: 'modal', title: plain(title), close: plain('Close'),
  blocks: [{ type: 'section', text: { type: 'mrkdwn', text } }],
});

export const home = (text) => ({
  type: 'home',
  blocks: [
    { type: 'header', text: plain(text) },
    { type: 'actions', elements: [button('Look', 'look', 'prod')] },
  ],
});
