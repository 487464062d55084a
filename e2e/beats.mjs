// Pictures of every beat of lessons in the built page, to be looked at: `node beats.mjs lifo released`, into `out/beats`.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { launch, newPage, out, serve } from "./support.mjs";

const sizes = { wide: { width: 1280, height: 720 }, phone: { width: 390, height: 844 } };
const folder = join(out, "beats");
mkdirSync(folder, { recursive: true });

const server = await serve();
const browser = await launch();
const settled = (page) => page.waitForFunction(() => !globalThis.arenascope.busy(), null, { polling: 50 });
for (const lesson of process.argv.slice(2)) {
  for (const [size, viewport] of Object.entries(sizes)) {
    const { page, complaints, close } = await newPage(browser, server, { viewport });
    await page.goto(`${server.url}#v=1&lesson=${lesson}`);
    await page.waitForFunction(() => /^\d+ /.test(globalThis.arenascope?.trace_name() ?? ""));
    let before = "";
    for (let number = 1; number < 60; number++) {
      await settled(page);
      await page.waitForTimeout(500);
      const name = `${lesson}-${size}-${String(number).padStart(2, "0")}.png`;
      const picture = await page.screenshot({ path: join(folder, name) });
      const now = picture.toString("base64");
      if (now === before) {
        break;
      }
      before = now;
      await page.keyboard.press("ArrowRight");
    }
    complaints.forEach((complaint) => console.error(`${lesson}: ${complaint}`));
    await close();
  }
}
await browser.close();
await server.close();
