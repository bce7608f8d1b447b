// tsc with Slack's own type declarations over every golden view and message.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { command, test } from './harness.js';

const root = new URL('..', import.meta.url).pathname;
const golden = join(root, '../internal/modals/testdata');
const out = join(root, '.build/golden');
const tsc = join(root, 'node_modules/.bin/tsc');

// ModalView.blocks is AnyBlock[], which lets an input without a label and a
// block that does not exist pass; KnownBlock[] does not. Lengths, counts and
// "submit where there is an input" are no matter of types: slacksim checks them.
const kinds = `import type { HomeView, KnownBlock, ModalView } from '@slack/types';
export type Modal = Omit<ModalView, 'blocks'> & { blocks: KnownBlock[] };
export type Home = Omit<HomeView, 'blocks'> & { blocks: KnownBlock[] };
export type Message = { text: string; blocks?: KnownBlock[] };
`;

const kindOf = (value) => ({ modal: 'Modal', home: 'Home' })[value.type] ?? 'Message';

// The compiler must refuse these, or its silence about the others says nothing.
const section = { type: 'section', text: { type: 'mrkdwn', text: 'x' } };
const modal = (...blocks) => ({ type: 'modal', title: { type: 'plain_text', text: 'T' }, blocks });
const wrong = {
  'a masked input': modal({ type: 'input', label: { type: 'plain_text', text: 'L' }, element: { type: 'plain_text_input', masked: true } }),
  'an input without a label': modal({ type: 'input', element: { type: 'plain_text_input' } }),
  'a block that does not exist': modal({ type: 'progress', value: 5 }),
  'a title in mrkdwn': { ...modal(section), title: { type: 'mrkdwn', text: 'T' } },
  'a key that does not exist': { text: 'x', blocks: [{ ...section, colour: 'red' }] },
  'a style that does not exist': { text: 'x', blocks: [{ type: 'actions', elements: [{ type: 'button', text: { type: 'plain_text', text: 'B' }, style: 'warning' }] }] },
};

// write makes one file of TypeScript, so that an error names the golden file.
function write(name, value) {
  const kind = kindOf(value);
  writeFileSync(join(out, `${name}.ts`), `import type { ${kind} } from '../kinds.js';\nexport const value: ${kind} = ${JSON.stringify(value, null, 2)};\n`);
}

export async function types() {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  writeFileSync(join(root, '.build/kinds.ts'), kinds);
  const names = [];
  for (const file of readdirSync(golden, { recursive: true }).filter((f) => f.endsWith('.json')).sort()) {
    const name = file.replaceAll('/', '.').slice(0, -'.json'.length);
    names.push([file, name]);
    write(name, JSON.parse(readFileSync(join(golden, file), 'utf8')));
  }
  const controls = Object.entries(wrong).map(([what, value], i) => [what, `wrong${i}`, value]);
  for (const [, name, value] of controls) write(name, value);

  const errors = new Map(); // by the base name of the file
  await test('types: tsc runs', async () => {
    const { code, stdout, stderr } = await command(tsc, [
      '--noEmit', '--strict', '--skipLibCheck', '--pretty', 'false', '--target', 'es2022', '--module', 'nodenext', '--types', '',
      join(root, '.build/kinds.ts'), ...readdirSync(out).map((f) => join(out, f)),
    ], { cwd: root });
    for (const line of stdout.split('\n')) {
      const at = line.match(/^(\S+)\.ts\(\d+,\d+\): error/);
      if (at) errors.set(basename(at[1]), [...(errors.get(basename(at[1])) ?? []), line]);
      else assert.doesNotMatch(line, /^error|^\S+: error/, line); // of no file: nothing was compiled
    }
    assert.ok(code === 1 || code === 2, `exit code ${code}, want that of errors, the controls': ${stderr}`);
    assert.ok(names.length >= 80, `${names.length} golden files, want at least 80`);
  }, 120);
  for (const [what, name] of controls) {
    await test(`types: refuses ${what}`, async () => assert.ok(errors.has(name), 'tsc says nothing'));
  }
  for (const [file, name] of names) {
    await test(`types: ${file}`, async () => assert.deepEqual(errors.get(name) ?? [], []));
  }
}
