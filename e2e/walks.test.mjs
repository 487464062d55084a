// The walks of app-ui/tests/walks.rs in the page, whose engine is a worker: each key leads to the same step and the same state.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { after, before, test } from "node:test";
import { drop, launch, newPage, root, running, serve, until } from "./support.mjs";

let server;
let browser;

before(async () => {
  server = await serve();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

/** Files with their walks: the operations, and keys with the step and the digest that each leads to. */
function walks() {
  const folders = ["traces", "trace-io/tests/data/lessons"];
  const traces = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true }).map((path) => join(folder, path)),
  );
  const found = [];
  for (const line of readFileSync(join(root, "app-ui/tests/keys.txt"), "utf8").trimEnd().split("\n")) {
    const words = line.trim().split(" ");
    if (line.startsWith("  ")) {
      found.at(-1).moves.push({ key: words[0], step: Number(words[1]), digest: words[2] });
    } else {
      const path = traces.find((path) => basename(path) === words[0]);
      found.push({ file: join(root, path), count: Number(words[1]), moves: [] });
    }
  }
  return found;
}

test("walks lead to the same states with the engine in a worker", async () => {
  const { page, complaints, close } = await newPage(browser, server);
  await page.goto(server.url);
  await running(page);
  let moved = 0;
  for (const { file, count, moves } of walks()) {
    const before = await page.evaluate(() => globalThis.arenascope.trace_name());
    await drop(page, server, file);
    await until(
      page,
      `${file} is open`,
      ([before, count]) => {
        const { arenascope } = globalThis;
        return !arenascope.busy() && arenascope.trace_name() !== before && arenascope.step_count() === count;
      },
      [before, count],
    );
    for (const { key, step, digest } of moves) {
      await page.keyboard.press(key);
      const there = await until(
        page,
        `${file}: ${key} leads to step ${step}, ${digest}`,
        ([step, digest]) => {
          const { arenascope } = globalThis;
          return !arenascope.busy() && arenascope.step() === step && arenascope.digest() === digest;
        },
        [step, digest],
        20,
      );
      assert.ok(there);
      moved += 1;
    }
  }
  assert.equal(moved, 7 * 24);
  assert.deepEqual(complaints, []);
  await close();
});
