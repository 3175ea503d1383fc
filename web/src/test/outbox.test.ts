import { test } from "node:test";
import assert from "node:assert/strict";
import { pass, quiet, settle } from "./clock";
import { ApiError } from "../shared/call";
import { Entry, Outbox } from "../shared/outbox";
import { Sent } from "../shared/types";

function memory(): Storage {
  const map = new Map<string, string>();
  return {
    getItem: (k: string) => map.get(k) ?? null,
    setItem: (k: string, v: string) => void map.set(k, v),
    removeItem: (k: string) => void map.delete(k),
  } as Storage;
}

/** A server that stores each client_id once; answers says what happens to the calls, in order. */
function desk(answers: (ApiError | "lost" | "ok")[] = [], storage: Storage | null = memory()) {
  const stored: { id: string; text: string }[] = [];
  const calls: string[] = [];
  const sent: string[] = [];
  let shown: Entry[] = [];
  const make = () =>
    new Outbox({
      storage,
      key: "box",
      random: () => 0.5,
      changed: (list) => (shown = list),
      sent: (e) => void sent.push(e.text),
      async send(e): Promise<Sent> {
        calls.push(e.client_id);
        const answer = answers.shift() ?? "ok";
        if (answer instanceof ApiError) throw answer;
        let at = stored.findIndex((s) => s.id === e.client_id);
        if (at < 0) at = stored.push({ id: e.client_id, text: e.text }) - 1;
        if (answer === "lost") throw new ApiError(0, "network", "the answer got lost");
        return { seq: at + 1, id: "m" + at, at: Date.now() };
      },
    });
  return { make, stored, calls, sent, shown: () => shown };
}

const network = () => new ApiError(0, "network", "nobody there");

test("messages go out one after the other, in order", async () => {
  quiet();
  const d = desk();
  const box = d.make();
  for (const text of ["a", "b", "c"]) box.add("chat", text);
  await pass(0);
  assert.deepEqual(d.stored.map((s) => s.text), ["a", "b", "c"]);
  assert.deepEqual(d.sent, ["a", "b", "c"]);
  assert.deepEqual(box.list, []);
});

test("a message whose answer got lost is sent again under the same id, and is there once", async () => {
  quiet();
  const d = desk(["lost", "lost"]);
  const box = d.make();
  box.add("chat", "a");
  box.add("chat", "b");
  await pass(0);
  assert.equal(d.shown()[0].state, "waiting");
  await pass(60000);
  assert.deepEqual(d.stored.map((s) => s.text), ["a", "b"]);
  assert.equal(d.calls.length, 4);
  assert.equal(new Set(d.calls.slice(0, 3)).size, 1);
});

test("while nobody answers, tries become rarer, and stop at 30 seconds", async () => {
  quiet();
  const d = desk(Array.from({ length: 20 }, network));
  d.make().add("chat", "a");
  await pass(31000);
  const early = d.calls.length;
  assert.ok(early >= 4 && early <= 6, `${early} tries in the first half minute`);
  await pass(120000);
  assert.ok(d.calls.length - early >= 3 && d.calls.length - early <= 5, `${d.calls.length - early} tries in two minutes`);
});

test("the server's Retry-After is kept to", async () => {
  quiet();
  const d = desk([new ApiError(429, "too_many_requests", "slowly", 12)]);
  d.make().add("chat", "a");
  await pass(11900);
  assert.equal(d.stored.length, 0);
  await pass(200);
  assert.equal(d.stored.length, 1);
});

test("when the connection is back, nothing waits for its timer", async () => {
  quiet();
  const d = desk([network(), network(), network()]);
  const box = d.make();
  box.add("chat", "a");
  await pass(4000);
  const before = d.calls.length;
  box.wake();
  await settle();
  assert.equal(d.calls.length, before + 1);
});

test("what is refused is marked, holds nobody up, and can be tried again or given up", async () => {
  quiet();
  const refused = new ApiError(413, "message_too_large", "too long");
  const d = desk([refused, "ok", refused, "ok"]);
  const box = d.make();
  box.add("chat", "bad");
  box.add("chat", "good");
  await pass(0);
  assert.deepEqual(d.stored.map((s) => s.text), ["good"]);
  assert.deepEqual(box.list.map((e) => [e.text, e.state, e.code]), [["bad", "failed", "message_too_large"]]);
  box.retry(box.list[0].client_id);
  await pass(0);
  assert.equal(box.list[0].state, "failed");
  box.retry(box.list[0].client_id);
  await pass(0);
  assert.deepEqual(d.stored.map((s) => s.text), ["good", "bad"]);
  assert.deepEqual(box.list, []);
});

test("what was not sent survives a reload, under its id", async () => {
  quiet();
  const d = desk(["lost", network()]);
  const before = d.make();
  const entry = before.add("chat", "a");
  await pass(0);
  before.close();
  const after = d.make();
  assert.deepEqual(after.list.map((e) => e.client_id), [entry.client_id]);
  after.flush();
  await pass(60000);
  assert.deepEqual(d.stored.map((s) => s.text), ["a"]);
});

test("a message that the stream brings is not sent again", async () => {
  quiet();
  const d = desk(["lost"]);
  const box = d.make();
  const entry = box.add("chat", "a");
  await pass(0);
  box.confirm(entry.client_id);
  await pass(60000);
  assert.equal(d.calls.length, 1);
  assert.deepEqual(box.list, []);
});

test("without storage, and with storage that holds rubbish, it works all the same", async () => {
  quiet();
  const d = desk([], null);
  d.make().add("chat", "a");
  await pass(0);
  assert.equal(d.stored.length, 1);
  const rubbish = memory();
  rubbish.setItem("box", '[{"client_id": 7}, null, "x"');
  assert.deepEqual(desk([], rubbish).make().list, []);
  rubbish.setItem("box", '[{"client_id": 7}, null, "x"]');
  assert.deepEqual(desk([], rubbish).make().list, []);
});
