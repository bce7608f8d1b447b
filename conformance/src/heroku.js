// Heroku's own command line against herokusim.
import assert from 'node:assert/strict';
import { command, test, until } from './harness.js';
import { startSims } from './sims.js';

const program = new URL('../node_modules/.bin/heroku', import.meta.url).pathname;
const pair = { ALPACA_PAPER_API_KEY_ID: 'PKCONFORMANCE0000001', ALPACA_PAPER_API_SECRET_KEY: 'a secret/with+odd=signs' };

export async function heroku() {
  const sims = await startSims();
  const { App, Token, URL: host } = sims.Heroku;
  const env = {
    PATH: process.env.PATH, HOME: sims.dir, XDG_CACHE_HOME: sims.dir, XDG_CONFIG_HOME: sims.dir, XDG_DATA_HOME: sims.dir,
    HEROKU_HOST: host, HEROKU_API_KEY: Token, DISABLE_TELEMETRY: 'true', HEROKU_SKIP_NEW_VERSION_CHECK: '1', CI: 'true', NO_COLOR: '1',
  };
  const run = (args, more = {}) => command(program, [...args, '-a', App], { env: { ...env, ...more } });
  const works = async (...args) => {
    const done = await run(args);
    assert.equal(done.code, 0, `heroku ${args.join(' ')}: ${done.stdout}${done.stderr}`);
    return done.stdout + done.stderr;
  };
  const held = () => sims.act('heroku');

  await test('heroku: sets the pair in one release', async () => {
    const said = await works('config:set', ...Object.entries(pair).map(([k, v]) => `${k}=${v}`));
    const { vars, running, releases } = await held();
    assert.deepEqual(vars, { RAILS_ENV: 'production', ...pair });
    assert.deepEqual(running, vars);
    assert.deepEqual(releases.map((r) => r.Version), [41, 42]);
    assert.equal(releases.at(-1).Description, `Set ${Object.keys(pair).join(', ')} config vars`);
    assert.match(said, /v42/); // it reads the release back
  }, 120);

  await test('heroku: reads the pair', async () => {
    const said = JSON.parse((await run(['config', '--json'])).stdout);
    assert.deepEqual(said, { RAILS_ENV: 'production', ...pair });
    assert.match(await works('config:get', 'ALPACA_PAPER_API_KEY_ID'), /PKCONFORMANCE0000001/);
  }, 120);

  await test('heroku: lists releases, newest first', async () => {
    const list = JSON.parse((await run(['releases', '-n', '1', '--json'])).stdout);
    assert.deepEqual(list.map((r) => [r.version, r.status, r.current]), [[42, 'succeeded', true]]);
  }, 120);

  await test('heroku: waits for the dynos of the newest release', async () => {
    await sims.act('heroku.hold');
    await works('config:set', 'A=1');
    let done;
    const waiting = run(['ps:wait']).then((d) => { done = d; });
    await until('ps:wait to look at the dynos', async () => done || (await held()).calls > 0, 60);
    assert.equal(done, undefined, 'ps:wait ended while the dynos were starting');
    await sims.act('heroku.finish');
    await waiting; // it looks every 10 s and takes no smaller number
    assert.equal(done.code, 0, done.stderr);
    await works('config:unset', 'A');
    assert.equal((await held()).vars.A, undefined);
  }, 180);

  await test('heroku: reads the refusals', async () => {
    let done = await command(program, ['config:set', 'A=1', '-a', 'nowhere'], { env });
    assert.notEqual(done.code, 0);
    assert.match(done.stderr, /Couldn't find that app/);
    done = await run(['config:set', 'A=1'], { HEROKU_API_KEY: 'HRKU-read' });
    assert.notEqual(done.code, 0);
    assert.match(done.stderr, /Error ID: forbidden/);
    done = await run(['config:set', 'A-B=1']);
    assert.match(done.stderr, /Error ID: invalid_params/);
    assert.equal((await held()).vars['A-B'], undefined);
    done = await run(['config'], { HEROKU_API_KEY: 'HRKU-other' });
    assert.match(done.stderr, /HEROKU_API_KEY is invalid/);
  }, 180);

  await test('heroku: asked for nothing that herokusim does not know', async () => {
    const refused = await sims.act('refused');
    assert.deepEqual(refused.filter((c) => !/config-vars$/.test(c)), []);
  });
  await sims.stop();
}
