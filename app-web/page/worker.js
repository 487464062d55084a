// The engine's worker. The page's first message says where the glue is and brings the compiled module; until the engine
// runs, what else comes is kept. Requests and updates are bytes that this script does not look into.

/** When the engine wants to be turned again. */
const [WHEN_ASKED, SOON, AT_ONCE] = [0, 1, 2];

let engine = null;
let ended = false;
let due = false;
const early = [];
// A message to oneself comes after what the page has sent meanwhile, and at once; a timer would be held back.
const turns = new MessageChannel();

/** Ends the worker's work for good: after a trap no call into the engine means anything. */
function fail(error) {
  if (!ended) {
    ended = true;
    postMessage({ failed: String(error?.message ?? error) });
  }
}

function again(next) {
  if (due || next === WHEN_ASKED) {
    return;
  }
  due = true;
  if (next === SOON) {
    setTimeout(turn, 4);
  } else {
    turns.port2.postMessage(null);
  }
}

turns.port1.onmessage = turn;

function turn() {
  due = false;
  if (ended) {
    return;
  }
  try {
    const next = engine.turn();
    const update = engine.take_update();
    if (update) {
      postMessage(update, [update.buffer]);
    }
    again(next);
  } catch (error) {
    fail(error);
  }
}

function take(data) {
  if (data === "ping") {
    postMessage("pong");
    return;
  }
  if (ended) {
    return;
  }
  try {
    if (data instanceof Uint8Array) {
      engine.ask(data);
    } else if (data.file) {
      engine.open_file(data.file, data.beside);
    } else {
      engine.open_bytes(data.name, data.bytes, data.beside);
    }
    again(AT_ONCE);
  } catch (error) {
    fail(error);
  }
}

async function start({ glue, module, bytesMax }) {
  try {
    const app = await import(glue);
    await app.default({ module_or_path: module });
    engine = new app.Engine(bytesMax);
    early.splice(0).forEach(take);
  } catch (error) {
    fail(error);
  }
}

onmessage = ({ data }) => {
  if (data.start) {
    start(data.start);
  } else if (engine || data === "ping") {
    take(data);
  } else {
    early.push(data);
  }
};
