/** The few parts of the WebAssembly JavaScript API that replay uses; neither Node's types nor the language's have them. */

/** A memory; growing it detaches its buffer. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  /** Grows by so many pages of 64 KiB; throws a RangeError where they cannot be had. */
  grow(pages: number): number;
}

/** The constructors. */
export interface WasmApi {
  readonly Memory: new (limits: { readonly initial: number; readonly maximum: number }) => WasmMemory;
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ) => { readonly exports: Readonly<Record<string, unknown>> };
  readonly CompileError: new () => Error;
}

/** The API, or undefined where the platform has none. */
export const wasm: WasmApi | undefined = (globalThis as { WebAssembly?: WasmApi }).WebAssembly;
