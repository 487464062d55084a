// The engine in its worker, when things go wrong: a trap, an end without a word, a page that is not drawn.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { generate, launch, newPage, open, position, press, replay, running, serve, until } from "./support.mjs";

const OPERATIONS = 200_000;

let server;
let browser;
let file;

before(async () => {
  server = await serve();
  browser = await launch();
  file = generate("engine.ptrace", OPERATIONS);
});

after(async () => {
  await browser?.close();
  await server?.close();
});

/** A page on the generated trace, at some step that nothing leads to by itself. */
async function opened() {
  const made = await newPage(browser, server);
  await made.page.goto(server.url);
  await running(made.page);
  await open(made.page, server, file, OPERATIONS);
  await press(made.page, "End", OPERATIONS);
  await press(made.page, "ArrowLeft", OPERATIONS - 1);
  return made;
}

/** Waits until there are as many workers as ever there are once nothing goes on. */
async function two(page) {
  for (let i = 0; page.workers().length !== 2; i += 1) {
    assert.ok(i < 400, `there are ${page.workers().length} workers`);
    await new Promise((done) => setTimeout(done, 25));
  }
}

/** The worker of the open trace, the older of two: that of the trace before was ended, and one is there in spare. */
async function worker(page) {
  await until(page, "nothing goes on", () => !globalThis.arenascope.busy());
  await two(page);
  return page.workers()[0];
}

/** Waits until another engine stands where the one before stood, and says so; then it can be used as before. */
async function goesOn(page, said) {
  const error = await until(page, "another engine is there", (said) => {
    const error = globalThis.arenascope.error();
    return error?.includes("was started again at step") && error.includes(said) && error;
  }, said);
  assert.match(error, new RegExp(`at step ${OPERATIONS - 1};`));
  const there = await position(page);
  assert.equal(there.step, OPERATIONS - 1);
  assert.equal(there.digest, replay(file, "--until", String(OPERATIONS - 1)).digest);
  const back = await press(page, "ArrowLeft", OPERATIONS - 2);
  assert.equal(back.digest, replay(file, "--until", String(OPERATIONS - 2)).digest);
  await two(page);
}

test("an engine that traps is replaced, and the step is the same", async () => {
  const { page, close } = await opened();
  // Whatever the engine asks of its clock throws from now on, in the middle of Rust.
  await (await worker(page)).evaluate(() => {
    Performance.prototype.now = () => {
      throw new Error("no clock");
    };
  });
  await page.keyboard.press("ArrowLeft");
  await goesOn(page, "no clock");
  await close();
});

test("an engine that panics says what it said", async () => {
  const { page, close } = await opened();
  // What the panic hook posts before the trap.
  await (await worker(page)).evaluate(() => postMessage({ panicked: "panicked at a test:\nforced" }));
  await goesOn(page, "panicked at a test: forced");
  await close();
});

test("an engine that ends without a word is missed and replaced", async () => {
  const { page, close } = await opened();
  // As when the system takes its memory away: the page is told nothing.
  await (await worker(page)).evaluate(() => globalThis.close());
  await page.keyboard.press("ArrowLeft");
  await goesOn(page, "did not answer");
  await close();
});

test("an engine that cannot be loaded is given up with a reason", async () => {
  const { page, close } = await newPage(browser, server);
  await page.route("**/engine-*.wasm", (route) => route.fulfill({ status: 503, body: "" }));
  await page.goto(server.url);
  const error = await until(page, "the error is shown", () => globalThis.arenascope?.error());
  assert.match(error, /stopped 3 times/);
  assert.match(error, /503/);
  await close();
});

test("work goes on while nothing is drawn", async () => {
  const { page, complaints, close } = await newPage(browser, server);
  // As in a hidden tab: no animation frame comes until it is shown again.
  await page.addInitScript(() => {
    const real = globalThis.requestAnimationFrame.bind(globalThis);
    const held = [];
    globalThis.requestAnimationFrame = (callback) => (globalThis.hidden ? held.push(callback) : real(callback));
    globalThis.show = () => {
      globalThis.hidden = false;
      held.splice(0).forEach(real);
    };
  });
  await page.goto(server.url);
  await running(page);
  const count = 8_000_000;
  await open(page, server, generate("hidden.ptrace", count), count);
  assert.ok(await page.evaluate(() => globalThis.arenascope.busy()), "the first pass goes on");
  await page.evaluate(() => {
    globalThis.hidden = true;
  });
  await page.waitForTimeout(15_000);
  // A few frames later the page has taken what was told meanwhile; the pass itself takes many times as long.
  await page.evaluate(async () => {
    globalThis.show();
    for (let frame = 0; frame < 10; frame += 1) {
      await new Promise((drawn) => requestAnimationFrame(drawn));
    }
  });
  assert.equal(await page.evaluate(() => globalThis.arenascope.busy()), false, "it ended in the dark");
  assert.deepEqual(complaints, []);
  await close();
});
