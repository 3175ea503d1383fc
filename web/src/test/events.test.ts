import { test } from "node:test";
import assert from "node:assert/strict";
import { apply } from "../console/events";
import type { View } from "../console/desk";
import { Chat, Frame } from "../shared/types";

const me = { id: "alice", site: "demo", status: "online" as const };

function view(part: Partial<View> = {}): View {
  return { me, chats: {}, visitors: {}, agents: {}, messages: {}, ...part } as View;
}

const chat = (status: Chat["status"], agent?: string): Chat => ({ id: "c", visitor: "v", status, agent, created_at: 1 });
const frame = (type: string, data: unknown): Frame => ({ seq: 1, type, chat: "c", visitor: "v", data, at: 5 });

test("a chat that waits, is given to me, is talked in and ends", () => {
  let v = view();
  let c = apply(v, [frame("chat.created", { chat: chat("waiting") }), frame("chat.queued", { chat: chat("waiting"), position: 2 })]);
  assert.equal(c.view.chats.c.position, 2);
  assert.equal(c.given.length, 0);
  v = view(c.view);
  c = apply(v, [frame("chat.assigned", { chat: chat("chatting", "alice") })]);
  assert.equal(c.given.length, 1);
  v = view(c.view);
  c = apply(v, [frame("chat.accepted", { chat: { ...chat("chatting", "alice"), accepted_at: 9 } })]);
  assert.equal(c.given.length, 0, "it is given once");
  assert.equal(c.view.chats.c.accepted_at, 9);
  v = view(c.view);
  c = apply(v, [frame("message.created", { seq: 1, from: { type: "visitor", id: "v" }, text: "hi", at: 1 })]);
  assert.equal(c.fresh.length, 1);
  assert.equal(c.messages.c.length, 1);
  c = apply(view({ ...v, messages: { c: c.messages.c } }), [frame("message.created", c.messages.c[0])]);
  assert.equal(c.fresh.length, 0, "what is known is not new");
  c = apply(v, [frame("chat.ended", { chat: chat("ended", "alice") })]);
  assert.equal(c.view.chats.c.status, "ended");
});

test("a chat that somebody else takes leaves the list", () => {
  const v = view({ chats: { c: chat("waiting") } });
  const c = apply(v, [frame("chat.assigned", { chat: chat("chatting", "bob") })]);
  assert.deepEqual(c.view.chats, {});
  assert.deepEqual(apply(view({ chats: { c: chat("chatting", "alice") } }), [frame("chat.transferred", { chat: chat("chatting", "bob") })]).view.chats, {});
  assert.deepEqual(v.chats.c.status, "waiting", "the view before is left as it was");
});

test("visitors come, walk and leave", () => {
  let c = apply(view(), [frame("visitor.created", { visitor: { id: "v", site: "demo", status: "browsing" } }), frame("visitor.page", { url: "http://x/2", title: "Two" })]);
  assert.equal(c.view.visitors.v.page_title, "Two");
  assert.equal(c.view.visitors.v.last_seen, 5);
  assert.ok(c.touched.has("v"));
  c = apply(view(c.view), [frame("visitor.left", { visitor: { id: "v", status: "left" } })]);
  assert.deepEqual(c.view.visitors, {});
});

test("my own status follows, wherever I changed it", () => {
  const c = apply(view(), [frame("agent.status_changed", { agent: { ...me, status: "away" } })]);
  assert.equal(c.view.me.status, "away");
});

test("frames that say nothing known change nothing", () => {
  const v = view({ chats: { c: chat("waiting") } });
  const c = apply(v, [frame("config.changed", { kind: "segments", id: "x", rev: 2 }), frame("something.new", undefined), frame("chat.updated", {}), frame("typing", {})]);
  assert.deepEqual(c.view.chats, v.chats);
});
