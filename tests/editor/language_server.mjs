// The real YAML language server over its protocol: completion, hover and errors in a folder that
// `sluice init` has written.
//
//   node language_server.mjs SERVER FOLDER
//
// SERVER is the file `yaml-language-server` of the npm package of that name. Exits with 1 when something
// is not as a person at the editor would want it.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [server, folder] = process.argv.slice(2);
const ANSWER_MS = 30_000;

const child = spawn(process.execPath, [server, "--stdio"], { stdio: ["pipe", "pipe", "inherit"] });
const waiting = new Map(); // answers by the number of their request
const diagnostics = new Map(); // resolvers by document
let number = 0;
let input = Buffer.alloc(0);

child.stdout.on("data", (chunk) => {
  input = Buffer.concat([input, chunk]);
  for (;;) {
    const head = input.indexOf("\r\n\r\n");
    if (head < 0) return;
    const length = Number(/Content-Length: (\d+)/i.exec(input.subarray(0, head).toString())[1]);
    if (input.length < head + 4 + length) return;
    take(JSON.parse(input.subarray(head + 4, head + 4 + length).toString()));
    input = input.subarray(head + 4 + length);
  }
});

function send(message) {
  const text = JSON.stringify({ jsonrpc: "2.0", ...message });
  child.stdin.write(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
}

const SETTINGS = { yaml: { validate: true, completion: true, hover: true, schemaStore: { enable: false } } };

function take(message) {
  if (message.method === "workspace/configuration") {
    const result = message.params.items.map((item) => (item.section === "yaml" ? SETTINGS.yaml : {}));
    send({ id: message.id, result });
  } else if (message.method && message.id !== undefined) {
    send({ id: message.id, result: null });
  } else if (message.method === "textDocument/publishDiagnostics") {
    diagnostics.get(message.params.uri)?.(message.params.diagnostics);
  } else if (message.id !== undefined) {
    waiting.get(message.id)?.(message);
    waiting.delete(message.id);
  }
}

function within(promise, what) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer: ${what}`)), ANSWER_MS);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

function request(method, params) {
  const id = ++number;
  const answer = new Promise((done) => waiting.set(id, done));
  send({ id, method, params });
  return within(answer, method).then((message) => {
    if (message.error) throw new Error(`${method}: ${message.error.message}`);
    return message.result;
  });
}

// A `|` in the text is where the cursor is.
async function open(name, marked) {
  const at = marked.indexOf("|");
  const text = at < 0 ? marked : marked.slice(0, at) + marked.slice(at + 1);
  const before = at < 0 ? [] : marked.slice(0, at).split("\n");
  const uri = pathToFileURL(resolve(folder, "mappings", name)).href;
  const told = within(new Promise((done) => diagnostics.set(uri, done)), `errors of ${name}`);
  send({ method: "textDocument/didOpen", params: { textDocument: { uri, languageId: "yaml", version: 1, text } } });
  const position = { line: before.length - 1, character: before.at(-1)?.length ?? 0 };
  return { errors: await told, where: { textDocument: { uri }, position } };
}

async function completions(name, marked) {
  const { where } = await open(name, marked);
  const found = await request("textDocument/completion", where);
  return (found.items ?? found).map((item) => item.label);
}

let failed = 0;
function check(what, is, said) {
  if (is) return console.log(`ok: ${what}`);
  failed += 1;
  console.log(`FAILED: ${what}\n  ${JSON.stringify(said)}`);
}

function has(what, found, wanted) {
  const missing = wanted.filter((one) => !found.includes(one));
  check(what, missing.length === 0, { missing, found: found.slice(0, 60) });
}

const head = readFileSync(resolve(folder, "mappings/ours.yaml"), "utf8").split("\n")[0] + "\nversion: 1\n";
const rule = `${head}rules:\n  r:\n    on: users.messages.email.Open\n`;

try {
  const capabilities = {
    textDocument: {
      completion: { completionItem: { snippetSupport: true } },
      hover: { contentFormat: ["markdown"] },
      publishDiagnostics: {},
    },
    workspace: { configuration: true, workspaceFolders: true },
  };
  const rootUri = pathToFileURL(resolve(folder)).href;
  const workspaceFolders = [{ uri: rootUri, name: "sync" }];
  await request("initialize", { processId: process.pid, rootUri, capabilities, workspaceFolders });
  send({ method: "initialized", params: {} });
  send({ method: "workspace/didChangeConfiguration", params: { settings: SETTINGS } });

  has("a rule's keys", await completions("a.yaml", `${rule}    |`), ["when", "emit", "emit_each", "skip"]);
  has("event types in on", await completions("b.yaml", `${head}rules:\n  r:\n    on: |`), [
    "users.messages.email.Click",
    "users.canvas.Entry",
  ]);
  has("members of a document", await completions("c.yaml", `${rule}    emit:\n      type: track\n      |`), [
    "event",
    "userId",
    "context",
    "properties",
    "$extends",
  ]);
  has("kinds of documents", await completions("d.yaml", `${rule}    emit:\n      type: |`), ["track", "identify"]);
  has("members of a device", await completions("e.yaml", `${rule}    emit:\n      context:\n        device:\n          |`), [
    "model",
    "advertisingId",
  ]);
  has("members of a document by name", await completions("f.yaml", `${rule}    emit_each:\n      one:\n        |`), [
    "userId",
    "traits",
  ]);
  has("operators of a value", await completions("g.yaml", `${rule}    emit:\n      userId:\n        |`), [
    "$from",
    "$missing",
  ]);
  has("conversions", await completions("h.yaml", `${rule}    emit:\n      timestamp:\n        $from: $.time\n        $as: |`), [
    "timestamp",
    "lowercase",
  ]);

  const { where } = await open("i.yaml", `${rule}    emit:\n      mess|ageId: $.id\n`);
  const hover = JSON.stringify(await request("textDocument/hover", where));
  check("hover says what messageId is for", hover.includes("24 hours"), hover);

  const { errors } = await open("j.yaml", `${rule}    emit:\n      type: track\n      evnt: Opened\n`);
  check(
    "a misspelt member is an error at its place",
    errors.length === 1 && errors[0].message.includes("evnt") && errors[0].range.start.line === 7,
    errors,
  );
  const wrong = await open("k.yaml", `${head}rules:\n  r:\n    on: users.messages.email.Opne\n    skip: x\n`);
  check("an unknown event type is an error at its place", wrong.errors[0]?.range.start.line === 4, wrong.errors);
  const good = await open(
    "l.yaml",
    `${rule}    when: "@.user"\n    emit:\n      $extends: engagement\n      event: { $text: "{$.id}" }\n` +
      `      context: { $extends: [email], device: $.device, locale: null, other: { a: 1 } }\n` +
      `      properties: { $rest: { from: $.properties }, url: { $omit: true }, n: 3 }\n` +
      `      integrations: { All: true, X: { a: b }, Y: $.y }\n  g: { on: [users.canvas.*], skip: x }\n`,
  );
  check("what is right has no errors", good.errors.length === 0, good.errors);
  const starter = await open("ours.yaml", readFileSync(resolve(folder, "mappings/ours.yaml"), "utf8"));
  check("the starter file has no errors", starter.errors.length === 0, starter.errors);
} catch (problem) {
  check(problem.message, false, "");
} finally {
  child.kill();
}
process.exitCode = failed > 0 ? 1 : 0;
