/**
 * Bundles programs, each of which is the files that it imports, one after another (absolute paths), and gives the paths of the programs,
 * which Node runs without a loader. They are gone when this process ends.
 */
export function bundlePrograms(...programs: readonly (readonly string[])[]): Promise<string[]>;
