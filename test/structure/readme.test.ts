/** The examples of the documents are run: every fenced block that begins with `$ npx dropcast` prints what the page shows. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run } from '../../src/cli/main.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const pages = [
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => join('docs', file)),
];

interface Example {
  readonly page: string;
  readonly command: string;
  readonly shown: readonly string[];
}

const examples = pages.flatMap((page) => {
  const text = readFileSync(join(root, page), 'utf8');
  return [...text.matchAll(/^```\w*\n\$ npx dropcast (.*)\n\n?([\s\S]*?)^```$/gm)].map((match): Example => ({
    page,
    command: match[1]!,
    shown: match[2]!.split('\n').slice(0, -1),
  }));
});

test('the README shows runs of the tool', () => {
  assert.ok(examples.filter(({ page }) => page === 'README.md').length >= 3);
});

for (const { page, command, shown } of examples)
  test(`${page}: dropcast ${command}`, async () => {
    let printed = '';
    const sink = { isTerminal: false, write: (text: string) => void (printed += text) };
    const quiet = { isTerminal: false, write: () => {} };
    await run(command.split(' '), {
      stdout: sink as never,
      stderr: quiet as never,
      stdin: (async function* () {})(),
      cwd: root,
      env: { NO_COLOR: '1' },
      onInterrupt: () => () => {},
    });
    const lines = printed.split('\n');
    let at = 0;
    let mayskip = false;
    for (const line of shown) {
      if (line === '...') {
        mayskip = true;
        continue;
      }
      const found = mayskip ? lines.indexOf(line, at) : lines[at] === line ? at : -1;
      assert.ok(
        found >= 0,
        `line ${JSON.stringify(line)} is not printed${mayskip ? ` after line ${at}` : `; found ${JSON.stringify(lines[at])}`}`,
      );
      at = found + 1;
      mayskip = false;
    }
  });

test('files that the documents link to exist', () => {
  const missing = pages.flatMap((page) =>
    [...readFileSync(join(root, page), 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g)]
      .map((match) => join(dirname(page), match[1]!))
      .filter((path) => !existsSync(join(root, path)))
      .map((path) => `${page}: ${path}`),
  );
  assert.deepEqual(missing, []);
});
