// How long the page takes beside the same engine run natively: opening, the first pass, seeks. Not a test: run
// `node e2e/bench.mjs ENGINE FILE…` after `cargo xtask web`, where ENGINE is the built example `engine` of session.
// Without files two generated traces of ten million operations. Prints Markdown.

import { execFileSync } from "node:child_process";
import { generateWith, launch, newPage, running, serve, until } from "./support.mjs";

const REPETITIONS = 5;
const SEEKS = 40;

const [engine, ...given] = process.argv.slice(2);
const files = given.length > 0 ? given : [
  generateWith("bench-a.atrace", "--operations", "10000000", "--seed", "1", "--live", "20000"),
  generateWith("bench-b.atrace", "--operations", "10000000", "--seed", "1", "--live", "500000"),
];

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const round = (value) => Math.round(value * 10) / 10;

/** One opening of a file in a fresh page: what took how long, in milliseconds. */
async function open(server, browser, file) {
  const { page, close } = await newPage(browser, server);
  await page.addInitScript(() => {
    globalThis.longTasks = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        globalThis.longTasks.push([entry.startTime, entry.duration]);
      }
    }).observe({ type: "longtask" });
  });
  await page.goto(server.url);
  await running(page);
  await until(page, "nothing goes on", () => !globalThis.arenascope.busy());
  const times = await page.evaluate(async ([url, name]) => {
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
    while (globalThis.arenascope.busy()) await soon();
    const whole = performance.now() - start;
    return { opened, pass: whole - opened };
  }, [server.offer(file), file.split("/").pop()]);
  return { page, close, ...times };
}

/** Seeks along the tape by dragging its bar; milliseconds from the click to the picture at the step. */
async function seek(page) {
  const count = await page.evaluate(() => globalThis.arenascope.step_count());
  const { width, height } = page.viewportSize();
  const times = [];
  for (let i = 0; i < SEEKS; i += 1) {
    const share = ((i * 17) % SEEKS + 0.5) / SEEKS;
    const before = await page.evaluate(() => globalThis.arenascope.step());
    const start = Date.now();
    await page.mouse.click(10 + (width - 20) * share, height - 98);
    await until(page, "another step is shown", (before) => globalThis.arenascope.step() !== before, before);
    times.push(Date.now() - start);
  }
  return { count, median: median(times), worst: Math.max(...times) };
}

const server = await serve();
console.log("| trace | opening, page | native | ratio | first pass, page | native | ratio | 40 seeks: median, worst | long tasks |");
console.log("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
for (const file of files) {
  const native = { opened: [], pass: [] };
  const inPage = { opened: [], pass: [] };
  let seeks;
  let tasks;
  for (let i = 0; i < REPETITIONS; i += 1) {
    const { opened_ms, pass_ms } = JSON.parse(execFileSync(engine, [file]));
    native.opened.push(opened_ms);
    native.pass.push(pass_ms);
    const browser = await launch();
    const { page, close, opened, pass } = await open(server, browser, file);
    inPage.opened.push(opened);
    inPage.pass.push(pass);
    if (i + 1 === REPETITIONS) {
      tasks = await page.evaluate(() => globalThis.longTasks.length);
      seeks = await seek(page);
    }
    await close();
    await browser.close();
  }
  const [po, no, pp, np] = [inPage.opened, native.opened, inPage.pass, native.pass].map(median);
  console.log(`| ${file.split("/").pop()} | ${round(po)} ms | ${round(no)} ms | ${round(po / no)} | ${round(pp)} ms | ${round(np)} ms | ${round(pp / np)} | ${seeks.median}, ${seeks.worst} ms | ${tasks} |`);
}
await server.close();
