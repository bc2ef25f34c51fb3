/** The few parts of the WebAssembly JavaScript API that replay uses; neither Node's types nor the language's have them. */

/** A memory, which nobody grows: that would detach its buffer. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
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
