/** The examples of docs/library.md are run, on the source or, with `--conditions=built`, on the bundle. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as dropcast from '#dropcast';

const page = readFileSync(new URL('../../docs/library.md', import.meta.url), 'utf8');
const examples = [...page.matchAll(/```js\n([\s\S]*?)```\n\n```text\n([\s\S]*?)```/g)];

test('docs/library.md shows examples', () => assert.ok(examples.length >= 2));

for (const [index, [, code, printed]] of examples.entries())
  test(`docs/library.md: example ${index + 1} prints what the page shows`, () => {
    const lines: string[] = [];
    const body = code!.replace(/import \{([^}]*)\} from 'dropcast';/, 'const {$1} = dropcast;');
    const names = [...body.matchAll(/const \{([^}]*)\} = dropcast;/g)].flatMap(([, list]) => list!.split(','));
    for (const name of names) assert.ok(name.trim() in dropcast, `${name.trim()} is not exported`);
    // eslint-disable-next-line no-new-func
    new Function('dropcast', 'console', body)(dropcast, { log: (...words: unknown[]) => lines.push(words.join(' ')) });
    assert.equal(`${lines.join('\n')}\n`, printed);
  });
