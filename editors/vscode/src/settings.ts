/**
 * The settings, in the server's words. The manifest lists them: what is not the extension's own is the server's.
 */

const OWN = new Set(["path"]);

/** What a setting's value is, by its name without `ingle.`. */
export type Lookup = (name: string) => unknown;

/** The server's settings as one object: `gates.midWord` stands in `gates`. `names` are the manifest's. */
export function forServer(names: readonly string[], valueOf: Lookup): Record<string, unknown> {
  const settings: Record<string, unknown> = {};
  for (const name of names.map((full) => full.replace(/^ingle\./, "")).filter((each) => !OWN.has(each))) {
    const [first = name, second] = name.split(".");
    if (second === undefined) {
      settings[first] = valueOf(name);
    } else {
      settings[first] = { ...(settings[first] as object | undefined), [second]: valueOf(name) };
    }
  }
  return settings;
}
