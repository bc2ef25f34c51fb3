/**
 * What the bundled tests import as `node:test`: collects tests instead of running them, so that runner.mjs can run a chosen few in its
 * own process, again and again. It has what this project's tests use; anything else is an error at once.
 */
const tests = (globalThis.collectedTests ??= []);
let prefix = [];
let hooks = { before: [], after: [], beforeEach: [], afterEach: [] };

function collect(name, options, body) {
  const [own, run] = typeof options === 'function' ? [{}, options] : [options ?? {}, body];
  if (own.skip !== undefined && own.skip !== false) return;
  tests.push({ name: [...prefix, name].join(' > '), run, hooks });
}

/** `describe`: what is inside is collected at once. */
export function describe(name, options, body) {
  const [own, run] = typeof options === 'function' ? [{}, options] : [options ?? {}, body];
  if (own.skip !== undefined && own.skip !== false) return;
  const outer = { prefix, hooks };
  prefix = [...prefix, name];
  hooks = Object.fromEntries(Object.entries(hooks).map(([kind, list]) => [kind, [...list]]));
  run();
  ({ prefix, hooks } = outer);
}

const hook = (kind) => (run) => void hooks[kind].push(run);

export const it = collect;
export const test = collect;
export const suite = describe;
export const before = hook('before');
export const after = hook('after');
export const beforeEach = hook('beforeEach');
export const afterEach = hook('afterEach');
export default collect;
