/**
 * Where `ingle-lsp` is. Pure: what is known of the machine comes in, a path or a sentence for the user goes out.
 */
import { isAbsolute, join } from "node:path";

/** `setting` is what the user wrote, `environments` are the active virtual environments, the nearest first. */
export interface Places {
  setting: string;
  environments: string[];
  home: string;
  variables: Readonly<Record<string, string | undefined>>;
}

export type Found = { path: string } | { missing: string };

/** The first place that has it. A setting that names no program is an error, not a reason to take another. */
export function find(places: Places, isProgram: (path: string) => boolean): Found {
  if (places.setting) {
    const path = places.setting.replace(/^~(?=\/)/, places.home);
    return isAbsolute(path) && isProgram(path)
      ? { path }
      : { missing: `The setting ingle.path names ${places.setting}, and no program is there.` };
  }
  const path = candidates(places).find(isProgram);
  return path ? { path } : { missing: "ingle-lsp is not installed, or not where it was looked for." };
}

/** Every place where it may be, the likeliest first. */
function candidates({ environments, home, variables }: Places): string[] {
  const data = variables.XDG_DATA_HOME ?? join(home, ".local/share");
  const folders = [
    ...environments.map((environment) => join(environment, "bin")),
    ...(variables.PATH ?? "").split(":"),
    variables.UV_TOOL_BIN_DIR,
    variables.XDG_BIN_HOME,
    variables.PIPX_BIN_DIR,
    join(home, ".local/bin"),
    join(variables.UV_TOOL_DIR ?? join(data, "uv/tools"), "ingle/bin"),
    join(variables.PIPX_HOME ?? join(data, "pipx"), "venvs/ingle/bin"),
    join(home, ".local/pipx/venvs/ingle/bin"),
  ];
  // A relative entry would mean the folder that happens to be open.
  return folders
    .filter((folder) => folder !== undefined)
    .filter(isAbsolute)
    .map((folder) => join(folder, "ingle-lsp"));
}

/** The command that installs it, with what this machine has. */
export function installCommand(hasProgram: (name: string) => boolean): string {
  if (hasProgram("uv")) {
    return "uv tool install ingle";
  }
  return hasProgram("pipx") ? "pipx install ingle" : "python3 -m pip install --user ingle";
}
