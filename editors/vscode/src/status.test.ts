import assert from "node:assert/strict";
import { test } from "node:test";
import { shown } from "./status.ts";

test("a model that is ready or at work is named", () => {
  assert.equal(shown({ state: "idle", model: "qwen", reason: "" }).text, "$(flame) qwen");
  assert.equal(shown({ state: "thinking", model: "qwen", reason: "" }).text, "$(loading~spin) qwen");
});

test("every state reads differently to those who see no icons", () => {
  const states = ["idle", "thinking", "loading", "starting", "off", "offline", "untrusted", "error"];
  const labels = states.map((state) => shown({ state, model: "", reason: "" }).label);
  assert.equal(new Set(labels).size, states.length);
});

test("an error warns and says why", () => {
  const { warning, tooltip } = shown({ state: "error", model: "", reason: "No model is loaded." });
  assert.ok(warning);
  assert.match(tooltip, /No model is loaded\./);
});

test("a model's name is short, and never an icon", () => {
  assert.equal(shown({ state: "idle", model: "$(bug)x", reason: "" }).text, "$(flame) (bug)x");
  assert.ok(shown({ state: "idle", model: "m".repeat(99), reason: "" }).text.length < 40);
});

test("a state that this version does not know is shown as it is", () => {
  assert.match(shown({ state: "dreaming", model: "", reason: "" }).tooltip, /dreaming/);
});
