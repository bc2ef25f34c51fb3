/**
 * Three network namespaces, a - router - b, linked to each other and to nothing else; the ends have no address, so that
 * their kernels never answer, and every packet in them is ours. The router forwards, tracks connections and writes what
 * it thinks of each packet into its DSCP field. Everything is removed when the lab closes, also on failure and Ctrl-C.
 */
import { execFileSync, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** One frame, and the end that sends it. */
export interface Frame {
  readonly side: 0 | 1;
  readonly bytes: Uint8Array;
}

/** A running lab. */
export interface Lab {
  /** Sends up to 65,000 frames in order; the answer has the DSCP of each, or 255 for one that did not come out. */
  exchange(frames: readonly Frame[]): Promise<Uint8Array>;
  /** Loads another ruleset (nft syntax) on the router; it replaces the one before if it begins with `flush ruleset`. */
  load(ruleset: string): void;
  close(): void;
}

/** MAC addresses of the ends and of the router's legs towards them. */
export const MACS = {
  ends: ['02:00:00:00:0a:02', '02:00:00:00:0b:02'],
  legs: ['02:00:00:00:0a:01', '02:00:00:00:0b:01'],
} as const;

/** DSCP that the rules of `STATE_RULES` write. */
export const STATE_MARKS: Readonly<Record<number, string>> = {
  1: 'NEW',
  2: 'ESTABLISHED',
  3: 'RELATED',
  4: 'INVALID',
  5: 'UNTRACKED',
};

/** A ruleset that lets everything through and marks it with its connection tracking state. */
export const STATE_RULES: string = createStateRules();

/** Why there can be no lab here, or undefined. */
export function whyNoLab(): string | undefined {
  if (process.platform !== 'linux') return 'it needs Linux';
  if (process.getuid?.() !== 0) return 'it needs root';
  const tools: readonly (readonly [string, readonly string[], string])[] = [
    ['ip', ['-V'], 'iproute2'],
    ['nft', ['--version'], 'nftables'],
    ['python3', ['--version'], 'python3'],
  ];
  for (const [tool, args, name] of tools) {
    try {
      execFileSync(tool, args, { stdio: 'ignore' });
    } catch {
      return `${tool} is missing (Debian package ${name})`;
    }
  }
  try {
    execFileSync('unshare', ['-n', 'true'], { stdio: 'ignore' });
  } catch {
    return 'network namespaces cannot be created here';
  }
  return undefined;
}

/** Builds the namespaces, loads `ruleset` (nft syntax) on the router and starts the sender. */
export function openLab(ruleset: string, sysctls: readonly string[] = []): Lab {
  const names = ['a', 'r', 'b'].map((end) => `dropcast-${process.pid}-${end}`) as [string, string, string];
  const [a, router, b] = names;
  let helper: ChildProcessWithoutNullStreams | undefined;
  const close = (): void => {
    process.off('exit', close);
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
    helper?.kill('SIGKILL');
    for (const name of names) tryRun('ip', ['netns', 'del', name]);
  };
  const interrupt = (): void => {
    close();
    process.exit(130);
  };
  process.on('exit', close);
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  try {
    for (const name of names) run('ip', ['netns', 'add', name]);
    const inside = (name: string, args: readonly string[]): void => run('ip', ['netns', 'exec', name, ...args]);
    for (const name of names)
      inside(name, [
        'sysctl',
        '-qw',
        `net.ipv6.conf.all.disable_ipv6=${name === router ? 0 : 1}`,
        'net.ipv6.conf.default.accept_dad=0',
      ]);
    [a, b].forEach((end, i) => {
      const leg = i === 0 ? 'ra' : 'rb';
      run('ip', ['-n', router, 'link', 'add', leg, 'type', 'veth', 'peer', 'name', 'end0', 'netns', end]);
      run('ip', ['-n', router, 'link', 'set', leg, 'address', MACS.legs[i]!, 'up', 'txqueuelen', '100000']);
      run('ip', ['-n', end, 'link', 'set', 'end0', 'address', MACS.ends[i]!, 'up', 'txqueuelen', '100000']);
      run('ip', ['-n', router, 'addr', 'add', `10.77.${i + 1}.1/24`, 'dev', leg]);
      run('ip', ['-n', router, '-6', 'addr', 'add', `fd77:${i + 1}::1/64`, 'dev', leg, 'nodad']);
      run('ip', [
        '-n',
        router,
        'neigh',
        'add',
        `10.77.${i + 1}.2`,
        'lladdr',
        MACS.ends[i]!,
        'dev',
        leg,
        'nud',
        'permanent',
      ]);
      run('ip', [
        '-n',
        router,
        'neigh',
        'add',
        `fd77:${i + 1}::2`,
        'lladdr',
        MACS.ends[i]!,
        'dev',
        leg,
        'nud',
        'permanent',
      ]);
      run('ip', ['-n', router, 'route', 'add', `10.${78 + i}.0.0/16`, 'via', `10.77.${i + 1}.2`]);
      run('ip', [
        '-n',
        router,
        '-6',
        'route',
        'add',
        `fd${(78 + i).toString(16)}::/16`,
        'via',
        `fd77:${i + 1}::2`,
        'dev',
        leg,
      ]);
    });
    const settings = [
      'net.ipv4.ip_forward=1',
      'net.ipv6.conf.all.forwarding=1',
      'net.ipv4.conf.all.rp_filter=0',
      'net.ipv4.conf.ra.rp_filter=0',
      'net.ipv4.conf.rb.rp_filter=0',
      'net.ipv4.conf.all.send_redirects=0',
      ...sysctls,
    ];
    run('ip', ['netns', 'exec', router, 'nft', '-f', '-'], ruleset);
    for (const setting of settings) inside(router, ['sysctl', '-qw', setting]);
    const script = fileURLToPath(new URL('wire.py', import.meta.url));
    helper = spawn('python3', [script, a, 'end0', b, 'end0'], { stdio: ['pipe', 'pipe', 'pipe'] });
    // A sender that died is reported by its exit, not by the pipe.
    helper.stdin.on('error', () => undefined);
  } catch (error) {
    close();
    throw error;
  }
  const load = (text: string): void => run('ip', ['netns', 'exec', router, 'nft', '-f', '-'], text);
  return { exchange: (frames) => exchange(helper!, frames), load, close };
}

function exchange(helper: ChildProcessWithoutNullStreams, frames: readonly Frame[]): Promise<Uint8Array> {
  const size = frames.reduce((sum, frame) => sum + 3 + frame.bytes.length, 0);
  const message = Buffer.alloc(8 + size);
  message.writeUInt32LE(frames.length, 0);
  message.writeUInt32LE(size, 4);
  let at = 8;
  for (const { side, bytes } of frames) {
    message[at] = side;
    message.writeUInt16LE(bytes.length, at + 1);
    message.set(bytes, at + 3);
    at += 3 + bytes.length;
  }
  return new Promise((resolve, reject) => {
    const marks = new Uint8Array(frames.length);
    let have = 0;
    let complaint = '';
    const finish = (error?: Error): void => {
      clearTimeout(timer);
      helper.stdout.off('data', onData);
      helper.stderr.off('data', onComplaint);
      helper.off('exit', onExit);
      if (error === undefined) resolve(marks);
      else reject(error);
    };
    const onData = (chunk: Buffer): void => {
      marks.set(chunk.subarray(0, marks.length - have), have);
      have += chunk.length;
      if (have >= marks.length) finish();
    };
    const onComplaint = (chunk: Buffer): void => void (complaint += chunk.toString());
    const onExit = (): void => finish(new Error(`the sender ended: ${complaint}`));
    const timer = setTimeout(() => finish(new Error('the sender did not answer within 120 s')), 120_000);
    helper.stdout.on('data', onData);
    helper.stderr.on('data', onComplaint);
    helper.on('exit', onExit);
    helper.stdin.write(message);
  });
}

function createStateRules(): string {
  const rules = Object.entries(STATE_MARKS).flatMap(([mark, state]) =>
    ['ip', 'ip6'].map((family) => `    ct state ${state.toLowerCase()} ${family} dscp set ${mark} accept`),
  );
  return `table inet dropcast {\n  chain forward {\n    type filter hook forward priority filter; policy accept;\n${rules.join('\n')}\n  }\n}\n`;
}

function run(command: string, args: readonly string[], input?: string): void {
  execFileSync(command, args, { input: input ?? '', stdio: ['pipe', 'ignore', 'pipe'] });
}

function tryRun(command: string, args: readonly string[]): void {
  try {
    run(command, args);
  } catch {
    // Nothing was there to remove.
  }
}
