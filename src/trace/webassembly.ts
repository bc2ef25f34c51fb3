/** The few parts of the WebAssembly JavaScript API that the scanners of bytes use; Node's types alone do not declare it. */

/** A memory of a module; those of the scanners never grow, which would detach its buffer. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

interface Wasm {
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: object };
  validate(code: Uint8Array): boolean;
}

/**
 * What serves a whole process: `make` gets the exports of a module without imports, in base64, when it is first asked for; undefined
 * where WebAssembly, or something that the module needs of it, is missing.
 */
export function shareInstance<T>(base64: string, make: (exports: object) => T): () => T | undefined {
  let shared: T | undefined;
  let isTried = false;
  return () => {
    if (isTried) return shared;
    isTried = true;
    const exports = instantiate(base64, {});
    if (exports !== undefined) shared = make(exports);
    return shared;
  };
}

const wasm = (globalThis as { readonly WebAssembly?: Wasm }).WebAssembly;

/** Compiled once a process; undefined: not to be had. */
const modules = new Map<string, object | undefined>();

/** The exports of a module in base64; undefined where WebAssembly, something that the module needs of it, or memory is missing. */
export function instantiate(base64: string, imports: object): object | undefined {
  try {
    if (!modules.has(base64)) {
      const code = Buffer.from(base64, 'base64');
      modules.set(base64, wasm?.validate(code) === true ? new wasm.Module(code) : undefined);
    }
    const module = modules.get(base64);
    return module && new wasm!.Instance(module, imports).exports;
  } catch (error) {
    // Where address space is limited: each memory asks for gigabytes of it.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
