// Loads the app and stands in for it while it cannot speak for itself: before it runs, and after it failed.
//
// `<html data-state>` is `loading`, `running` or `failed`. `globalThis.arenascope` is the running app's
// handle, for automation: digest(), step(), step_count(), trace_name(), error(), status().

const byId = (id) => document.getElementById(id);
const canvas = byId("canvas");

let handle = null;
let watch = 0;

function setState(state) {
  document.documentElement.dataset.state = state;
}

/// Shows what went wrong. Every text goes in as text, since it may hold names of files and other people's words.
function fail(title, text, error) {
  if (document.documentElement.dataset.state === "failed") {
    return;
  }
  clearInterval(watch);
  setState("failed");
  byId("boot").hidden = true;
  byId("failure-title").textContent = title;
  byId("failure-text").textContent = text;
  byId("failure-details").textContent = [
    String(error?.stack || error?.message || error || title),
    "",
    `page: ${location.href}`,
    `app: ${byId("app-wasm").href.split("/").pop()}`,
    `browser: ${navigator.userAgent}`,
  ].join("\n");
  byId("failure").hidden = false;
  byId("failure-reload").focus();
}

byId("failure-reload").addEventListener("click", () => location.reload());
byId("failure-copy").addEventListener("click", async (event) => {
  const details = byId("failure-details");
  const text = [byId("failure-title").textContent, byId("failure-text").textContent, "", details.textContent];
  try {
    await navigator.clipboard.writeText(text.join("\n"));
    event.target.textContent = "Copied";
  } catch {
    // No clipboard outside https and localhost: select the text, so that one key copies it.
    getSelection().selectAllChildren(details);
    event.target.textContent = "Selected: press Ctrl+C or ⌘C";
  }
});

// A file dropped beside the canvas, or while the app is loading, must not replace the page.
for (const type of ["dragover", "drop"]) {
  addEventListener(type, (event) => event.preventDefault());
}

/// Whether a key is the browser's: the app does nothing with it, or the browser's use is what everybody expects.
function isBrowsers(event) {
  const { key, altKey, ctrlKey, metaKey, shiftKey } = event;
  // On a Mac this moves a text cursor, and the history has other keys.
  const history = altKey && (key === "ArrowLeft" || key === "ArrowRight") && !navigator.platform.startsWith("Mac");
  const command = (ctrlKey || metaKey) && !shiftKey && !altKey && ["p", "s", ","].includes(key.toLowerCase());
  return history || command;
}

// The app's library takes all keys that it hears of from the browser; of these it hears nothing.
for (const type of ["keydown", "keyup"]) {
  addEventListener(
    type,
    (event) => {
      if (isBrowsers(event)) {
        event.stopImmediatePropagation();
      }
    },
    true,
  );
}

function hasWebGl() {
  for (const kind of ["webgl2", "webgl"]) {
    const context = document.createElement("canvas").getContext(kind);
    if (context) {
      // Browsers allow few contexts at a time; give this one back.
      context.getExtension("WEBGL_lose_context")?.loseContext();
      return true;
    }
  }
  return false;
}

/// The app's bytes, with the bar moving as they come.
async function download() {
  const { href, dataset } = byId("app-wasm");
  const response = await fetch(href, { credentials: "same-origin" });
  if (!response.ok) {
    throw new Error(`${href} answered ${response.status} ${response.statusText}`);
  }
  // Content-Length tells compressed bytes where the host compresses; the build wrote the real number down.
  const total = Number(dataset.bytes);
  const bar = byId("boot-progress");
  const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
  let received = 0;
  const counting = new TransformStream({
    transform(chunk, controller) {
      globalThis.arenascopeAlive?.();
      received += chunk.length;
      if (total > 0) {
        bar.max = total;
        bar.value = received;
        byId("boot-text").textContent = `Loading ${megabytes(received)} of ${megabytes(total)} MB…`;
      }
      controller.enqueue(chunk);
    },
  });
  // The type is set here, so that hosts that do not know .wasm serve it well all the same.
  return new Response(response.body.pipeThrough(counting), { headers: { "Content-Type": "application/wasm" } });
}

/// WebAssembly's memory ends at 4 GiB and a growing column is there twice for a moment; what a trace takes is kept to a
/// quarter, so that the rest is left for its replay.
const TRACE_BYTES_MAX = 2 ** 30;

/// Compiles the engine once; each worker is given the result. The picture does not wait for it.
const engineModule = (async () => {
  const response = await fetch(byId("engine-wasm").href, { credentials: "same-origin" });
  if (!response.ok) {
    throw new Error(`${response.url} answered ${response.status} ${response.statusText}`);
  }
  return WebAssembly.compile(await response.arrayBuffer());
})();
engineModule.catch(() => {}); // Whoever waits for it is told.

/// A new worker that is about to load the engine.
function launchEngine() {
  const { worker: script, glue } = byId("engine").dataset;
  const absolute = (path) => new URL(path, document.baseURI).href;
  const worker = new Worker(absolute(script), { type: "module", name: "engine" });
  engineModule.then(
    (module) => worker.postMessage({ start: { glue: absolute(glue), module, bytesMax: TRACE_BYTES_MAX } }),
    (error) => worker.dispatchEvent(new ErrorEvent("error", { message: `the engine did not arrive: ${error.message}` })),
  );
  return worker;
}

/// Looks whether the app panicked. It cannot say so itself any more.
function checkPanic() {
  if (handle?.has_panicked()) {
    fail(
      "Arenascope stopped",
      "A defect in Arenascope ended it; your files are unharmed, and nothing was sent anywhere. Load the page again to go on. The message below helps to find the defect.",
      handle.panic_message(),
    );
    return true;
  }
  return false;
}

async function boot() {
  if (typeof WebAssembly !== "object") {
    fail(
      "This browser runs no WebAssembly",
      "Arenascope needs it. Use a current Firefox, Chrome, Edge or Safari; in a locked-down profile (such as Tor Browser's safest level or an iPhone's lockdown mode), allow it for this page.",
    );
    return;
  }
  if (!hasWebGl()) {
    fail(
      "This browser has no WebGL",
      "Arenascope draws with it. Turn on hardware acceleration in the browser's settings, or use another browser.",
      "getContext gave neither webgl2 nor webgl",
    );
    return;
  }

  let app;
  try {
    const [module, module_or_path] = await Promise.all([import(byId("app-js").href), download()]);
    await module.default({ module_or_path });
    app = module;
  } catch (error) {
    fail(
      "Arenascope could not be loaded",
      "Its files did not arrive whole. Check the connection and load the page again; if that does not help, the page and its files may be of different versions.",
      error,
    );
    return;
  }

  globalThis.arenascopeAlive?.();
  byId("boot-text").textContent = "Starting…";
  addEventListener("error", checkPanic);
  addEventListener("unhandledrejection", checkPanic);
  try {
    handle = new app.WebHandle();
    // A panic in here never settles the promise, hence the watch from before.
    watch = setInterval(checkPanic, 1000);
    await handle.start(canvas, launchEngine);
  } catch (error) {
    if (!checkPanic()) {
      fail("Arenascope could not start", "The browser refused something that it needs.", error);
    }
    return;
  }
  canvas.addEventListener("webglcontextlost", () => {
    fail(
      "The picture was lost",
      "The browser took WebGL away, as it does when graphics memory runs out or the graphics driver restarts. Load the page again to go on.",
      "webglcontextlost",
    );
  });
  // The last events that a page is sure to get: closing a tab or swiping the browser away sends no other.
  addEventListener("hashchange", () => handle.follow_address());
  addEventListener("pagehide", () => handle.save());
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") {
      handle.save();
    }
  });
  globalThis.arenascope = handle;
  // Two frames later the first picture is on the screen: no flash of an empty canvas.
  requestAnimationFrame(() =>
    requestAnimationFrame(() => {
      if (document.documentElement.dataset.state === "loading") {
        byId("boot").hidden = true;
        setState("running");
        performance.mark("arenascope-running");
        canvas.focus({ preventScroll: true });
      }
    }),
  );
}

boot();
