import { Agent, Chat, Frame, Message, Visitor } from "../shared/types";
import type { View } from "./desk";

/** What a batch of frames does to the view, and what has to be done about it. */
export interface Changes {
  view: Pick<View, "chats" | "visitors" | "agents" | "me">;
  messages: Record<string, Message[]>;
  /** Chats that became this agent's. */
  given: Chat[];
  /** Messages of visitors in this agent's chats. */
  fresh: { chat: Chat; message: Message }[];
  typing: { chat: string; typing: boolean; preview: string }[];
  /** Visitors whose details changed. */
  touched: Set<string>;
}

/** Applies frames to the view. Pure: each frame may tell what is known already. */
export function apply(view: View, frames: Frame[]): Changes {
  const changes: Changes = {
    view: { chats: { ...view.chats }, visitors: { ...view.visitors }, agents: { ...view.agents }, me: view.me },
    messages: {},
    given: [],
    fresh: [],
    typing: [],
    touched: new Set(),
  };
  for (const f of frames) one(view, changes, f);
  return changes;
}

function one(before: View, c: Changes, f: Frame): void {
  const data = f.data || {};
  switch (f.type) {
    case "visitor.created":
    case "visitor.updated":
      visitor(c, data.visitor);
      break;
    case "visitor.left":
    case "visitor.removed":
      delete c.view.visitors[f.visitor || data.visitor?.id];
      break;
    case "visitor.page":
      page(c, f);
      break;
    case "chat.created":
    case "chat.queued":
    case "chat.assigned":
    case "chat.accepted":
    case "chat.transferred":
    case "chat.updated":
    case "chat.ended":
      chat(c, data.chat, data.position);
      break;
    case "chat.removed":
      delete c.view.chats[f.chat || ""];
      break;
    case "message.created":
      message(before, c, f.chat || "", data);
      break;
    case "agent.created":
    case "agent.updated":
    case "agent.status_changed":
      agent(c, data.agent);
      break;
    case "agent.removed":
      delete c.view.agents[f.agent || data.agent?.id];
      break;
    case "typing":
      if (f.chat && f.from?.type === "visitor") c.typing.push({ chat: f.chat, typing: !!data.typing, preview: data.preview || "" });
  }
}

function visitor(c: Changes, v: Visitor | undefined): void {
  if (!v) return;
  if (v.status === "left") delete c.view.visitors[v.id];
  else c.view.visitors[v.id] = { ...c.view.visitors[v.id], ...v };
  c.touched.add(v.id);
}

function page(c: Changes, f: Frame): void {
  const known = c.view.visitors[f.visitor || ""];
  if (!known) return;
  c.view.visitors[known.id] = { ...known, page_url: f.data.url, page_title: f.data.title, last_seen: f.at || known.last_seen };
  c.touched.add(known.id);
}

/** Keeps what concerns this agent: his chats, and those that wait. */
function chat(c: Changes, now: Chat | undefined, position?: number): void {
  if (!now) return;
  const known = c.view.chats[now.id];
  const mine = now.agent === c.view.me.id;
  const wasMine = !!known && known.agent === c.view.me.id && known.status === "chatting";
  if (now.status === "waiting" || mine) {
    if (!known && now.status === "ended") return;
    c.view.chats[now.id] = { ...known, ...now, position: position ?? now.position ?? known?.position, agent: now.agent, accepted_at: now.accepted_at };
    if (mine && now.status === "chatting" && !wasMine) c.given.push(c.view.chats[now.id]);
  } else if (known) {
    // It went to somebody else, or was over before anybody took it.
    delete c.view.chats[now.id];
  }
  c.touched.add(now.visitor);
}

function message(before: View, c: Changes, id: string, m: Message): void {
  const chat = c.view.chats[id];
  if (!chat) return;
  (c.messages[id] = c.messages[id] || []).push(m);
  const known = (before.messages[id] || []).some((k) => k.seq === m.seq);
  if (m.from.type === "visitor") {
    c.typing.push({ chat: id, typing: false, preview: "" });
    if (!known && chat.agent === c.view.me.id) c.fresh.push({ chat, message: m });
  }
}

function agent(c: Changes, a: Agent | undefined): void {
  if (!a) return;
  c.view.agents[a.id] = { ...c.view.agents[a.id], ...a };
  if (a.id === c.view.me.id) c.view.me = { ...c.view.me, ...a };
}
