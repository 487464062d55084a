// The built page in a real browser: it loads, steps, opens files and agrees with the native program; and when it
// cannot run it says why.

import assert from "node:assert/strict";
import { once } from "node:events";
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { dist, drop, generate, launch, looks, newPage, open, out, position, press, replay, root, running, serve, until, xtask } from "./support.mjs";

const tiny = join(root, "traces/tiny-script-3.11.ptrace.zst");

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

/** Runs a test on a fresh page that is running, and expects no complaint. */
function onRunningPage(name, act, options) {
  test(name, async (t) => {
    const { page, complaints, close } = await newPage(browser, server, options);
    try {
      await page.goto(server.url);
      await running(page);
      await act(page, t);
      assert.deepEqual(complaints, []);
    } catch (error) {
      await page.screenshot({ path: join(out, "failed.png") }).catch(() => {});
      throw error;
    } finally {
      await close();
    }
  });
}

/** What the error panel says, once it is there. */
async function failure(page) {
  await until(page, "the error panel is shown", () => document.documentElement.dataset.state === "failed");
  return page.locator("#failure").innerText();
}

onRunningPage("loads and begins with a scene that moves by itself", async (page, t) => {
  const { name, count, digest } = await position(page);
  assert.ok(name.length > 0);
  assert.ok(count > 0);
  assert.match(digest, /^[0-9a-f]{16}$/);
  assert.ok(await page.locator("#boot").isHidden());
  assert.notEqual(await page.locator("#status").textContent(), "");
  const firstPicture = await page.evaluate(() => performance.getEntriesByName("arenascope-running")[0].startTime);
  t.diagnostic(`running ${Math.round(firstPicture)} ms after navigation`);
  await page.screenshot({ path: join(out, "page.png") });
  const begun = (await position(page)).step;
  await until(page, "the scene goes on", (begun) => globalThis.arenascope.step() > begun, begun, 20);
});

onRunningPage("follows a link to a lesson, fetches it, and goes through it", async (page) => {
  const { arenascope: before } = { arenascope: await position(page) };
  await page.evaluate(() => {
    location.hash = "#v=1&lesson=lifo&beat=3&profile=cpython-3.13";
  });
  await until(page, "the lesson is open", () => globalThis.arenascope.trace_name() === "3 Last in, first out");
  await until(page, "at its beat", () => globalThis.arenascope.step() === 6);
  assert.notEqual((await position(page)).name, before.name);
  assert.match(await page.locator("#status").textContent(), /cpython-3\.13/);
  await page.screenshot({ path: join(out, "lesson.png") });
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await until(page, "a beat further on", () => globalThis.arenascope.step() === 7);
});

test("stands in a frame of another page, with the panes that its link chose", async () => {
  const { page, complaints, close } = await newPage(browser, server);
  const link = `${server.url}#v=1&lesson=lifo&beat=4&panes=text,picture,inspector&embed=1`;
  await page.setContent(`<p>A page of somebody else's.</p><iframe src="${link}" width="1100" height="640"></iframe>`);
  const frame = page.frames().at(-1);
  await frame.waitForFunction(() => globalThis.arenascope?.trace_name?.() === "3 Last in, first out");
  await frame.waitForFunction(() => globalThis.arenascope.step() > 0 && !globalThis.arenascope.busy());
  await page.screenshot({ path: join(out, "embed.png") });
  assert.deepEqual(complaints, []);
  await close();
});

onRunningPage("follows a link to a puzzle, and fetches it", async (page) => {
  await page.evaluate(() => {
    location.hash = "#v=1&puzzle=full-pool";
  });
  await until(page, "the puzzle is open", () => /Fill a pool exactly/.test(globalThis.arenascope.trace_name()));
  await until(page, "nothing goes on", () => !globalThis.arenascope.busy());
  await page.screenshot({ path: join(out, "puzzle.png") });
});

onRunningPage("opens a program that a link holds", async (page) => {
  await page.evaluate(() => {
    location.hash = "#v=1&play=S1SwVchNzMnJT9YwsdDkSitKTdVI1OQCAA&step=1";
  });
  await until(page, "the program is open", () => globalThis.arenascope.trace_name() === "Playground");
  await until(page, "at its step", () => globalThis.arenascope.step() === 1);
  assert.equal((await position(page)).count, 2);
  await page.screenshot({ path: join(out, "playground.png") });
});

for (const [name, fragment, trace] of [
  ["a program", "#v=1&play=S1SwVchNzMnJT9YwsdDkSitKTdVI1OQCAA&step=1", /^Playground$/],
  ["a lesson", "#v=1&lesson=lifo&beat=3", /^3 Last in, first out$/],
  ["a puzzle", "#v=1&puzzle=full-pool", /Fill a pool exactly/],
]) {
  test(`a link to ${name} opens it in a browser that was not there before`, async () => {
    const { page, complaints, close } = await newPage(browser, server);
    await page.goto(server.url + fragment);
    await until(page, "it is open", (trace) => new RegExp(trace).test(globalThis.arenascope?.trace_name?.() ?? ""), trace.source);
    await until(page, "nothing goes on", () => !globalThis.arenascope.busy());
    assert.ok((await position(page)).step > 0);
    assert.deepEqual(complaints, []);
    await close();
  });
}

onRunningPage("steps by keys, and back", async (page) => {
  await open(page, server, tiny, replay(tiny).operations);
  const start = await press(page, "Home", 0);
  const first = await press(page, "ArrowRight", 1);
  const second = await press(page, "ArrowRight", 2);
  assert.deepEqual(await press(page, "ArrowLeft", 1), first);
  assert.deepEqual(await press(page, "ArrowRight", 2), second);
  await press(page, "End", start.count);
  assert.deepEqual(await press(page, "Home", 0), start);
});

onRunningPage("agrees with the native program on a dropped trace", async (page) => {
  const whole = replay(tiny);
  await open(page, server, tiny, whole.operations);
  assert.equal((await press(page, "End", whole.operations)).digest, whole.digest);
  assert.equal((await press(page, "Home", 0)).digest, replay(tiny, "--until", "0").digest);
  for (const step of [1, 2, 3]) {
    const { digest } = await press(page, "ArrowRight", step);
    assert.equal(digest, replay(tiny, "--until", String(step)).digest, `at step ${step}`);
  }
  await page.screenshot({ path: join(out, "dropped.png") });
});

onRunningPage("agrees with the native program on a million operations", async (page, t) => {
  const file = generate("million.ptrace", 1_000_000);
  const { operations, digest } = replay(file);
  assert.equal(operations, 1_000_000);
  let start = Date.now();
  await open(page, server, file, operations);
  t.diagnostic(`opened in ${Date.now() - start} ms`);
  start = Date.now();
  assert.equal((await press(page, "End", operations)).digest, digest);
  t.diagnostic(`at the end in ${Date.now() - start} ms`);
  start = Date.now();
  assert.equal((await press(page, "ArrowLeft", operations - 1)).digest, replay(file, "--until", String(operations - 1)).digest);
  t.diagnostic(`one step back in ${Date.now() - start} ms`);
  await page.screenshot({ path: join(out, "million.png") });
});

onRunningPage("agrees with simulated and real memory on five traces", async (page) => {
  const recorded = ["tiny-script-3.11", "tiny-script-3.14"].map((name) => join(root, `traces/${name}.ptrace.zst`));
  const golden = ["t01_classes", "t08_realloc"].map((name) => join(root, `trace-io/tests/data/${name}.ptrace.zst`));
  for (const file of [...recorded, ...golden, generate("steady.ptrace", 200_000)]) {
    const { operations, digest } = replay(file);
    assert.equal(replay(file, "--backend", "mmap").digest, digest, `${file} over real memory`);
    await open(page, server, file, operations);
    assert.equal((await press(page, "End", operations)).digest, digest, `${file} in the browser`);
    const middle = Math.floor(operations / 2);
    await press(page, "Home", 0);
    await page.keyboard.press("g");
    // The dialog has the keyboard from its first picture on.
    await page.waitForTimeout(500);
    await page.keyboard.type(String(middle));
    const half = await press(page, "Enter", middle);
    for (const backend of ["sim", "mmap"]) {
      const there = replay(file, "--until", String(middle), "--backend", backend);
      assert.equal(half.digest, there.digest, `${file} at ${middle}, ${backend}`);
    }
  }
});

onRunningPage("shows the layers of the pitfalls", async (page) => {
  const panes = { 7: "domains", 8: "debug", 9: "tracemalloc" };
  const pitfalls = { "13-two-headers": 7, "16-double-free": 8, "19-trace-domains": 9, "25-hook-sizes": 7, "26-malloc-stats": 7, "28-free-threaded": 7 };
  for (const [name, key] of Object.entries(pitfalls)) {
    const file = join(root, `traces/pitfalls/${name}.ron`);
    const { operations, digest } = replay(file);
    const title = `Pitfall ${name.slice(0, 2)}`;
    await drop(page, server, file);
    await until(page, `${name} is open`, (title) => globalThis.arenascope.trace_name()?.startsWith(title), title);
    await page.keyboard.press(String(key));
    assert.equal((await press(page, "End", operations)).digest, digest, name);
    await page.screenshot({ path: join(out, `${name}-${panes[key]}.png`) });
  }
});

onRunningPage("opens a chosen file, and the same one again after it changed", async (page) => {
  for (const operations of [1000, 2000]) {
    const file = generate("chosen.ptrace", operations);
    const { digest } = replay(file);
    await page.locator("#file").setInputFiles(file);
    await until(page, `${file} is open`, (count) => globalThis.arenascope.step_count() === count, operations);
    assert.equal((await press(page, "End", operations)).digest, digest);
  }
});

onRunningPage("keeps the layout for the next visit", async (page) => {
  const kept = () => page.evaluate(() => localStorage.getItem("arenascope-layout"));
  assert.equal(await kept(), null);
  await page.reload();
  await running(page);
  assert.notEqual(await kept(), null);
});

onRunningPage("refuses junk and keeps the trace", async (page) => {
  const before = await press(page, "End", (await position(page)).count);
  const junk = join(out, "junk.bin");
  writeFileSync(junk, Uint8Array.from({ length: 5000 }, (_, index) => (index * 37) % 256));
  const empty = join(out, "empty.ptrace");
  writeFileSync(empty, "");
  for (const file of [junk, empty]) {
    await drop(page, server, file);
    const error = await until(
      page,
      `an error names ${basename(file)}`,
      (name) => {
        const error = globalThis.arenascope.error();
        return error?.includes(name) && error;
      },
      basename(file).split(".")[0],
    );
    assert.ok(!error.includes("\n"), error);
    const { name, count, digest } = await position(page);
    assert.deepEqual({ name, count, digest }, { name: before.name, count: before.count, digest: before.digest });
  }
  await page.screenshot({ path: join(out, "junk.png") });
});

const phone = { width: 390, height: 844 };

onRunningPage(
  "fits a phone in the dark",
  async (page) => {
    const layout = await page.evaluate(() => {
      const box = (element) => {
        const { x, y, width, height } = element.getBoundingClientRect();
        return { x, y, width, height };
      };
      const canvas = document.getElementById("canvas");
      // A page that can be scrolled goes there.
      scrollTo(1000, 1000);
      const { scrollWidth, scrollHeight } = document.scrollingElement;
      return {
        canvas: box(canvas),
        pixels: [canvas.width, canvas.height],
        window: [innerWidth, innerHeight],
        content: [scrollWidth, scrollHeight],
        scrolled: [scrollX, scrollY],
        zoom: visualViewport.scale,
        covered: ["boot", "failure"].filter((id) => document.getElementById(id).checkVisibility()),
        on_top: document.elementFromPoint(innerWidth / 2, innerHeight / 2)?.id,
      };
    });
    assert.deepEqual(layout, {
      canvas: { x: 0, y: 0, ...phone },
      pixels: [phone.width, phone.height],
      window: [phone.width, phone.height],
      content: [phone.width, phone.height],
      scrolled: [0, 0],
      zoom: 1,
      covered: [],
      on_top: "canvas",
    });
    assert.match(await page.locator("#status").textContent(), /step [\d,]+ of [\d,]+ · \d+ arenas? · [\d,]+ blocks? in pools/);

    // Every part of the screen is drawn, in the dark.
    await open(page, server, tiny, replay(tiny).operations);
    const parts = {
      toolbar: [0, 0, 390, 36],
      panes: [0, 150, 390, 640],
      timeline: [10, 706, 380, 750],
      transport: [10, 758, 312, 782],
      status: [0, 822, 390, 844],
      "right edge": [370, 150, 390, 640],
    };
    const png = await page.screenshot({ path: join(out, "phone.png") });
    const seen = await looks(page, png, Object.values(parts));
    for (const [index, name] of Object.keys(parts).entries()) {
      const { light, colors } = seen[index];
      assert.ok(light < 0.45, `${name} is dark: ${light}`);
      assert.ok(colors > 8, `something is drawn in ${name}: ${colors} colors`);
    }

    // A finger finds the bar of the whole tape, and the buttons under it, nine in a row from the left edge.
    const { count } = await position(page);
    await page.touchscreen.tap(10 + 0.75 * 370, 728);
    const there = await until(
      page,
      "a tap on the tape leads there",
      ([from, to]) => {
        const step = globalThis.arenascope.step();
        return step > from && step < to && !globalThis.arenascope.busy() && step;
      },
      [0.7 * count, 0.8 * count],
    );
    const button = (number) => page.touchscreen.tap(10 + 34 * number + 15, 770);
    const leads = (what, to) => until(page, what, (to) => globalThis.arenascope.step() === to, to);
    await button(5);
    await leads("a tap on the sixth steps forward", there + 1);
    await button(3);
    await leads("a tap on the fourth steps back", there);
    await button(8);
    await leads("a tap on the last goes to the end", count);
    await button(0);
    await leads("a tap on the first goes to the start", 0);
  },
  // One pixel a point: where Chromium only pretends to have more, it tells the canvas a size without them, and the window is drawn as
  // if it were half as wide. On a phone it tells the true one.
  { viewport: phone, deviceScaleFactor: 1, colorScheme: "dark", hasTouch: true, isMobile: true },
);

test("shows how far loading is", async () => {
  const { page, complaints, close } = await newPage(browser, server);
  // The module is held back until the screen was looked at.
  let release;
  const looked = new Promise((done) => {
    release = done;
  });
  await page.route("**/*.wasm", async (route) => {
    await looked;
    await route.continue();
  });
  await page.goto(server.url, { waitUntil: "commit" });
  await until(page, "the loading screen is shown", () => document.getElementById("boot")?.checkVisibility());
  await page.waitForTimeout(700);
  await page.screenshot({ path: join(out, "loading.png") });
  release();
  await running(page);
  assert.match(await page.evaluate(() => document.getElementById("boot-progress").getAttribute("max")), /^\d{6,}$/);
  assert.deepEqual(complaints, []);
  await close();
});

test("says so when the module does not arrive", async () => {
  const { page, close } = await newPage(browser, server);
  await page.route("**/*.wasm", (route) => route.fulfill({ status: 503, body: "" }));
  await page.goto(server.url);
  const text = await failure(page);
  assert.match(text, /could not be loaded/);
  assert.match(text, /503/);
  await page.screenshot({ path: join(out, "failure-download.png") });
  await close();
});

/** What the loading screen says, once it says more than that it loads. */
const helpOnScreen = (page, seconds) =>
  until(
    page,
    "the loading screen says what is wrong",
    () => {
      const help = document.getElementById("boot-help");
      return help?.checkVisibility() && `${document.getElementById("boot-text").textContent}\n${help.textContent}`;
    },
    undefined,
    seconds,
  );

test("says so when it is opened as a file", async () => {
  const { page, close } = await newPage(browser, server, { colorScheme: "dark" });
  await page.goto(pathToFileURL(join(dist, "index.html")).href);
  const text = await helpOnScreen(page, 10);
  assert.match(text, /^This page was opened as a file\n/);
  assert.match(text, /python3 -m http\.server/);
  await page.screenshot({ path: join(out, "opened-as-file.png") });
  await close();
});

test("says so when a script is missing", async () => {
  for (const script of ["boot", "early"]) {
    const { page, close } = await newPage(browser, server);
    await page.route(`**/${script}-*.js`, (route) => route.fulfill({ status: 404, body: "" }));
    await page.goto(server.url);
    if (script === "boot") {
      const text = await helpOnScreen(page, 10);
      assert.match(text, /^A part of the page is missing\nThe script boot-[0-9a-f]+\.js did not arrive\./);
      await page.screenshot({ path: join(out, "missing-script.png") });
    } else {
      // The app does without it.
      await running(page);
    }
    await close();
  }
});

test("says so when the server never answers, and goes on when it does", async () => {
  const { page, close } = await newPage(browser, server);
  let release;
  const answer = new Promise((done) => {
    release = done;
  });
  await page.route("**/arenascope-*.wasm", async (route) => {
    await answer;
    await route.continue();
  });
  await page.goto(server.url, { waitUntil: "commit" });
  assert.match(await helpOnScreen(page, 30), /Nothing has come from the server for 1[5-9] seconds/);
  await page.screenshot({ path: join(out, "no-answer.png") });
  release();
  await running(page);
  await close();
});

test("leaves the browser its keys, and opens files by its own", async () => {
  const { page, complaints, close } = await newPage(browser, server);
  await page.addInitScript(() => {
    globalThis.keys = [];
    const note = (event) => {
      // Once all have had the event.
      setTimeout(() => globalThis.keys.push([event.key, event.defaultPrevented]));
    };
    addEventListener("keydown", note, true);
  });
  await page.goto(server.url);
  await running(page);
  const step = await page.evaluate(() => globalThis.arenascope.step());
  for (const [chord, key, taken] of [
    ["Control+s", "s", false],
    ["Control+p", "p", false],
    ["Control+,", ",", false],
    ["Alt+ArrowLeft", "ArrowLeft", false],
    ["Alt+ArrowRight", "ArrowRight", false],
    ["Control+Shift+P", "P", true],
    ["ArrowDown", "ArrowDown", true],
  ]) {
    await page.evaluate(() => {
      globalThis.keys = [];
    });
    await page.keyboard.press(chord);
    const seen = await until(page, `${chord} arrives`, (key) => globalThis.keys.find(([name]) => name === key), key);
    assert.equal(seen[1], taken, chord);
  }
  assert.equal(await page.evaluate(() => globalThis.arenascope.step()), step, "none of them steps");
  await page.keyboard.press("Escape");
  const chooser = page.waitForEvent("filechooser");
  await page.keyboard.press("Control+o");
  await chooser;
  assert.deepEqual(complaints, []);
  await close();
});

test("moves less where the system asks for that", async () => {
  for (const [reducedMotion, saved] of [
    ["reduce", true],
    ["no-preference", false],
  ]) {
    const { page, close } = await newPage(browser, server, { reducedMotion });
    await page.goto(server.url);
    await running(page);
    const layout = await page.evaluate(() => {
      globalThis.arenascope.save();
      return localStorage.getItem("arenascope-layout");
    });
    assert.equal(JSON.parse(layout).reduce_motion, saved, reducedMotion);
    await close();
  }
});

test("says so when there is no WebGL", async () => {
  const blind = await launch("--disable-3d-apis");
  const { page, close } = await newPage(blind, server, { colorScheme: "dark" });
  await page.goto(server.url);
  assert.match(await failure(page), /no WebGL/);
  await page.screenshot({ path: join(out, "failure-webgl.png") });
  await close();
  await blind.close();
});

test("says so when there is no WebAssembly", async () => {
  const { page, close } = await newPage(browser, server);
  await page.addInitScript(() => {
    delete globalThis.WebAssembly;
  });
  await page.goto(server.url);
  assert.match(await failure(page), /no WebAssembly/);
  await close();
});

test("says so when there is no JavaScript", async () => {
  const { page, close } = await newPage(browser, server, { javaScriptEnabled: false });
  await page.goto(server.url);
  assert.match(await page.locator("noscript").innerText(), /Allow JavaScript/);
  await page.screenshot({ path: join(out, "no-javascript.png") });
  await close();
});

test("says so when the app panics while starting", async () => {
  const { page, close } = await newPage(browser, server);
  // The window's library panics when asking for a context throws, which no browser does.
  await page.addInitScript(() => {
    const { getContext } = HTMLCanvasElement.prototype;
    HTMLCanvasElement.prototype.getContext = function (...words) {
      if (this.id === "canvas") {
        throw new Error("<b>no context</b>");
      }
      return getContext.apply(this, words);
    };
  });
  await page.goto(server.url);
  const text = await failure(page);
  assert.match(text, /Arenascope stopped/);
  // Shown as text: what came from outside never becomes part of the page.
  assert.match(text, /<b>no context<\/b>/);
  await close();
});

test("says so when the app panics while running, and the message can be copied", async () => {
  const { page, close } = await newPage(browser, server, { permissions: ["clipboard-read", "clipboard-write"] });
  await page.goto(server.url);
  await running(page);
  // The window's library panics when there is no clock, which no browser lacks.
  await page.evaluate(() => Object.defineProperty(globalThis, "performance", { value: undefined }));
  await page.mouse.move(600, 300);
  await page.mouse.move(610, 310);
  const text = await failure(page);
  assert.match(text, /Arenascope stopped/);
  assert.match(text, /panicked at/i);
  assert.ok(await page.locator("#failure-reload").evaluate((button) => button === document.activeElement));
  await page.locator("#failure-copy").click();
  await until(page, "the button says so", () => document.getElementById("failure-copy").textContent === "Copied");
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /panicked at[^]*browser: /i);
  await page.screenshot({ path: join(out, "failure-panic.png") });
  await close();
});

test("says so when the graphics go away", async () => {
  const { page, close } = await newPage(browser, server);
  await page.goto(server.url);
  await running(page);
  await page.evaluate(() => {
    const canvas = document.getElementById("canvas");
    const context = canvas.getContext("webgl2") ?? canvas.getContext("webgl");
    context.getExtension("WEBGL_lose_context").loseContext();
  });
  assert.match(await failure(page), /picture was lost/);
  await close();
});

test("cargo xtask serve serves the page with its policy", async () => {
  const process_ = spawn(xtask, ["serve", "--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [line] = await once(process_.stdout, "data");
    const url = /http:\S+/.exec(String(line))[0];
    const page = await fetch(url);
    assert.equal(page.status, 200);
    assert.match(page.headers.get("content-security-policy"), /frame-ancestors 'none'/);
    const wasm = /arenascope-\w+\.wasm/.exec(await page.text())[0];
    const module = await fetch(url + wasm);
    assert.equal(module.headers.get("content-type"), "application/wasm");
    assert.equal((await module.arrayBuffer()).byteLength, Number(module.headers.get("content-length")));
    assert.equal((await fetch(`${url}%2e%2e/Cargo.toml`)).status, 404);
  } finally {
    process_.kill();
  }
});
