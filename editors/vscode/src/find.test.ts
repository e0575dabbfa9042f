import assert from "node:assert/strict";
import { test } from "node:test";
import { find, installCommand, type Places } from "./find.ts";

const NOWHERE: Places = { setting: "", environments: [], home: "/home/me", variables: {} };

/** Finds it when these programs are there. */
function among(places: Partial<Places>, ...programs: string[]): string | undefined {
  const found = find({ ...NOWHERE, ...places }, (path) => programs.includes(path));
  return "path" in found ? found.path : undefined;
}

test("the setting comes first, then the virtual environment, PATH, and where tools are installed", () => {
  const places = { setting: "/set/ingle-lsp", environments: ["/venv"], variables: { PATH: "/usr/bin:/opt/bin" } };
  const programs = [
    "/set/ingle-lsp",
    "/venv/bin/ingle-lsp",
    "/opt/bin/ingle-lsp",
    "/home/me/.local/bin/ingle-lsp",
    "/home/me/.local/share/uv/tools/ingle/bin/ingle-lsp",
    "/home/me/.local/share/pipx/venvs/ingle/bin/ingle-lsp",
  ];
  assert.equal(among(places, ...programs), "/set/ingle-lsp");
  const left = programs.slice(1);
  while (left.length > 0) {
    assert.equal(among({ ...places, setting: "" }, ...left), left.shift());
  }
});

test("a setting that names no program is said, and nothing else is taken", () => {
  const found = find({ ...NOWHERE, setting: "/gone/ingle-lsp", environments: ["/venv"] }, (path) =>
    path.startsWith("/venv"),
  );
  assert.ok("missing" in found && found.missing.includes("/gone/ingle-lsp"));
});

test("a tilde in the setting is the home folder", () => {
  assert.equal(among({ setting: "~/x/ingle-lsp" }, "/home/me/x/ingle-lsp"), "/home/me/x/ingle-lsp");
});

test("an empty or relative entry of PATH is passed over: it would mean the open folder", () => {
  assert.equal(among({ variables: { PATH: ":.:bin" } }, "ingle-lsp", "bin/ingle-lsp"), undefined);
});

test("variables say where tools are installed", () => {
  const variables = { UV_TOOL_BIN_DIR: "/uv/bin", PIPX_HOME: "/pipx" };
  assert.equal(among({ variables }, "/uv/bin/ingle-lsp"), "/uv/bin/ingle-lsp");
  assert.equal(among({ variables }, "/pipx/venvs/ingle/bin/ingle-lsp"), "/pipx/venvs/ingle/bin/ingle-lsp");
});

test("what is typed into the terminal goes by what the machine has", () => {
  assert.equal(
    installCommand(() => true),
    "uv tool install ingle",
  );
  assert.equal(
    installCommand((name) => name === "pipx"),
    "pipx install ingle",
  );
  assert.equal(
    installCommand(() => false),
    "python3 -m pip install --user ingle",
  );
});
