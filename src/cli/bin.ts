/**
 * The program's start: argv and this process's streams in, exit code out. What it says of itself is answered before anything is loaded, by texts
 * that the build has put in; from source, and where they cannot be written at once, it goes the long way.
 */
import { writeSync } from 'node:fs';

declare global {
  // Defined by the bundler; absent when the source runs.
  var DROPCAST_HELP: string | undefined;
}

const argv = process.argv.slice(2);
if (argv.length !== 1 || !answer(argv[0]!)) void start();

function answer(option: string): boolean {
  let text = '';
  if (option === '-h' || option === '--help') text = globalThis.DROPCAST_HELP ?? '';
  else if (option === '-V' || option === '--version') text = `${globalThis.DROPCAST_VERSION ?? ''}\n`;
  if (text.trim() === '') return false;
  try {
    // So short a text goes into a pipe whole, or not at all.
    writeSync(1, text);
    return true;
  } catch {
    return false;
  }
}

async function start(): Promise<void> {
  const [{ run }, { processIo }] = await Promise.all([import('./main.ts'), import('./terminal.ts')]);
  // Everything printed has been flushed; an unread stdin must not keep the process alive.
  process.exit(await run(argv, processIo()));
}
