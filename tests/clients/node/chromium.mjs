// A real browser for the tests: Chromium from its npm package, without a window, as strict as people's own.

import { existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { tmpdir } from "node:os";

// The package unpacks into the temporary folder, once; this one goes when the clients are installed anew.
const HOME = join(dirname(fileURLToPath(import.meta.url)), "node_modules", ".chromium");
mkdirSync(HOME, { recursive: true });
process.env.TMPDIR = HOME;
if (tmpdir() !== HOME) throw new Error(`temporary files go to ${tmpdir()}`);
const { default: packaged } = await import("@sparticuz/chromium");
const { default: puppeteer } = await import("puppeteer-core");

// The package's own flags switch off what is tested here, such as the policies of pages.
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"];
export const PHONE = { width: 360, height: 740, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

/** A browser, and how to close it. */
export async function launched() {
  const executablePath = await packaged.executablePath();
  if (!existsSync(executablePath)) throw new Error(`no Chromium at ${executablePath}`);
  return puppeteer.launch({ executablePath, args: FLAGS, headless: "shell" });
}

/** A page of a person's own: cookies of nobody else's, no script, and every complaint of the browser kept. */
export async function person(browser) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.setJavaScriptEnabled(false);
  await page.setViewport(PHONE);
  page.setDefaultTimeout(30_000);
  return { page, complaints, close: () => context.close() };
}
