// GitHub's own command line, and libsodium, against githubsim.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sodium from 'libsodium-wrappers';
import { command, test } from './harness.js';
import { startSims } from './sims.js';

const program = new URL('../.build/gh', import.meta.url).pathname;
const pair = { ALPACA_PAPER_API_KEY_ID: 'PKCONFORMANCE0000001', ALPACA_PAPER_API_SECRET_KEY: 'a secret/with+odd=signs' };

export async function gh() {
  const sims = await startSims();
  const { Repo, Token, TLS, Cert, Socket, URL: plainURL } = sims.GitHub;
  const held = async (name, store = 'actions') => (await sims.act('github.secret', { name, store }))?.value;

  // Both doors of gh: a server of one's own over TLS (paths under /api/v3), and
  // github.com itself, rerouted to a socket.
  const base = {
    PATH: process.env.PATH, HOME: sims.dir, GH_TELEMETRY: 'false', GH_NO_UPDATE_NOTIFIER: '1', GH_PROMPT_DISABLED: '1',
    NO_PROXY: '127.0.0.1', DO_NOT_TRACK: '1',
  };
  const doors = {
    TLS: { ...base, GH_CONFIG_DIR: join(sims.dir, 'tls'), GH_HOST: TLS, GH_ENTERPRISE_TOKEN: Token, SSL_CERT_FILE: Cert },
    socket: { ...base, GH_CONFIG_DIR: join(sims.dir, 'socket'), GH_TOKEN: Token },
  };
  mkdirSync(join(sims.dir, 'socket'));
  writeFileSync(join(sims.dir, 'socket/config.yml'), `http_unix_socket: ${Socket}\n`);

  for (const [door, env] of Object.entries(doors)) {
    const run = async (args, options) => command(program, [...args, '-R', Repo], { env, ...options });
    const works = async (args, options) => {
      const done = await run(args, options);
      assert.equal(done.code, 0, `gh ${args.join(' ')}: ${done.stderr}`);
      return done.stdout;
    };

    await test(`gh over ${door}: sets one secret from its input`, async () => {
      for (const value of [`first over ${door}`, `second over ${door}`]) { // created, then updated
        await works(['secret', 'set', 'x'], { input: value });
        assert.equal(await held('X'), value); // upper case, whatever was sent
      }
    });

    await test(`gh over ${door}: sets the pair from a file, and lists it`, async () => {
      const file = join(sims.dir, `${door}.env`);
      const values = Object.fromEntries(Object.entries(pair).map(([k, v]) => [k, `${v} ${door}`]));
      writeFileSync(file, Object.entries(values).map(([k, v]) => `${k}="${v}"\n`).join(''));
      await works(['secret', 'set', '-f', file]);
      for (const [name, value] of Object.entries(values)) assert.equal(await held(name), value);
      const listed = JSON.parse(await works(['secret', 'list', '--json', 'name,updatedAt']));
      assert.deepEqual(listed.map((s) => s.name).sort(), [...Object.keys(pair), 'X'].sort());
      for (const s of listed) {
        const { updated_at } = await sims.act('github.secret', { name: s.name, store: 'actions' });
        assert.equal(new Date(s.updatedAt).getTime(), new Date(updated_at).getTime());
      }
    });

    await test(`gh over ${door}: an environment and Dependabot have stores of their own`, async () => {
      await works(['secret', 'set', 'X', '-e', 'production', '-b', `e ${door}`]);
      await works(['secret', 'set', 'X', '-a', 'dependabot', '-b', `d ${door}`]);
      assert.equal(await held('X', 'environments/production'), `e ${door}`);
      assert.equal(await held('X', 'dependabot'), `d ${door}`);
      assert.equal(await held('X'), `second over ${door}`);
    });

    await test(`gh over ${door}: deletes`, async () => {
      await works(['secret', 'delete', 'X']);
      assert.equal(await held('X'), undefined);
      const again = await run(['secret', 'delete', 'X']);
      assert.notEqual(again.code, 0);
      assert.match(again.stderr, /HTTP 404/);
    });

    await test(`gh over ${door}: reads the refusals`, async () => {
      let done = await command(program, ['secret', 'set', 'X', '-b', 'y', '-R', 'raxx/nowhere'], { env });
      assert.match(done.stderr, /HTTP 404: Not Found/);
      const stranger = { ...env, GH_TOKEN: 'other', GH_ENTERPRISE_TOKEN: 'other' };
      done = await run(['secret', 'list'], { env: stranger });
      assert.match(done.stderr, /HTTP 401: Bad credentials/);
      await sims.act('github.access', { code: 'read' });
      done = await run(['secret', 'set', 'X', '-b', 'y']);
      await sims.act('github.access', { code: 'write' });
      assert.notEqual(done.code, 0);
      assert.match(done.stderr, /HTTP 403: Resource not accessible by personal access token/);
      assert.equal(await held('X'), undefined);
    });
  }

  // gh and the bot seal with the same Go package; libsodium is another author's.
  await test('libsodium: its sealed box opens, a box for another store does not', async () => {
    await sodium.ready;
    const headers = { authorization: `Bearer ${Token}`, accept: 'application/vnd.github+json', 'content-type': 'application/json' };
    const at = (store, name) => `${plainURL}/repos/${Repo}/${store}/secrets/${name}`;
    const key = await (await fetch(at('actions', 'public-key'), { headers })).json();
    const sealed = sodium.crypto_box_seal(pair.ALPACA_PAPER_API_SECRET_KEY, sodium.from_base64(key.key, sodium.base64_variants.ORIGINAL));
    const body = JSON.stringify({ key_id: key.key_id, encrypted_value: sodium.to_base64(sealed, sodium.base64_variants.ORIGINAL) });
    const put = (store) => fetch(at(store, 'BOX'), { method: 'PUT', headers, body });
    assert.equal((await put('actions')).status, 201);
    assert.equal(await held('BOX'), pair.ALPACA_PAPER_API_SECRET_KEY);
    const answer = await put('dependabot');
    assert.equal(answer.status, 422);
    assert.match((await answer.json()).message, /improperly encrypted secret/);
  });
  await sims.stop();
}
