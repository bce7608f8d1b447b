// @slack/bolt, the framework most Slack apps are written with, against
// slacksim: the same acts as a bot of its users would do them.
import assert from 'node:assert/strict';
import { App } from '@slack/bolt';
import { quiet, test, until } from './harness.js';
import { startSims } from './sims.js';
import { button, form, home, note } from './views.js';

// listen gives the app every handler; what it saw goes to seen.
function listen(app, command, seen) {
  app.command(command, async ({ ack, client, command: said, respond }) => {
    await ack();
    if (said.text === 'status') {
      await respond({ text: 'Nothing is due.' });
      return;
    }
    seen.opened = await client.views.open({ trigger_id: said.trigger_id, view: form('Step 2', 'key_v1') });
  });
  app.view('key_v1', async ({ ack, view }) => {
    const typed = view.state.values.key.id.value;
    seen.submitted.push(typed);
    if (!typed.startsWith('PK')) {
      await ack({ response_action: 'errors', errors: { key: 'A paper key starts with PK.' } });
      return;
    }
    await ack({ response_action: 'update', view: form('Saved', 'done_v1') });
  });
  app.view('done_v1', async ({ ack }) => { await ack({ response_action: 'clear' }); });
  app.action('more', async ({ ack, body, client }) => {
    await ack();
    await client.views.push({ trigger_id: body.trigger_id, view: note('More', 'What this is.') });
  });
  app.action('start', async ({ ack, body, client, respond, say }) => {
    await ack();
    await client.chat.update({ channel: body.channel.id, ts: body.message.ts, text: 'started', blocks: [] });
    await respond({ text: 'You started it.', replace_original: false });
    await respond({ text: 'started by ada', replace_original: true });
    await say('prod: started');
  });
  app.action('look', async ({ ack }) => { await ack(); seen.looked = true; });
  app.event('app_home_opened', async ({ client, event }) => {
    await client.views.publish({ user_id: event.user, view: home('prod is due') });
  });
  app.error(async (err) => { seen.errors.push(String(err)); });
}

export async function bolt() {
  const sims = await startSims();
  const { Ada, Ops, Command } = sims.Slack;
  const act = (op, fields) => sims.act(op, { user: Ada, ...fields });
  const seen = { submitted: [], errors: [] };
  const app = new App({
    token: sims.Slack.BotToken, appToken: sims.Slack.AppToken, socketMode: true, logger: quiet,
    clientOptions: { slackApiUrl: sims.Slack.URL },
  });
  listen(app, Command, seen);
  const messages = () => act('messages', { channel: Ops });

  await test('bolt: starts', async () => {
    await app.start();
    await until('a socket', async () => (await act('sockets')).open === 1);
  });

  await test('bolt: a command is answered through its response_url', async () => {
    assert.equal((await act('command', { channel: Ops, text: 'status' })).Err, '');
    const line = await until('the answer', async () => (await messages()).find((m) => m.Text === 'Nothing is due.'));
    assert.equal(line.EphemeralFor, Ada);
  });

  await test('bolt: a command opens a modal, its button pushes another', async () => {
    await act('command', { channel: Ops });
    await until('the modal', async () => (await act('modal'))?.Title === 'Step 2');
    assert.equal((await act('modal')).ID, seen.opened.view.id);
    assert.equal((await act('press', { button: 'More' })).Err, '');
    await until('the pushed view', async () => (await act('modal')).Title === 'More');
    assert.match((await act('modal')).Text, /What this is\./);
    await act('close');
    assert.equal((await act('modal')).Title, 'Step 2');
  });

  await test('bolt: a submission gets errors, then another view, then clear', async () => {
    await act('type', { field: 'Key ID', text: 'AK1' });
    assert.deepEqual((await act('submit')).Errors, { key: 'A paper key starts with PK.' });
    await act('type', { field: 'Key ID', text: 'PK1' });
    assert.equal((await act('submit')).Trouble, '');
    assert.equal((await act('modal')).Title, 'Saved');
    assert.equal((await act('submit')).Closed, true);
    assert.equal(await act('modal'), null);
    assert.deepEqual(seen.submitted, ['AK1', 'PK1']);
  });

  await test('bolt: a message, its button, its update, and a word to who pressed', async () => {
    const post = await app.client.chat.postMessage({
      channel: Ops, text: 'prod is due',
      blocks: [{ type: 'section', text: { type: 'mrkdwn', text: '*prod*' }, accessory: button('Start', 'start', 'prod') }],
    });
    assert.equal((await act('press.message', { channel: Ops, ts: post.ts, button: 'Start' })).Err, '');
    await until('the last word', async () => (await messages()).some((m) => m.Text === 'prod: started'));
    const lines = await messages();
    assert.equal(lines.find((m) => m.TS === post.ts).Text, 'started by ada');
    assert.equal(lines.find((m) => m.TS === post.ts).Updates, 2);
    assert.equal(lines.find((m) => m.Text === 'You started it.').EphemeralFor, Ada);
  });

  await test('bolt: the home tab and its button', async () => {
    assert.equal(await act('home.open'), true);
    const view = await until('the home tab', () => act('home'));
    assert.match(view.Text, /prod is due/);
    await act('press.home', { button: 'Look' });
    await until('the press', () => seen.looked);
  });

  await test('bolt: comes back after refresh_requested', async () => {
    const { ever } = await act('sockets');
    await act('disconnect', { reason: 'refresh_requested' });
    await until('a new socket', async () => {
      const s = await act('sockets');
      return s.ever > ever && s.open > 0;
    }, 30);
    await act('command', { channel: Ops });
    await until('the modal', async () => (await act('modal'))?.Title === 'Step 2');
  }, 45);

  await test('bolt: nothing went wrong on either side', async () => {
    assert.deepEqual(seen.errors, []);
    assert.deepEqual(await act('problems'), []);
  });

  await app.stop();
  await sims.stop();
}
