// Plays a script through ioredis. The steps come as JSON on stdin, the
// outcomes go to stdout, one JSON value a line: {"v": …} or {"e": "…"}.
import Redis from "ioredis";
import { readFileSync } from "node:fs";

const connections = new Map();
const started = new Map();
const heard = new Map();
const patience = 20_000;

function open(step) {
  const [host, port] = step.addr.split(":");
  const o = step.options ?? {};
  const client = new Redis({
    host, port: Number(port), username: o.user, password: o.password, db: Number(o.db ?? 0),
    lazyConnect: true, retryStrategy: null, maxRetriesPerRequest: 0,
  });
  client.on("error", () => {}); // the commands tell
  return client;
}

async function connect(step) {
  connections.get(step.on)?.disconnect();
  const client = open(step);
  connections.set(step.on, client);
  await client.connect();
  return "connected";
}

function client(step) {
  if (!connections.has(step.on)) connections.set(step.on, open(step));
  return connections.get(step.on);
}

// call uses the client's own method, with what it does to arguments and
// replies, where it has one.
function call(target, [name, ...args]) {
  const method = target[name.toLowerCase()];
  if (typeof method === "function") return method.apply(target, args);
  return target.call(name, ...args);
}

const outcomes = (list) => list && list.map(([err, value]) => (err ? { e: err.message } : { v: value }));

async function multi(step) {
  const target = client(step);
  if (step.watch) await target.watch(...step.watch);
  for (const [name, ...args] of step.meanwhile ?? []) {
    const other = open(step);
    await other.call(name, ...args);
    other.disconnect();
  }
  const queue = target.multi();
  for (const c of step.commands) call(queue, c);
  return outcomes(await queue.exec());
}

async function subscribe(step) {
  const target = client(step);
  const box = [];
  heard.set(step.on, box);
  target.on("message", (channel, text) => box.push(["message", channel, text]));
  target.on("pmessage", (pattern, channel, text) => box.push(["pmessage", pattern, channel, text]));
  return await target[step.verb](...step.args);
}

async function messages(step) {
  const box = heard.get(step.on);
  const until = Date.now() + patience;
  while (box.length < Number(step.args[0])) {
    if (Date.now() > until) throw new Error(`only ${box.length} messages came`);
    await new Promise((done) => setTimeout(done, 2));
  }
  return box.splice(0, Number(step.args[0]));
}

async function scan(step) {
  const [name, ...rest] = step.args;
  const key = name === "SCAN" ? [] : [rest.shift()];
  const options = {};
  for (let i = 0; i < rest.length; i += 2) options[rest[i].toLowerCase()] = rest[i + 1];
  const found = [];
  for await (const page of client(step)[`${name.toLowerCase()}Stream`](...key, options)) found.push(...page);
  return found;
}

async function gone(step) {
  const until = Date.now() + patience;
  while ((await client(step).exists(step.args[0])) !== 0) {
    if (Date.now() > until) throw new Error("the key stays");
    await new Promise((done) => setTimeout(done, 2));
  }
  return "gone";
}

async function pipeline(step) {
  const queue = client(step).pipeline();
  for (const c of step.commands) call(queue, c);
  return outcomes(await queue.exec());
}

async function begin(step) {
  const running = call(client(step), step.args);
  running.catch(() => {}); // told by wait
  started.set(step.on, running);
  return "started";
}

const verbs = {
  connect, pipeline, multi, subscribe, psubscribe: subscribe, messages, scan, gone, start: begin,
  do: (step) => call(client(step), step.args),
  wait: (step) => started.get(step.on),
};

for (const step of JSON.parse(readFileSync(0, "utf8"))) {
  let out;
  try {
    out = { v: (await verbs[step.verb](step)) ?? null };
  } catch (err) {
    out = { e: err.message };
  }
  console.log(JSON.stringify(out));
}
process.exit(0); // ioredis would wait two seconds for each connection to end
