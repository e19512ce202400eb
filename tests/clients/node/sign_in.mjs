// Signing in, in a real browser, from the command line's address to a key and to its end. With PERSONA_CLI, the built
// command line is the program that asks; without, a program of OAuth's own words is.

import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";

import { launched, person, PHONE } from "./chromium.mjs";
import { API, check, read } from "./stack.mjs";

const EMAIL = read("PERSONA_EMAIL");
const PASSWORD = read("PERSONA_PASSWORD");
// The person is a member of both.
const WORKSPACE = read("PERSONA_WORKSPACE");
const OTHER_WORKSPACE = read("PERSONA_OTHER_WORKSPACE");
const AUTH = `${API}/v1/auth`;
const CLIENT = "persona-cli";
const DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code";

// ---- programs

/** What a form is answered: status and JSON. */
async function post(endpoint, values) {
  const body = new URLSearchParams({ client_id: CLIENT, ...values });
  const answer = await fetch(`${AUTH}/${endpoint}`, { method: "POST", body });
  const text = await answer.text();
  return { status: answer.status, json: text ? JSON.parse(text) : {} };
}

/** A program that listens on a port of its own, and has not redeemed yet. */
async function program(more = {}) {
  const came = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url, "http://127.0.0.1");
    if (url.pathname === "/callback") came.push(url.searchParams);
    response.writeHead(200, { "content-type": "text/html" }).end("<p id=back>You may go back to the terminal.</p>");
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const redirect_uri = `http://127.0.0.1:${server.address().port}/callback`;
  const [state, verifier] = [randomBytes(16).toString("base64url"), randomBytes(32).toString("base64url")];
  const code_challenge = createHash("sha256").update(verifier).digest("base64url");
  const values = { response_type: "code", client_id: CLIENT, redirect_uri, state, code_challenge, code_challenge_method: "S256" };
  const redeem = (code, other = {}) =>
    post("token", { grant_type: "authorization_code", code, redirect_uri, code_verifier: verifier, ...other });
  const url = `${AUTH}/authorize?${new URLSearchParams({ ...values, ...more })}`;
  return { url, state, came, redeem, close: () => server.close() };
}

const workspaceSays = async (key) =>
  (await fetch(`${API}/v1/workspace`, { headers: { authorization: `Bearer ${key}` } })).status;

// ---- what a person does

async function text(page) {
  return page.$eval("main, body", (element) => element.textContent);
}

/** Opens an address, and signs in at the provider that it leads to. */
async function signIn(page, url) {
  await page.goto(url);
  await page.type("#username", EMAIL);
  await page.type("#password", PASSWORD);
  await press(page, "button[type=submit]");
}

/** Presses a button, and waits for what comes of it. */
async function press(page, selector, clicks = 1) {
  await Promise.all([page.waitForNavigation(), page.click(selector, { count: clicks })]);
}

const decide = (page, decision, clicks) => press(page, `button[value=${decision}]`, clicks);

/** What is wrong with a page for who sees little, or has a phone. */
async function faults(page) {
  return page.evaluate((width) => {
    const found = [];
    const root = document.documentElement;
    if (!root.lang) found.push("no language");
    if (!document.title) found.push("no title");
    if (document.querySelectorAll("h1").length !== 1) found.push("not one heading");
    if (root.scrollWidth > width) found.push(`${root.scrollWidth} wide`);
    for (const input of document.querySelectorAll("input:not([type=hidden])"))
      if (!input.labels.length) found.push(`no label: ${input.outerHTML}`);
    for (const button of document.querySelectorAll("button, .button"))
      if (button.getBoundingClientRect().height < 44) found.push(`a small button: ${button.outerHTML}`);
    return found;
  }, PHONE.width);
}

// ---- what is held

async function theWholeWay(browser) {
  const { page, complaints, close } = await person(browser);
  const asks = await program({ workspace: OTHER_WORKSPACE });
  await signIn(page, asks.url);
  const shown = await text(page);
  check("the page names the person, the program and both workspaces",
    [EMAIL, "Persona CLI", WORKSPACE, OTHER_WORKSPACE, "read, write, chat"].every((each) => shown.includes(each)), shown);
  check("the workspace that was asked for is chosen already",
    (await page.$eval("input:checked", (input) => input.value)) === OTHER_WORKSPACE, await page.content());
  check("the page is readable on a phone, and labelled", (await faults(page)).length === 0, await faults(page));
  check("the provider's code is not in the address", !page.url().includes("code="), page.url());
  const cookies = (await page.cookies()).filter((cookie) => cookie.name.includes("persona-sign-in"));
  check("the cookie is for this browser alone", cookies.length === 1 && cookies[0].httpOnly && cookies[0].sameSite === "Lax", cookies);
  await page.reload();
  await page.click(`label[for=${await page.$eval(`input[value=${WORKSPACE}]`, (input) => input.id)}]`);
  await decide(page, "approve");
  check("the browser ends at the program", (await text(page)).includes("back to the terminal"), page.url());
  const came = asks.came[0];
  check("with a code, its state and who answers",
    came.get("code") && came.get("state") === asks.state && came.get("iss") === API, came.toString());

  const wrong = await asks.redeem(came.get("code"), { code_verifier: randomBytes(32).toString("base64url") });
  check("a wrong verifier gets nothing", wrong.status === 400 && wrong.json.error === "invalid_grant", wrong);
  const { status, json } = await asks.redeem(came.get("code"));
  check("the right one gets a key of the chosen workspace",
    status === 200 && json.workspace.id === WORKSPACE && json.person.email === EMAIL, json);
  check("which works", (await workspaceSays(json.access_token)) === 200, json);
  await post("revoke", { token: json.access_token });
  check("until it is revoked", (await workspaceSays(json.access_token)) === 401, json);
  await page.goBack();
  check("going back leads to the program again, with nothing new", asks.came.every((each) => each.get("code") === came.get("code")), asks.came.map(String));
  check("the browser complained of nothing", complaints.length === 0, complaints);
  asks.close();
  await close();
}

async function twoClicks(browser) {
  const { page, close } = await person(browser);
  const asks = await program();
  await signIn(page, asks.url);
  await decide(page, "approve", 2);
  const codes = new Set(asks.came.map((each) => each.get("code")));
  const told = await asks.redeem([...codes][0]);
  check("a double click is one approval", codes.size === 1 && told.status === 200, [asks.came.map(String), told]);
  await post("revoke", { token: told.json.access_token });
  asks.close();
  await close();
}

async function denied(browser) {
  const { page, close } = await person(browser);
  const asks = await program();
  await signIn(page, asks.url);
  await decide(page, "deny");
  const came = asks.came[0];
  check("who denies sends the program a refusal", came.get("error") === "access_denied" && came.get("state") === asks.state, came.toString());
  asks.close();
  await close();
}

async function wrongStates(browser) {
  const { page, close } = await person(browser);
  const asks = await program();
  await page.goto(asks.url);
  const forged = new URLSearchParams({ code: "forged", state: randomBytes(32).toString("base64url") });
  await page.goto(`${AUTH}/callback?${forged}`);
  check("an answer of a wrong state is refused", (await text(page)).includes("begun no such sign-in"), await page.content());
  const state = new URL((await fetch(asks.url, { redirect: "manual" })).headers.get("location")).searchParams.get("state");
  await page.goto(`${AUTH}/callback?${new URLSearchParams({ code: "stolen", state })}`);
  check("and of another browser's state", (await text(page)).includes("begun no such sign-in"), await page.content());
  check("no program hears of either", asks.came.length === 0, asks.came.map(String));
  asks.close();
  await close();
}

async function aDevice(browser) {
  const { page, complaints, close } = await person(browser);
  const { json: device } = await post("device", { workspace: WORKSPACE });
  await page.goto(device.verification_uri);
  check("the page for a code is readable on a phone, and labelled", (await faults(page)).length === 0, await faults(page));
  await page.type("#code", device.user_code.toLowerCase());
  await press(page, "button[type=submit]");
  check("the code is shown before anybody signs in", (await text(page)).includes(device.user_code), await page.content());
  await page.$eval("#continue", (link) => link.href).then((url) => signIn(page, url));
  check("and again, to be compared", (await page.$eval("#user-code", (code) => code.textContent)) === device.user_code, await page.content());
  await decide(page, "approve");
  check("the page says that the device is signed in", (await text(page)).includes("Your device is signed in"), await page.content());
  const told = await waited(device);
  check("the device gets its key", told.status === 200 && (await workspaceSays(told.json.access_token)) === 200, told);
  await post("revoke", { token: told.json.access_token });
  check("the browser complained of nothing there", complaints.length === 0, complaints);
  await close();
}

async function anExpiredDevice(browser) {
  const { page, close } = await person(browser);
  const { json: device } = await post("device", {});
  await signIn(page, `${AUTH}/authorize?user_code=${device.user_code}`);
  await letExpire(device.device_code);
  await decide(page, "approve");
  check("who approves too late is told so", (await text(page)).includes("expired"), await page.content());
  const told = await waited(device);
  check("and so is the device", told.json.error === "expired_token", told);
  await close();
}

/** Asks as a device may, until there is an answer. */
async function waited(device) {
  for (let at = 0; at < 12; at += 1) {
    if (at > 0) await new Promise((passed) => setTimeout(passed, device.interval * 1000));
    const told = await post("token", { grant_type: DEVICE_GRANT, device_code: device.device_code });
    if (!["authorization_pending", "slow_down"].includes(told.json.error)) return told;
  }
  return undefined;
}

/** Makes ten minutes pass, for one device. */
async function letExpire(code) {
  const digest = createHash("sha256").update(code).digest("hex");
  const answer = await fetch(read("AWS_ENDPOINT_URL"), {
    method: "POST",
    headers: {
      "content-type": "application/x-amz-json-1.0",
      "x-amz-target": "DynamoDB_20120810.UpdateItem",
      authorization: "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0",
    },
    body: JSON.stringify({
      TableName: read("WORKSPACES_TABLE"),
      Key: { pk: { S: `AUTH#DEVICE#${digest}` }, sk: { S: "DEVICE" } },
      UpdateExpression: "SET ends_at = :past",
      ConditionExpression: "attribute_exists(pk)",
      ExpressionAttributeValues: { ":past": { N: "1" } },
    }),
  });
  if (!answer.ok) throw new Error(await answer.text());
}

// ---- the command line itself

/** Runs it at a place of its own; what it says so far, and its end. */
function command(home, ...words) {
  const env = { ...process.env, XDG_CONFIG_HOME: home, HOME: home, PERSONA_BASE_URL: API, NO_COLOR: "1" };
  delete env.PERSONA_API_KEY;
  const child = spawn(read("PERSONA_CLI"), words, { env, stdio: ["ignore", "pipe", "pipe"] });
  const said = { text: "" };
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece) => (said.text += piece));
  const ended = new Promise((done) => child.on("close", (status) => done({ status, text: said.text })));
  const says = async (pattern) => {
    for (let at = 0; at < 300; at += 1) {
      const found = said.text.match(pattern);
      if (found) return found[0];
      await new Promise((passed) => setTimeout(passed, 100));
    }
    return check(`it says ${pattern}`, false, said.text);
  };
  return { says, ended };
}

async function theCommandLine(browser) {
  const home = await mkdtemp(join(process.env.TMPDIR, "cli-"));
  const run = (...words) => command(home, ...words).ended;
  for (const [form, way] of [["--no-browser", "approve"], ["--device", "approve"], ["--no-browser", "deny"]]) {
    const { page, close } = await person(browser);
    const login = command(home, "auth", "login", form);
    const address = await login.says(form === "--device" ? /http\S+user_code=\S+/ : /http\S+\/v1\/auth\/authorize\S+/);
    if (form === "--device") {
      await page.goto(address);
      await signIn(page, await page.$eval("#continue", (link) => link.href));
    } else {
      await signIn(page, address);
    }
    await decide(page, way);
    const end = await login.ended;
    if (way === "deny") {
      check("the command line says that it was declined", end.status !== 0 && end.text.includes("declined"), end);
    } else {
      check(`persona auth login ${form} signs in`, end.status === 0 && end.text.includes(EMAIL), end);
      const key = (await run("auth", "token")).text.trim();
      check("its key works", (await workspaceSays(key)) === 200, key.slice(0, 8));
      const out = await run("auth", "logout");
      check("persona auth logout ends the key", out.status === 0 && (await workspaceSays(key)) === 401, out);
    }
    await close();
  }
  await rm(home, { recursive: true });
}

const browser = await launched();
try {
  await theWholeWay(browser);
  await twoClicks(browser);
  await denied(browser);
  await wrongStates(browser);
  await aDevice(browser);
  await anExpiredDevice(browser);
  if (process.env.PERSONA_CLI) await theCommandLine(browser);
} finally {
  await browser.close();
}
console.log("done");
