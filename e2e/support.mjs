// What the tests stand on: a file server, a browser, the native program, and ways to act on the page.

import { execFileSync } from "node:child_process";
import { createReadStream, existsSync, mkdirSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { basename, dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const here = dirname(fileURLToPath(import.meta.url));
export const root = dirname(here);
export const out = join(here, "out");
mkdirSync(out, { recursive: true });

/** A program or folder given by the environment; `cargo xtask e2e` sets them all. */
function given(name, otherwise) {
  const path = process.env[name] ?? otherwise;
  if (!existsSync(path)) {
    throw new Error(`${path} is missing: run \`cargo xtask e2e\`, which builds it (or set ${name})`);
  }
  return path;
}

export const dist = given("DIST", join(root, "dist"));
const native = given("ARENASCOPE", join(root, "target/debug/arenascope"));
export const xtask = given("XTASK", join(root, "target/debug/xtask"));
const browserPath = given("CHROMIUM", "/usr/bin/chromium");

/** What the native program says of a trace. */
export function replay(file, ...options) {
  return JSON.parse(execFileSync(native, ["replay", file, "--json", ...options], { maxBuffer: 1 << 28 }));
}

/** A generated trace, the same on every machine. */
export function generate(name, operations) {
  const file = join(out, name);
  execFileSync(native, ["generate", "--operations", String(operations), "--seed", "7", "-o", file]);
  return file;
}

/** The same as other options of `generate` ask for. */
export function generateWith(name, ...options) {
  const file = join(out, name);
  execFileSync(native, ["generate", ...options, "-o", file]);
  return file;
}

const types = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

/**
 * Serves the built page from a folder inside a folder, since relative paths are a promise, and `files` for
 * the tests to drop. Everything is loopback.
 */
export async function serve() {
  const folder = "/some%20teacher/lesson-3/";
  const files = new Map();
  const server = createServer((request, response) => {
    const path = new URL(request.url, "http://localhost").pathname;
    let file = files.get(path);
    if (path.startsWith(folder)) {
      file = join(dist, basename(path.slice(folder.length)) || "index.html");
    }
    if (!file || !existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, {
      "Content-Type": types[extname(file)] ?? "application/octet-stream",
      "Content-Length": statSync(file).size,
    });
    createReadStream(file).pipe(response);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const origin = `http://127.0.0.1:${server.address().port}`;
  return {
    url: origin + folder,
    /** Makes a file available to the page, which cannot read this machine's files. */
    offer(file) {
      const path = `/files/${files.size}`;
      files.set(path, file);
      return origin + path;
    },
    close: () => new Promise((done) => server.close(done)),
  };
}

export function launch(...flags) {
  return chromium.launch({
    executablePath: browserPath,
    args: [
      // WebGL without a graphics card.
      "--use-angle=swiftshader",
      "--enable-unsafe-swiftshader",
      // A browser that calls nobody.
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-quic",
      "--disable-sync",
      "--no-first-run",
      "--no-sandbox",
      ...flags,
    ],
  });
}

/** A new page whose complaints are kept: errors, broken policies, and requests that leave the folder. */
export async function newPage(browser, server, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const complaints = [];
  page.on("console", (message) => {
    if (message.type() === "error") {
      complaints.push(`console: ${message.text()}`);
    }
  });
  page.on("pageerror", (error) => complaints.push(`error: ${error}`));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(server.url) && !/^(data|blob):/.test(url) && !url.includes("/files/")) {
      complaints.push(`request outside the page's folder: ${url}`);
    }
  });
  page.on("response", (response) => {
    if (response.status() >= 400) {
      complaints.push(`${response.status()} for ${response.url()}`);
    }
  });
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      console.error(`policy broken: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  return { page, complaints, close: () => context.close() };
}

/** Waits until `question`, asked in the page, answers with something true, and gives that. */
export async function until(page, what, question, argument, seconds = 60) {
  // Not waitForFunction: that evaluates text in the page, which the page's policy forbids.
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await page.evaluate(question, argument);
    if (answer) {
      return answer;
    }
    if (Date.now() > end) {
      throw new Error(`still not so after ${seconds} s: ${what}`);
    }
    await new Promise((done) => setTimeout(done, 25));
  }
}

/** Waits until the app runs and shows a trace. */
export async function running(page) {
  await until(page, "the page leaves its loading screen", () => {
    const { state } = document.documentElement.dataset;
    if (state === "failed") {
      throw new Error(document.getElementById("failure").innerText);
    }
    return state === "running";
  });
  await until(page, "a trace is shown", () => globalThis.arenascope.step_count() > 0);
}

/** Where the app is. The digest of a state is asked for, and comes with a later picture. */
export async function position(page) {
  await until(page, "the state has a digest", () => globalThis.arenascope.digest());
  return page.evaluate(() => ({
    name: globalThis.arenascope.trace_name(),
    step: globalThis.arenascope.step(),
    count: globalThis.arenascope.step_count(),
    digest: globalThis.arenascope.digest(),
    error: globalThis.arenascope.error(),
  }));
}

/** Presses a key and waits until the app is at `step`. */
export async function press(page, key, step) {
  await page.keyboard.press(key);
  await until(page, `${key} leads to step ${step}`, (step) => globalThis.arenascope.step() === step, step);
  return position(page);
}

/**
 * What parts of a screenshot look like: `light`, the mean brightness from 0 to 1, and `colors`, how many different ones there are. Boxes are
 * `[left, top, right, bottom]` in pixels.
 */
export async function looks(page, png, boxes) {
  // Told by a page of its own: that of the app may not read pictures from elsewhere.
  const blank = await page.context().newPage();
  try {
    return await blank.evaluate(
      async ([base64, boxes]) => {
        const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
        const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
        const drawing = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
        drawing.drawImage(bitmap, 0, 0);
        return boxes.map(([left, top, right, bottom]) => {
          const { data } = drawing.getImageData(left, top, right - left, bottom - top);
          const colors = new Set();
          let light = 0;
          for (let at = 0; at < data.length; at += 4) {
            const [red, green, blue] = data.subarray(at, at + 3);
            light += (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255;
            colors.add((red << 16) | (green << 8) | blue);
          }
          return { light: (light * 4) / data.length, colors: colors.size };
        });
      },
      [png.toString("base64"), boxes],
    );
  } finally {
    await blank.close();
  }
}

/** Drops a file on the canvas as a person does: over it first, then let go. */
export async function drop(page, server, file, name = basename(file)) {
  await page.evaluate(
    async ([url, name]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([await (await fetch(url)).blob()], name));
      const canvas = document.getElementById("canvas");
      for (const type of ["dragover", "drop"]) {
        canvas.dispatchEvent(
          new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true, clientX: 640, clientY: 400 }),
        );
      }
    },
    [server.offer(file), name],
  );
}

/** Drops a trace and waits until it is the open one. */
export async function open(page, server, file, operations) {
  await drop(page, server, file);
  const stem = basename(file).split(".ptrace")[0];
  await until(
    page,
    `${stem} is open`,
    ([stem, count]) => {
      const { arenascope } = globalThis;
      return arenascope.trace_name()?.startsWith(stem) && arenascope.step_count() === count;
    },
    [stem, operations],
    120,
  );
}
