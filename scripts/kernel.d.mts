/** Where the kernel's code is kept. */
export const OUTPUT: string;
/** The text of the generated module. Throws with the compiler's own messages. */
export function compileKernel(): Promise<string>;
