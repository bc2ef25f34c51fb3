/** The program's start: argv and this process's streams in, exit code out. */
import { run } from './main.ts';
import { processIo } from './terminal.ts';

void run(process.argv.slice(2), processIo()).then((code) => {
  // Everything printed has been flushed; an unread stdin must not keep the process alive.
  process.exit(code);
});
