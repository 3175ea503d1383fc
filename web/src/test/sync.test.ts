import { test } from "node:test";
import assert from "node:assert/strict";
import { pass, quiet, random, settle } from "./clock";
import { Hosts } from "../shared/hosts";
import { Connection, Sync } from "../shared/sync";
import { Cursor, Envelope, Frame } from "../shared/types";

/** The nodes of a group with one stream of events, as far as a client can tell. */
class Group {
  epoch = "e1";
  last = 0;
  /** Events up to this one are not kept any more. */
  trimmed = 0;
  down = new Set<string>();
  socketsWork = true;
  sockets: FakeSocket[] = [];
  polls: string[] = [];
  status = 200;
  private waiting: (() => void)[] = [];

  add(n = 1): void {
    this.last += n;
    for (const s of this.sockets) s.push();
    for (const w of this.waiting.splice(0)) w();
  }

  /** What a client at (epoch, since) gets. */
  answer(epoch: string, since: number): Envelope {
    const reset = epoch !== this.epoch || since > this.last || since < this.trimmed;
    const frames: Frame[] = [];
    if (!reset) for (let seq = since + 1; seq <= this.last; seq++) frames.push({ seq, type: "message.created" });
    return { epoch: this.epoch, seq: this.last, reset, frames };
  }

  fetch = async (url: string, init: { signal: AbortSignal }): Promise<unknown> => {
    const u = new URL(url);
    this.polls.push(u.origin);
    if (this.down.has(u.origin)) throw new TypeError("connection refused");
    const since = +u.searchParams.get("since")!;
    if (+u.searchParams.get("wait")! > 0 && since === this.last && this.status === 200) {
      await new Promise<void>((done, fail) => {
        this.waiting.push(done);
        setTimeout(done, 25000);
        init.signal.onabort = () => fail(new Error("aborted"));
      });
    }
    const body = this.status === 200 ? this.answer(u.searchParams.get("epoch")!, since) : { code: "unauthorized" };
    return { ok: this.status === 200, status: this.status, json: async () => body, headers: { get: () => null } };
  };
}

class FakeSocket {
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((e: { data: string }) => void) | null = null;
  onclose: ((e: { code: number }) => void) | null = null;
  said: any[] = [];
  mute = false;
  host: string;
  private epoch: string;
  private since: number;

  constructor(
    private group: Group,
    url: string,
    readonly protocols: string[],
  ) {
    const u = new URL(url);
    this.host = u.origin.replace(/^ws/, "http");
    this.epoch = u.searchParams.get("epoch")!;
    this.since = +u.searchParams.get("since")!;
    setTimeout(() => {
      if (!group.socketsWork || group.down.has(this.host)) return this.end(1006);
      if (this.readyState !== 0) return;
      this.readyState = 1;
      group.sockets.push(this);
      this.onopen?.();
      this.push();
    }, 5);
  }

  push(): void {
    if (this.readyState !== 1 || this.mute) return;
    const envelope = this.group.answer(this.epoch, this.since);
    this.epoch = envelope.epoch!;
    this.since = envelope.seq!;
    this.tell(envelope);
  }

  tell(envelope: Envelope): void {
    this.onmessage?.({ data: JSON.stringify(envelope) });
  }

  send(text: string): void {
    const op = JSON.parse(text);
    this.said.push(op);
    if (op.op === "ping" && !this.mute) setTimeout(() => this.readyState === 1 && this.tell({ epoch: this.epoch, seq: this.since, frames: [] }), 5);
  }

  close(): void {
    this.end(1005);
  }

  end(code: number): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.group.sockets = this.group.sockets.filter((s) => s !== this);
    this.onclose?.({ code });
  }
}

function client(group: Group, options: { cursor?: Cursor; reset?: () => Promise<void>; random?: () => number; sockets?: boolean } = {}) {
  quiet();
  (globalThis as any).fetch = group.fetch;
  const got: number[] = [];
  const states: Connection[] = [];
  const all: FakeSocket[] = [];
  const seen = { resets: 0, refused: 0 };
  class Socket extends FakeSocket {
    constructor(url: string, protocols: string[]) {
      super(group, url, protocols);
      all.push(this);
    }
  }
  const hosts = new Hosts(["http://a", "http://b", "http://c"]);
  const sync = new Sync({
    hosts,
    token: () => "T.o-k_en",
    base: "/v1/visitor",
    cursor: options.cursor || { epoch: "e1", seq: 0 },
    frames: (frames) => frames.forEach((f) => got.push(f.seq!)),
    reset: async () => {
      seen.resets++;
      await options.reset?.();
    },
    state: (s) => void states.push(s),
    unauthorized: () => void seen.refused++,
    env: { WebSocket: options.sockets === false ? undefined : (Socket as any), random: options.random || (() => 0.5), now: Date.now },
  });
  return { sync, got, states, all, seen, hosts };
}

const upTo = (n: number, from = 1) => Array.from({ length: n - from + 1 }, (_, i) => from + i);

test("a socket carries the cursor and the token, and brings the events", async () => {
  const g = new Group();
  g.add(3);
  const c = client(g, { cursor: { epoch: "e1", seq: 1 } });
  c.sync.start();
  await pass(100);
  g.add(2);
  await pass(100);
  assert.deepEqual(c.got, [2, 3, 4, 5]);
  assert.deepEqual(c.all[0].protocols, ["parlor.v1", "bearer.T.o-k_en"]);
  assert.equal(c.states.at(-1), "online");
  assert.deepEqual(c.sync.cursor, { epoch: "e1", seq: 5 });
});

test("told to resync, it resumes by its cursor", async () => {
  const g = new Group();
  const c = client(g);
  c.sync.start();
  await pass(100);
  g.add(2);
  c.all[0].end(4000);
  g.add(2);
  await pass(2000);
  assert.deepEqual(c.got, upTo(4));
  assert.equal(c.all.length, 2);
  assert.equal(c.all[1].host, "http://a");
});

test("told that the node is going away, it uses another one within a second", async () => {
  const g = new Group();
  const c = client(g);
  c.sync.start();
  await pass(100);
  c.all[0].end(4002);
  g.add(1);
  await pass(1100);
  assert.equal(c.all[1].host, "http://b");
  assert.deepEqual(c.got, [1]);
});

test("when its node dies it finds one that lives, and misses nothing", async () => {
  const g = new Group();
  const c = client(g);
  c.sync.start();
  await pass(100);
  g.down.add("http://a").add("http://b");
  c.all[0].end(1006);
  g.add(3);
  await pass(10000);
  assert.deepEqual(c.got, upTo(3));
  assert.equal(c.hosts.current, "http://c");
});

test("where sockets do not get through it polls, and tries a socket again after a minute", async () => {
  const g = new Group();
  g.socketsWork = false;
  const c = client(g);
  c.sync.start();
  await pass(5000);
  assert.equal(c.states.at(-1), "online");
  g.add(2);
  await pass(100);
  assert.deepEqual(c.got, [1, 2]);
  const tried = c.all.length;
  g.socketsWork = true;
  await pass(90000);
  assert.equal(c.all.length, tried + 1);
  g.add(1);
  await pass(100);
  assert.deepEqual(c.got, [1, 2, 3]);
});

test("a browser without sockets polls", async () => {
  const g = new Group();
  const c = client(g, { sockets: false });
  c.sync.start();
  await pass(1000);
  g.add(2);
  await pass(60000);
  g.add(1);
  await pass(1000);
  assert.deepEqual(c.got, [1, 2, 3]);
  assert.ok(g.polls.length < 10, `${g.polls.length} polls in a minute`);
});

test("after a reset the state is loaded first, then come the frames that followed", async () => {
  const g = new Group();
  g.add(10);
  g.trimmed = 5;
  let done = () => {};
  const c = client(g, { reset: () => new Promise<void>((r) => (done = r)) });
  c.sync.start();
  await pass(100);
  assert.equal(c.seen.resets, 1);
  g.add(2);
  await pass(100);
  assert.deepEqual(c.got, [], "frames wait for the state");
  done();
  await pass(100);
  assert.deepEqual(c.got, [11, 12]);
});

test("while the state is being loaded, losing the socket does not load it twice", async () => {
  const g = new Group();
  g.add(10);
  g.trimmed = 5;
  let done = () => {};
  const c = client(g, { reset: () => new Promise<void>((r) => (done = r)) });
  c.sync.start();
  await pass(100);
  c.all[0].end(1006);
  g.add(1);
  await pass(20000);
  assert.equal(c.seen.resets, 1);
  done();
  await pass(3000);
  assert.equal(c.seen.resets, 1);
  assert.deepEqual(c.got, [11]);
});

test("an event that is told twice counts once", async () => {
  const g = new Group();
  const c = client(g);
  c.sync.start();
  await pass(100);
  g.add(2);
  c.all[0].tell({ epoch: "e1", seq: 2, frames: [{ seq: 1, type: "x" }, { seq: 2, type: "x" }] });
  c.all[0].tell({ epoch: "e1", seq: 1, frames: [{ seq: 1, type: "x" }] });
  await pass(100);
  assert.deepEqual(c.got, [1, 2]);
  assert.deepEqual(c.sync.cursor, { epoch: "e1", seq: 2 });
});

test("a restored group has another epoch: everything is loaded anew", async () => {
  const g = new Group();
  g.add(10);
  const c = client(g, { cursor: { epoch: "e1", seq: 10 } });
  c.sync.start();
  await pass(100);
  g.epoch = "e2";
  g.last = 4;
  c.all[0].end(1006);
  await pass(5000);
  assert.equal(c.seen.resets, 1);
  assert.deepEqual(c.sync.cursor, { epoch: "e2", seq: 4 });
  g.add(1);
  await pass(100);
  assert.deepEqual(c.got, [5]);
});

test("loading the state is tried until it works, even if the socket is lost meanwhile", async () => {
  const g = new Group();
  g.add(10);
  g.trimmed = 5;
  let failures = 2;
  const c = client(g, {
    reset: async () => {
      if (failures-- > 0) throw new Error("no");
    },
  });
  c.sync.start();
  await pass(200);
  g.add(1);
  await pass(30000);
  assert.equal(c.seen.resets, 3);
  g.add(1);
  await pass(1000);
  assert.equal(c.got.at(-1), 12);
  assert.equal(new Set(c.got).size, c.got.length);
});

test("a connection that has gone silent is noticed and replaced", async () => {
  const g = new Group();
  const c = client(g);
  c.sync.start();
  await pass(100);
  c.all[0].mute = true;
  g.add(1);
  await pass(35000);
  assert.ok(c.all.length > 1);
  assert.deepEqual(c.got, [1]);
});

test("when the page wakes up, a dead connection is found out in seconds", async () => {
  const g = new Group();
  const c = client(g);
  c.sync.start();
  await pass(100);
  c.all[0].mute = true;
  g.add(1);
  c.sync.wake();
  await pass(5000);
  assert.deepEqual(c.got, [1]);
});

test("when the page wakes up during a wait, it does not wait on", async () => {
  const g = new Group();
  ["http://a", "http://b", "http://c"].forEach((h) => g.down.add(h));
  const c = client(g);
  c.sync.start();
  await pass(60000);
  assert.equal(c.states.at(-1), "offline");
  g.down.clear();
  g.add(1);
  c.sync.wake();
  await pass(100);
  assert.deepEqual(c.got, [1]);
});

test("a token that is refused ends it, by socket and by poll", async () => {
  const g = new Group();
  const c = client(g);
  c.sync.start();
  await pass(100);
  c.all[0].end(4001);
  await pass(60000);
  assert.equal(c.seen.refused, 1);
  assert.equal(c.all.length, 1);

  const h = new Group();
  h.socketsWork = false;
  h.status = 401;
  const d = client(h);
  d.sync.start();
  await pass(60000);
  assert.equal(d.seen.refused, 1);
  const calls = h.polls.length;
  await pass(60000);
  assert.equal(h.polls.length, calls);
});

test("stopped, it says and asks nothing more", async () => {
  const g = new Group();
  const c = client(g);
  c.sync.start();
  await pass(100);
  c.sync.stop();
  g.add(1);
  await pass(120000);
  assert.deepEqual(c.got, []);
  assert.equal(g.sockets.length, 0);
  assert.equal(c.sync.say({ op: "ping" }), false);
});

test("whatever breaks, each event arrives once and in order", async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const r = random(seed);
    const g = new Group();
    const c = client(g, { random: r });
    c.sync.start();
    for (let step = 0; step < 60; step++) {
      const dice = r();
      const live = g.sockets[0];
      if (dice < 0.4) g.add(1 + Math.floor(r() * 5));
      else if (dice < 0.5) live?.end([1006, 4000, 4002][Math.floor(r() * 3)]);
      else if (dice < 0.55) g.down.add("http://" + "abc"[Math.floor(r() * 3)]);
      else if (dice < 0.65) g.down.clear();
      else if (dice < 0.7) g.socketsWork = !g.socketsWork;
      else if (dice < 0.73 && live) live.mute = true;
      else if (dice < 0.78) c.sync.wake();
      await pass(Math.floor(r() * 8000));
    }
    g.down.clear();
    g.socketsWork = true;
    g.sockets.forEach((s) => (s.mute = false));
    await pass(120000);
    assert.equal(c.seen.resets, 0, `seed ${seed}`);
    assert.deepEqual(c.got, upTo(g.last), `seed ${seed}`);
    c.sync.stop();
    await settle();
  }
});
