// @slack/socket-mode and @slack/web-api against slacksim.
import assert from 'node:assert/strict';
import { SocketModeClient } from '@slack/socket-mode';
import { WebClient } from '@slack/web-api';
import { quiet, test, until } from './harness.js';
import { startSims } from './sims.js';
import { button, form, home, note } from './views.js';

// refused awaits a call that Slack refuses and returns the answer that the
// client read.
async function refused(call, code) {
  let answer;
  try {
    answer = await call;
  } catch (err) {
    assert.equal(err.code, 'slack_webapi_platform_error', String(err));
    assert.equal(err.data.ok, false);
    assert.equal(err.data.error, code);
    return err.data;
  }
  throw new Error(`answer = ${JSON.stringify(answer)}, want ${code}`);
}

// What the client calls the envelopes of an interaction.
const events = { block_actions: 'interactive', view_submission: 'interactive' };

export async function socketMode() {
  const sims = await startSims();
  const { Ada, Bob, Ops, Group, Command } = sims.Slack;
  const act = (op, fields) => sims.act(op, { user: Ada, ...fields });
  const clientOptions = { slackApiUrl: sims.Slack.URL, logger: quiet };
  const web = new WebClient(sims.Slack.BotToken, clientOptions);
  const bot = new SocketModeClient({ appToken: sims.Slack.AppToken, clientOptions, logger: quiet });
  let opened; // the answer to the newest views.open
  // next resolves with the next envelope; this client tells interactions apart
  // by their payload only.
  const next = (type) => new Promise((resolve) => {
    bot.once(type, resolve);
  });
  // during does an act and lets handle answer the envelope that it causes. It
  // returns what the person sees then.
  const during = async (type, handle, op, fields) => {
    const [, seen] = await Promise.all([next(events[type] ?? type).then((e) => {
      if (events[type]) assert.equal(e.body.type, type);
      return handle(e);
    }), act(op, fields)]);
    return seen;
  };

  await test('socket-mode: connects', async () => {
    await bot.start();
    await until('a socket', async () => (await act('sockets')).open === 1);
  });

  await test('socket-mode: a command is answered in its ack', async () => {
    const seen = await during('slash_commands', async ({ ack, body }) => {
      assert.equal(body.command, Command);
      assert.equal(body.text, 'status');
      assert.equal(body.user_id, Ada);
      await ack({ text: 'Nothing is due.' });
    }, 'command', { channel: Ops, text: 'status' });
    assert.equal(seen.Err, '');
    assert.equal(seen.Reply.Text, 'Nothing is due.');
    assert.equal(seen.Reply.EphemeralFor, Ada);
  });

  await test('web-api: views.open, once for each trigger', async () => {
    await during('slash_commands', async ({ ack, body }) => {
      await ack();
      opened = await web.views.open({ trigger_id: body.trigger_id, view: form('Step 2', 'key_v1') });
      await refused(web.views.open({ trigger_id: body.trigger_id, view: form('Step 2', 'key_v1') }), 'exchanged_trigger_id');
    }, 'command', { channel: Ops });
    const { view } = opened;
    assert.equal(view.callback_id, 'key_v1');
    assert.equal(view.private_metadata, 'r1');
    assert.equal(view.root_view_id, view.id);
    assert.equal(view.previous_view_id, null);
    assert.ok(view.hash);
    assert.equal((await act('modal')).ID, view.id);
  });

  await test('web-api: views.update obeys the hash', async () => {
    const { view } = await web.views.update({ view_id: opened.view.id, hash: opened.view.hash, view: form('Step 3', 'key_v1') });
    assert.notEqual(view.hash, opened.view.hash);
    assert.equal((await act('modal')).Title, 'Step 3');
    await refused(web.views.update({ view_id: view.id, hash: opened.view.hash, view: form('Late', 'key_v1') }), 'hash_conflict');
    assert.equal((await act('modal')).Title, 'Step 3');
    await refused(web.views.update({ view_id: 'V0NOWHERE', view: form('Lost', 'key_v1') }), 'not_found');
  });

  await test('socket-mode: errors stand under their input and what was typed stays', async () => {
    await act('type', { field: 'Key ID', text: 'AK1' });
    const seen = await during('view_submission', async ({ ack, body }) => {
      assert.equal(body.view.state.values.key.id.value, 'AK1');
      assert.equal(body.view.private_metadata, 'r1');
      await ack({ response_action: 'errors', errors: { key: 'A paper key starts with PK.' } });
    }, 'submit');
    assert.deepEqual(seen.Errors, { key: 'A paper key starts with PK.' });
    const { Inputs } = await act('modal');
    assert.equal(Inputs[0].Error, 'A paper key starts with PK.');
    assert.equal(Inputs[0].Text, 'AK1');
  });

  await test('socket-mode: a submission is answered with another view, then with clear', async () => {
    let seen = await during('view_submission', ({ ack }) => ack({ response_action: 'update', view: form('Saved', 'done_v1') }), 'submit');
    assert.equal(seen.Trouble, '');
    const modal = await act('modal');
    assert.equal(modal.Title, 'Saved');
    assert.equal(modal.Inputs[0].Text, 'AK1'); // same block_id and action_id: kept
    seen = await during('view_submission', ({ ack, body }) => {
      assert.equal(body.view.callback_id, 'done_v1');
      return ack({ response_action: 'clear' });
    }, 'submit');
    assert.equal(seen.Closed, true);
    assert.equal(await act('modal'), null);
  });

  await test('web-api: views.push from a button, three views deep and no deeper', async () => {
    await during('slash_commands', async ({ ack, body }) => {
      await ack();
      opened = await web.views.open({ trigger_id: body.trigger_id, view: form('One', 'one') });
    }, 'command', { channel: Ops });
    for (const title of ['Two', 'Three']) {
      await during('block_actions', async ({ ack, body }) => {
        await ack();
        assert.equal(body.actions[0].action_id, 'more');
        assert.equal(body.container.type, 'view');
        const { view } = await web.views.push({ trigger_id: body.trigger_id, view: form(title, title) });
        assert.equal(view.root_view_id, opened.view.id);
        assert.equal(view.previous_view_id, body.view.id);
      }, 'press', { button: 'More' });
    }
    assert.equal((await act('modal')).Depth, 3);
    await during('block_actions', async ({ ack, body }) => {
      await ack();
      await refused(web.views.push({ trigger_id: body.trigger_id, view: note('Four', 'x') }), 'push_limit_reached');
    }, 'press', { button: 'More' });
    await act('close');
    assert.equal((await act('modal')).Title, 'Two');
    await act('type', { field: 'Key ID', text: 'x' });
    const seen = await during('view_submission', ({ ack }) => ack(), 'submit'); // empty: closes this view only
    assert.equal(seen.Closed, true);
    assert.equal((await act('modal')).Title, 'One');
  });

  await test('web-api: a message, its button, and its update', async () => {
    const blocks = [
      { type: 'section', text: { type: 'mrkdwn', text: '*prod* is due' } },
      { type: 'actions', block_id: 'acts', elements: [button('Start', 'start', 'prod')] },
    ];
    const post = await web.chat.postMessage({ channel: Ops, text: 'prod is due', blocks, unfurl_links: false, unfurl_media: false });
    assert.equal(post.channel, Ops);
    assert.equal(post.message.text, 'prod is due');
    await during('block_actions', async ({ ack, body }) => {
      await ack();
      assert.equal(body.actions[0].value, 'prod');
      assert.equal(body.container.message_ts, post.ts);
      assert.equal(body.message.ts, post.ts);
      const updated = await web.chat.update({ channel: body.channel.id, ts: body.message.ts, text: 'started', blocks: [blocks[0]] });
      assert.equal(updated.ts, post.ts);
    }, 'press.message', { channel: Ops, ts: post.ts, button: 'Start' });
    const line = (await act('messages', { channel: Ops })).find((m) => m.TS === post.ts);
    assert.equal(line.Text, 'started');
    assert.equal(line.Updates, 1);
    assert.equal(line.Buttons, null);
    const thread = await web.chat.postMessage({ channel: Ops, text: 'detail', thread_ts: post.ts });
    assert.equal(thread.message.thread_ts, post.ts);
    await web.chat.delete({ channel: Ops, ts: thread.ts });
    await refused(web.chat.update({ channel: Ops, ts: thread.ts, text: 'x' }), 'message_not_found');
  });

  await test('web-api: a direct message is updated by its own id only', async () => {
    const { channel } = await web.conversations.open({ users: Ada });
    const post = await web.chat.postMessage({ channel: Ada, text: 'Due in 7 days' });
    assert.equal(post.channel, channel.id);
    await refused(web.chat.update({ channel: Ada, ts: post.ts, text: 'x' }), 'channel_not_found');
    await web.chat.update({ channel: channel.id, ts: post.ts, text: 'Due in 1 day' });
    const quiet = await web.chat.postEphemeral({ channel: Ops, user: Bob, text: 'Not for guests.' });
    const line = (await act('messages', { channel: Ops })).find((m) => m.TS === quiet.message_ts);
    assert.equal(line.EphemeralFor, Bob);
  });

  await test('web-api: people and groups', async () => {
    const who = await web.auth.test();
    assert.ok(who.user_id && who.bot_id && who.team_id);
    assert.deepEqual((await web.usergroups.users.list({ usergroup: Group })).users, [Ada]);
    assert.deepEqual((await web.usergroups.list()).usergroups.map((g) => g.id), [Group]);
    const { user } = await web.users.info({ user: Bob });
    assert.equal(user.is_restricted, true);
    assert.equal(user.team_id, who.team_id);
    assert.equal((await web.conversations.info({ channel: Ops })).channel.is_ext_shared, false);
  });

  await test('socket-mode: the home tab is published when it is opened, and again with a hash', async () => {
    let published;
    const acked = await during('app_home_opened', async ({ ack, event }) => {
      await ack();
      assert.equal(event.tab, 'home');
      published = await web.views.publish({ user_id: event.user, view: home('Nothing is due') });
    }, 'home.open');
    assert.equal(acked, true);
    const before = published.view.hash;
    await web.views.publish({ user_id: Ada, hash: before, view: home('prod is due') });
    await refused(web.views.publish({ user_id: Ada, hash: before, view: home('late') }), 'hash_conflict');
    assert.match((await act('home')).Text, /prod is due/);
    await during('block_actions', async ({ ack, body }) => {
      await ack();
      assert.equal(body.view.type, 'home');
    }, 'press.home', { button: 'Look' });
  });

  await test('web-api: what Slack refuses is refused in its words', async () => {
    const long = home('x'.repeat(151));
    let data = await refused(web.views.publish({ user_id: Ada, view: long }), 'invalid_arguments');
    assert.deepEqual(data.response_metadata.messages, ['[ERROR] must be less than 151 characters [json-pointer:/view/blocks/0/text/text]']);
    data = await refused(web.views.open({ trigger_id: '1.2.a', view: { ...form('T', 'c'), submit: undefined } }), 'invalid_arguments');
    assert.match(data.response_metadata.messages[0], /submit/);
    await refused(web.views.open({ trigger_id: '1.2.a', view: form('T', 'c') }), 'invalid_trigger_id');
    await refused(web.chat.postMessage({ channel: Ops, text: 'x', blocks: [{ type: 'section' }] }), 'invalid_blocks');
    await refused(web.chat.postMessage({ channel: 'C0NOWHERE', text: 'x' }), 'channel_not_found');
    await refused(web.chat.postMessage({ channel: Ops }), 'no_text');
    await refused(web.users.info({ user: 'U0NOBODY' }), 'user_not_found');
    await refused(web.apiCall('users.list'), 'unknown_method');
    const stranger = new WebClient('xoxb-other', clientOptions);
    await refused(stranger.auth.test(), 'invalid_auth');
    await refused(new WebClient(undefined, clientOptions).auth.test(), 'not_authed');
    await refused(web.apps.connections.open(), 'not_allowed_token_type');
  });

  await test('web-api: waits as long as a rate limit says', async () => {
    await act('limit', { method: 'users.info', n: 1 });
    const start = Date.now();
    const told = new Promise((resolve) => { web.once('rate_limited', resolve); });
    await web.users.info({ user: Ada });
    assert.ok(Date.now() - start >= 1000, `answered after ${Date.now() - start} ms`);
    assert.equal(await told, 1);
  });

  for (const reason of ['warning', 'refresh_requested', 'cut']) {
    await test(`socket-mode: comes back after ${reason}`, async () => {
      const { ever } = await act('sockets');
      assert.equal(reason === 'cut' ? await act('cut') : await act('disconnect', { reason }), 1);
      await until('a new socket', async () => {
        const s = await act('sockets');
        return s.ever > ever && s.open > 0;
      }, 30);
      const seen = await during('slash_commands', ({ ack }) => ack({ text: 'back' }), 'command', { channel: Ops });
      assert.equal(seen.Reply?.Text, 'back', seen.Err);
    }, 45);
  }

  await test('slacksim: nothing that Slack would pass over in silence', async () => {
    assert.deepEqual((await act('problems')).filter((p) => p !== 'unknown method users.list'), []);
  });

  await bot.disconnect();
  await sims.stop();
}
