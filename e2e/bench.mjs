// How long the page takes beside the same engine run natively: opening, the first pass, seeks. Not a test: run
// `node e2e/bench.mjs ENGINE FILE…` after `cargo xtask web`, where ENGINE is the built example `engine` of session.
// Without files two generated traces of ten million operations. Prints Markdown.

import { execFileSync } from "node:child_process";
import { generateWith, launch, newPage, running, serve, until } from "./support.mjs";

const REPETITIONS = Number(process.env.REPETITIONS ?? 5);
const SEEKS = 40;

const [engine, ...given] = process.argv.slice(2);
const files = given.length > 0 ? given : [
  generateWith("bench-a.atrace", "--operations", "10000000", "--seed", "1", "--live", "20000"),
  generateWith("bench-b.atrace", "--operations", "10000000", "--seed", "1", "--live", "500000"),
];

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const round = (value) => Math.round(value * 10) / 10;

/** A fresh page with nothing going on, whose tasks of over 50 ms are kept, with what called for them: a frame, or something else. */
async function fresh(server, browser) {
  const made = await newPage(browser, server);
  await made.page.addInitScript(() => {
    globalThis.tasks = [];
    new PerformanceObserver((list) => {
      for (const { invoker, duration } of list.getEntries().flatMap((frame) => frame.scripts)) {
        if (duration > 50) {
          globalThis.tasks.push({ invoker, duration });
        }
      }
    }).observe({ type: "long-animation-frame" });
  });
  await made.page.goto(server.url);
  await running(made.page);
  await until(made.page, "nothing goes on", () => !globalThis.arenascope.busy());
  return made;
}

/** Drops a file; how long it takes until it is open, in milliseconds, and until it is read ahead, where that is waited for. */
function dropped(page, server, file, pass) {
  return page.evaluate(async ([url, name, pass]) => {
    const blob = await (await fetch(url)).blob();
    const transfer = new DataTransfer();
    transfer.items.add(new File([blob], name));
    const before = globalThis.arenascope.trace_name();
    const soon = () => new Promise((done) => setTimeout(done, 1));
    const start = performance.now();
    for (const type of ["dragover", "drop"]) {
      const canvas = document.getElementById("canvas");
      canvas.dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true, clientX: 640, clientY: 400 }));
    }
    while (globalThis.arenascope.trace_name() === before) await soon();
    const opened = performance.now() - start;
    while (pass && globalThis.arenascope.busy()) await soon();
    return { opened, pass: performance.now() - start - opened };
  }, [server.offer(file), file.split("/").pop(), pass]);
}

/** Has the worker of the open trace note how long it takes from being sent to a step to having told that it is there. */
async function listen(page) {
  const worker = page.workers().at(0);
  await worker.evaluate(() => {
    // The first bytes of a request and of an update, in postcard: an order to go to a step; nothing is being opened, something
    // is open, it is going to that step and has arrived.
    const number = (bytes, at) => {
      let [value, scale] = [0, 1];
      for (; ; at += 1, scale *= 128) {
        value += (bytes[at] % 128) * scale;
        if (bytes[at] < 128) return [value, at + 1];
      }
    };
    globalThis.answers = [];
    let asked = null;
    const take = globalThis.onmessage;
    globalThis.onmessage = (event) => {
      if (event.data instanceof Uint8Array && event.data[0] === 0 && event.data[1] === 0) {
        asked = { step: number(event.data, 2)[0], since: performance.now() };
      }
      take(event);
    };
    const post = globalThis.postMessage.bind(globalThis);
    globalThis.postMessage = (message, ...rest) => {
      if (asked && message instanceof Uint8Array && message[0] === 0 && message[1] === 1) {
        const [target, at] = number(message, 2);
        if (target === asked.step && message[at] === 0) {
          globalThis.answers.push(performance.now() - asked.since);
          asked = null;
        }
      }
      post(message, ...rest);
    };
  });
  return worker;
}

/** Where the position has been put by now, over several calls; each place is another one. */
let places = 0;

/** Goes along the tape by clicks on its bar, so often and while `on` says so: milliseconds to the picture, each. */
async function seek(page, times, on) {
  const { width, height } = page.viewportSize();
  const taken = [];
  while (taken.length < times && (await page.evaluate(on))) {
    const share = ((places * 17) % SEEKS + 0.5) / SEEKS;
    places += 1;
    taken.push(
      await page.evaluate(async ([x, y]) => {
        const canvas = document.getElementById("canvas");
        const before = globalThis.arenascope.step();
        const start = performance.now();
        const at = { bubbles: true, cancelable: true, clientX: x, clientY: y, button: 0, pointerId: 1, isPrimary: true };
        canvas.dispatchEvent(new PointerEvent("pointermove", at));
        canvas.dispatchEvent(new PointerEvent("pointerdown", { ...at, buttons: 1 }));
        canvas.dispatchEvent(new PointerEvent("pointerup", at));
        while (globalThis.arenascope.step() === before && performance.now() - start < 10_000) {
          await new Promise((done) => setTimeout(done, 1));
        }
        return performance.now() - start;
      }, [10 + (width - 20) * share, height - 98]),
    );
  }
  return taken;
}

/** Seeks while the first pass runs, over as many openings as it takes, and afterwards: what the worker took and what the eye saw. */
async function seeks(server, file) {
  const during = { engine: [], eye: [] };
  let after;
  while (during.eye.length < SEEKS) {
    const browser = await launch();
    const { page, close } = await fresh(server, browser);
    await dropped(page, server, file, false);
    const worker = await listen(page);
    during.eye.push(...(await seek(page, SEEKS - during.eye.length, () => globalThis.arenascope.busy())));
    during.engine.push(...(await worker.evaluate(() => globalThis.answers.splice(0))));
    if (during.eye.length >= SEEKS) {
      await until(page, "the first pass is done", () => !globalThis.arenascope.busy());
      const eye = await seek(page, SEEKS, () => true);
      after = { engine: await worker.evaluate(() => globalThis.answers), eye };
    }
    await close();
    await browser.close();
  }
  return { during, after };
}

const server = await serve();
const openings = ["| trace | opening, page | native | ratio | first pass, page | native | ratio | tasks over 50 ms: frames drawn, others |", "|---|---:|---:|---:|---:|---:|---:|---:|"];
const answers = ["| trace | 40 seeks | the engine's answer: median, worst | on the screen: median, worst |", "|---|---|---:|---:|"];
for (const file of files) {
  const name = file.split("/").pop();
  const native = { opened: [], pass: [] };
  const inPage = { opened: [], pass: [] };
  let tasks = [];
  for (let i = 0; i < REPETITIONS; i += 1) {
    const { opened_ms, pass_ms } = JSON.parse(execFileSync(engine, [file]));
    native.opened.push(opened_ms);
    native.pass.push(pass_ms);
    const browser = await launch();
    const { page, close } = await fresh(server, browser);
    await page.evaluate(() => globalThis.tasks.splice(0));
    const { opened, pass } = await dropped(page, server, file, true);
    inPage.opened.push(opened);
    inPage.pass.push(pass);
    tasks = tasks.concat(await page.evaluate(() => globalThis.tasks));
    await close();
    await browser.close();
  }
  const [po, no, pp, np] = [inPage.opened, native.opened, inPage.pass, native.pass].map(median);
  const drawn = tasks.filter(({ invoker }) => invoker === "FrameRequestCallback");
  const others = tasks.filter((task) => !drawn.includes(task)).map(({ invoker, duration }) => `${invoker} ${round(duration)} ms`);
  openings.push(`| ${name} | ${round(po)} ms | ${round(no)} ms | ${round(po / no)} | ${round(pp)} ms | ${round(np)} ms | ${round(pp / np)} | ${drawn.length}, ${others.length} ${others.join(", ")} |`);
  const { during, after } = await seeks(server, file);
  for (const [when, { engine, eye }] of [["during the pass", during], ["after it", after]]) {
    const of = (values) => `${round(median(values))}, ${round(Math.max(...values))} ms (${values.length})`;
    answers.push(`| ${name} | ${when} | ${of(engine)} | ${of(eye)} |`);
  }
}
console.log([...openings, "", ...answers].join("\n"));
await server.close();
