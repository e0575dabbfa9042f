import assert from "node:assert/strict";
import { test } from "node:test";
import { Serial } from "./serial.ts";

test("what is wanted many times while it runs is done once more, never twice at once", async () => {
  let running = 0;
  let done = 0;
  const serial = new Serial(async () => {
    running += 1;
    assert.equal(running, 1);
    await Promise.resolve();
    running -= 1;
    done += 1;
  });
  await Promise.all([serial.run(), serial.run(), serial.run()]);
  assert.equal(done, 2);
  await serial.run();
  assert.equal(done, 3);
});

test("work that fails does not keep the next from being done", async () => {
  let fails = true;
  const serial = new Serial(() => (fails ? Promise.reject(new Error("no")) : Promise.resolve()));
  await assert.rejects(serial.run());
  fails = false;
  await serial.run();
});
