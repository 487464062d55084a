// Says why the page does not get further, where the app's own loader cannot: opened as a file, a script that is missing, a
// server that does not answer. It is no module, since a page that was opened as a file may load none.
//
// `arenascopeAlive()` is called by the loader whenever something arrives.

(() => {
  const QUIET_MS = 15000;
  const byId = (id) => document.getElementById(id);
  const root = document.documentElement;
  let heard = performance.now();
  let watch = 0;

  /// Puts a sentence under the bar; the page goes on if what is missing comes after all.
  function help(text) {
    const say = () => {
      const line = byId("boot-help");
      if (line && root.dataset.state === "loading") {
        line.textContent = text;
        line.hidden = false;
        byId("boot-late").hidden = true;
      }
    };
    if (document.readyState === "loading") {
      addEventListener("DOMContentLoaded", say);
    } else {
      say();
    }
  }

  /// It will come no further.
  function stop(title, text) {
    clearInterval(watch);
    help(text);
    const end = () => {
      byId("boot-text").textContent = title;
      byId("boot-progress").hidden = true;
      document.querySelector(".pools").hidden = true;
    };
    if (document.readyState === "loading") {
      addEventListener("DOMContentLoaded", end);
    } else {
      end();
    }
  }

  globalThis.arenascopeAlive = () => {
    heard = performance.now();
    const line = byId("boot-help");
    if (line) {
      line.hidden = true;
    }
  };

  const motion = matchMedia("(prefers-reduced-motion: reduce)");
  const tellMotion = () => {
    root.dataset.motion = motion.matches ? "reduce" : "";
  };
  tellMotion();
  motion.addEventListener("change", tellMotion);

  if (location.protocol === "file:") {
    stop(
      "This page was opened as a file",
      "Browsers let a page load its parts only from a web server. In the folder of this page run `python3 -m http.server` and open http://localhost:8000/, or use the desktop program.",
    );
    return;
  }

  // Loading that failed says so to its element alone, and only on the way down.
  addEventListener(
    "error",
    (event) => {
      const { target } = event;
      if (target instanceof HTMLScriptElement && root.dataset.state === "loading") {
        const name = target.src.split("/").pop();
        stop(
          "A part of the page is missing",
          `The script ${name} did not arrive. Load the page again; if that does not help, its folder is not whole or its files are of different versions: build or copy it again.`,
        );
      }
    },
    true,
  );

  watch = setInterval(() => {
    if (root.dataset.state !== "loading") {
      clearInterval(watch);
      return;
    }
    const quiet = Math.round((performance.now() - heard) / 1000);
    if (quiet * 1000 >= QUIET_MS) {
      help(
        `Nothing has come from the server for ${quiet} seconds. Check the connection, or whether the server still runs; this page goes on by itself as soon as it answers, or load it again.`,
      );
    }
  }, 1000);
})();
