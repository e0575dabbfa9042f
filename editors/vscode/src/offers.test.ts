import assert from "node:assert/strict";
import { test } from "node:test";
import { takenOf } from "./offers.ts";

const OFFERS = [
  { id: "one", text: "def add(a, b):\n    return a + b" },
  { id: "two", text: "def add(x):\n    return x" },
];

test("how much of which offer stands there", () => {
  assert.deepEqual(takenOf(OFFERS, "def add(a"), { id: "one", acceptedLength: 9 });
  assert.deepEqual(takenOf(OFFERS, "def add(x):"), { id: "two", acceptedLength: 11 });
});

test("a line end counts one, however the document writes it", () => {
  assert.deepEqual(takenOf(OFFERS, "def add(a, b):\r\n    return"), { id: "one", acceptedLength: 25 });
});

test("what was taken whole, or is another's, is not a part", () => {
  assert.equal(takenOf(OFFERS, "def add(a, b):\n    return a + b"), undefined);
  assert.equal(takenOf(OFFERS, "class Add"), undefined);
});
