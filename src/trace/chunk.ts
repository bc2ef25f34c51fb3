/**
 * Where the bytes of a file go, chunk by chunk, before a reader sees them. What a scanner will read goes into its memory at once, so that
 * nothing is copied; what a file is, its first bytes suggest, and where they mislead, chunks are read like any others.
 */
import { shareHubbleScanner, WINDOW_SIZE } from './hubble-scan.ts';

/** Bytes of a chunk. */
export const CHUNK_SIZE: number = WINDOW_SIZE;

/** Three chunks to be filled in turn: one is read while two are filled. */
export interface Chunks {
  readonly chunks: readonly Uint8Array[];
  /** Nobody will fill or read them any more. */
  release(): void;
}

/** Chunks for a file that begins with `head`. */
export function takeChunks(head: Uint8Array): Chunks {
  const isHubble = Buffer.from(head.subarray(0, 16)).includes('{"flow":');
  const scanner = isHubble ? shareHubbleScanner() : undefined;
  const lent = scanner?.lend();
  if (lent !== undefined) return { chunks: lent, release: () => scanner!.takeBack() };
  return { chunks: [1, 2, 3].map(() => Buffer.allocUnsafe(CHUNK_SIZE)), release: () => {} };
}
