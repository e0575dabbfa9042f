import assert from "node:assert/strict";
import { test } from "node:test";
import { forServer } from "./settings.ts";

test("settings go to the server nested as it has them, without the extension's own", () => {
  const names = ["ingle.path", "ingle.maxTokens", "ingle.gates.string", "ingle.gates.empty"];
  assert.deepEqual(
    forServer(names, (name) => `value of ${name}`),
    {
      maxTokens: "value of maxTokens",
      gates: { string: "value of gates.string", empty: "value of gates.empty" },
    },
  );
});
