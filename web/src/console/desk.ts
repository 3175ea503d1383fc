import { ApiError, call, Caller, CallOptions } from "../shared/call";
import { Hosts } from "../shared/hosts";
import { complete, merge } from "../shared/messages";
import { Entry, Outbox, session } from "../shared/outbox";
import { Store } from "../shared/store";
import { Connection, Sync } from "../shared/sync";
import { TypingSignal, typingFor } from "../shared/typing";
import { onWake } from "../shared/wake";
import { Agent, AgentStatus, Chat, Cursor, Department, Frame, Message, Sent, Visitor } from "../shared/types";
import { Alerts } from "./alerts";
import { apply, Changes } from "./events";

export type Selection = { kind: "chat"; id: string } | { kind: "visitors" } | { kind: "visitor"; id: string };

export interface View {
  ready: boolean;
  me: Agent;
  chats: Record<string, Chat>;
  visitors: Record<string, Visitor>;
  agents: Record<string, Agent>;
  departments: Record<string, Department>;
  messages: Record<string, Message[]>;
  /** Up to which message each chat was read. */
  seen: Record<string, number>;
  /** What visitors are typing, by chat. */
  typing: Record<string, { preview: string; until: number }>;
  /** Details of visitors that were looked at; null while they cannot be had. */
  details: Record<string, Visitor | null>;
  outbox: Entry[];
  selected: Selection;
  connection: Connection;
  /** What went wrong last, for the agent to read. */
  error: ApiError | null;
  /** A word that something worked. */
  notice: string;
}

interface Page<T> {
  next_cursor?: string;
  chats?: T[];
  visitors?: T[];
  agents?: T[];
  departments?: T[];
}

/** More than this many of anything is not looked at by one person. */
const mostListed = 1000;

/** Everything the console shows, and what an agent does with it. */
export class Desk {
  readonly store: Store<View>;
  private caller: Caller;
  private sync: Sync | null = null;
  private outbox: Outbox;
  private signals: Record<string, TypingSignal> = {};
  private stopped = false;
  private retry: ReturnType<typeof setTimeout> | undefined;

  constructor(
    caller: Caller,
    private hosts: Hosts,
    me: Agent,
    private alerts: Alerts,
    private name: (view: View, chat: Chat) => string,
    private words: { chat(name: string): string },
    private unauthorized: () => void,
  ) {
    this.caller = caller;
    this.store = new Store<View>({
      ready: false,
      me,
      chats: {},
      visitors: {},
      agents: {},
      departments: {},
      messages: {},
      seen: this.restoreSeen(),
      typing: {},
      details: {},
      outbox: [],
      selected: { kind: "visitors" },
      connection: "connecting",
      error: null,
      notice: "",
    });
    this.outbox = new Outbox({
      storage: session(),
      key: "parlor-console-outbox:" + me.id,
      send: (e) => call<Sent>(this.caller, "POST", `/v1/chats/${e.chat}/messages`, { client_id: e.client_id, text: e.text }, { key: e.client_id }),
      sent: (e, sent) => this.addMessages(e.chat, [{ ...sent, from: { type: "agent", id: me.id, name: me.name }, type: "text", text: e.text, client_id: e.client_id }]),
      changed: (outbox) => this.store.set({ outbox }),
    });
    this.store.set({ outbox: this.outbox.list });
    this.store.watch(() => this.alerts.count(this.unreadAll()));
    onWake(() => {
      this.sync?.wake();
      if (!this.stopped) this.outbox.wake();
    });
  }

  get view(): View {
    return this.store.get();
  }

  /** Begins to follow the site; with status, takes that on first. */
  async start(status?: AgentStatus): Promise<void> {
    try {
      if (status) await this.call("PUT", "/v1/me/status", { status });
      const me = await this.call<{ agent: Agent; hosts?: string[] } & Cursor>("GET", "/v1/me");
      this.hosts.add(me.hosts);
      this.store.set({ me: me.agent });
      await this.load();
      if (this.stopped) return;
      this.follow({ epoch: me.epoch, seq: me.seq });
      this.outbox.flush();
    } catch (e) {
      if (this.stopped) return;
      const error = e as ApiError;
      if (error.unauthorized) return this.unauthorized();
      this.store.set({ error, connection: "offline" });
      this.retry = setTimeout(() => void this.start(status), 3000);
    }
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.retry);
    this.sync?.stop();
    this.outbox.close();
    this.alerts.count(0);
  }

  private follow(cursor: Cursor): void {
    this.sync = new Sync({
      ...this.caller,
      base: "/v1",
      cursor,
      frames: (frames) => this.take(frames),
      reset: () => this.load(),
      state: (connection) => {
        this.store.set({ connection });
        if (connection === "online") this.outbox.wake();
      },
      unauthorized: () => this.unauthorized(),
    });
    this.sync.start();
  }

  /** Loads what is there now: at the start, and when too much was missed. */
  private async load(): Promise<void> {
    const me = this.view.me.id;
    const [waiting, mine, visitors, agents, departments] = await Promise.all([
      this.list<Chat>("chats", "/v1/chats?status=waiting"),
      this.list<Chat>("chats", `/v1/chats?status=chatting&agent=${encodeURIComponent(me)}`),
      this.list<Visitor>("visitors", "/v1/visitors"),
      this.list<Agent>("agents", "/v1/agents"),
      this.list<Department>("departments", "/v1/departments"),
    ]);
    const messages: Record<string, Message[]> = {};
    await Promise.all(mine.map(async (c) => (messages[c.id] = await this.fetchMessages(c.id, 0))));
    const agent = agents.find((a) => a.id === me);
    this.store.set({
      ready: true,
      error: null,
      me: agent || this.view.me,
      chats: byId([...waiting, ...mine]),
      visitors: byId(visitors.filter((v) => v.status !== "left")),
      agents: byId(agents),
      departments: byId(departments),
      messages,
    });
    const { selected } = this.view;
    if (selected.kind === "chat" && !this.view.chats[selected.id]) this.select({ kind: "visitors" });
  }

  private async list<T>(name: keyof Page<T>, path: string): Promise<T[]> {
    const all: T[] = [];
    let cursor: string | undefined;
    do {
      const page: Page<T> = await this.call("GET", path + (path.includes("?") ? "&" : "?") + "limit=200" + (cursor ? "&cursor=" + encodeURIComponent(cursor) : ""));
      all.push(...((page[name] as T[] | undefined) || []));
      cursor = page.next_cursor;
    } while (cursor && all.length < mostListed);
    return all;
  }

  private async fetchMessages(chat: string, after: number): Promise<Message[]> {
    const all: Message[] = [];
    for (;;) {
      const { messages } = await this.call<{ messages: Message[] }>("GET", `/v1/chats/${chat}/messages?after=${after}&limit=200`);
      all.push(...messages);
      if (messages.length < 200) return all;
      after = messages[messages.length - 1].seq;
    }
  }

  private call<T = unknown>(method: string, path: string, body?: unknown, options?: CallOptions): Promise<T> {
    return call<T>(this.caller, method, path, body, options);
  }

  /** Runs what the agent asked for; a failure is shown, the answer says whether it worked. */
  private async act(method: string, path: string, body?: unknown): Promise<boolean> {
    try {
      await this.call(method, path, body);
      this.store.set({ error: null });
      return true;
    } catch (e) {
      const error = e as ApiError;
      if (error.unauthorized) this.unauthorized();
      else this.store.set({ error });
      return false;
    }
  }

  select(selected: Selection): void {
    this.store.set({ selected });
    this.read();
    const visitor = selected.kind === "chat" ? this.view.chats[selected.id]?.visitor : selected.kind === "visitor" ? selected.id : "";
    if (visitor) void this.look(visitor);
    if (selected.kind === "chat" && !this.view.messages[selected.id]) void this.refresh(selected.id);
  }

  /** The agent has seen what the selected chat says. */
  read(): void {
    const { selected, messages, seen } = this.view;
    if (selected.kind !== "chat" || document.hidden) return;
    const list = messages[selected.id] || [];
    const last = list.length ? list[list.length - 1].seq : 0;
    if ((seen[selected.id] || 0) >= last) return;
    this.store.set({ seen: { ...seen, [selected.id]: last } });
    this.keepSeen();
  }

  unread(chat: Chat): number {
    const { messages, seen, me } = this.view;
    if (chat.agent !== me.id) return 0;
    const from = seen[chat.id] || 0;
    return (messages[chat.id] || []).filter((m) => m.from.type === "visitor" && m.seq > from).length;
  }

  private unreadAll(): number {
    return Object.values(this.view.chats).reduce((n, c) => n + this.unread(c) + (c.agent === this.view.me.id && c.status === "chatting" && !c.accepted_at ? 1 : 0), 0);
  }

  async setStatus(status: AgentStatus): Promise<void> {
    if (await this.act("PUT", "/v1/me/status", { status })) this.store.set({ me: { ...this.view.me, status } });
  }

  /** Takes a chat that was given to this agent. */
  async accept(chat: string): Promise<void> {
    if (await this.act("POST", `/v1/chats/${chat}/accept`, {})) this.patch(chat, { accepted_at: Date.now() });
  }

  /** Takes a chat out of the queue. */
  async pull(chat: string): Promise<void> {
    if (await this.act("POST", `/v1/chats/${chat}/accept`, {})) this.select({ kind: "chat", id: chat });
  }

  transfer(chat: string, to: { department?: string; agent?: string }): Promise<boolean> {
    return this.act("POST", `/v1/chats/${chat}/transfer`, to);
  }

  async end(chat: string): Promise<void> {
    this.signals[chat]?.stop();
    if (await this.act("POST", `/v1/chats/${chat}/end`, {})) this.patch(chat, { status: "ended" });
  }

  /** Takes a chat that is over off the list. */
  dismiss(chat: string): void {
    const chats = { ...this.view.chats };
    delete chats[chat];
    this.store.set({ chats });
    this.select({ kind: "visitors" });
  }

  invite(visitor: string, text: string): Promise<boolean> {
    return this.act("POST", `/v1/visitors/${visitor}/invitations`, { text });
  }

  notice(notice: string): void {
    this.store.set({ notice });
  }

  clear(): void {
    this.store.set({ error: null, notice: "" });
  }

  send(chat: Chat, text: string): void {
    this.signals[chat.id]?.stop();
    // Who answers has accepted.
    if (!chat.accepted_at) void this.accept(chat.id);
    this.outbox.add(chat.id, text);
  }

  resend(clientId: string): void {
    this.outbox.retry(clientId);
  }

  discard(clientId: string): void {
    this.outbox.discard(clientId);
  }

  input(chat: string, text: string): void {
    const signal = (this.signals[chat] = this.signals[chat] || new TypingSignal((typing) => this.tellTyping(chat, typing)));
    signal.input(text);
  }

  private tellTyping(chat: string, typing: boolean): void {
    if (this.sync?.say({ op: "typing", chat, typing })) return;
    this.call("POST", `/v1/chats/${chat}/typing`, { typing }).catch(() => {
      // It may be lost.
    });
  }

  /** Loads what the details of a visitor show. */
  async look(visitor: string): Promise<void> {
    let found: Visitor | null = null;
    try {
      found = await this.call<Visitor>("GET", "/v1/visitors/" + visitor);
    } catch {
      // Shown as such; what we know from the list stays visible.
    }
    this.store.set({ details: { ...this.view.details, [visitor]: found } });
  }

  private async refresh(chat: string): Promise<void> {
    try {
      const messages = await this.fetchMessages(chat, complete(this.view.messages[chat] || []));
      this.addMessages(chat, messages, true);
    } catch (e) {
      this.store.set({ error: e as ApiError });
    }
  }

  private addMessages(chat: string, more: Message[], known = false): void {
    for (const m of more) this.outbox.confirm(m.client_id);
    const before = this.view.messages[chat] || [];
    const messages = merge(before, more);
    if (messages === before && !known) return;
    this.store.set({ messages: { ...this.view.messages, [chat]: messages } });
    this.read();
  }

  private patch(chat: string, part: Partial<Chat>): void {
    const known = this.view.chats[chat];
    if (known) this.store.set({ chats: { ...this.view.chats, [chat]: { ...known, ...part } } });
  }

  /** Applies events, in order, and does what follows from them. */
  private take(frames: Frame[]): void {
    const changes: Changes = apply(this.view, frames);
    this.store.set(changes.view);
    for (const [chat, messages] of Object.entries(changes.messages)) this.addMessages(chat, messages);
    for (const chat of changes.given) {
      void this.refresh(chat.id);
      this.alerts.raise(this.words.chat(this.name(this.view, chat)), chat.page_url || "", chat.id);
    }
    for (const m of changes.fresh) {
      const { selected } = this.view;
      if (document.hidden || selected.kind !== "chat" || selected.id !== m.chat.id) this.alerts.raise(this.name(this.view, m.chat), m.message.text, m.chat.id);
    }
    for (const { chat, typing, preview } of changes.typing) this.heardTyping(chat, typing, preview);
    const { selected } = this.view;
    const shown = selected.kind === "chat" ? this.view.chats[selected.id]?.visitor : selected.kind === "visitor" ? selected.id : "";
    if (shown && changes.touched.has(shown)) void this.look(shown);
  }

  private heardTyping(chat: string, typing: boolean, preview: string): void {
    const until = Date.now() + typingFor;
    const all = { ...this.view.typing };
    if (typing) all[chat] = { preview, until };
    else delete all[chat];
    this.store.set({ typing: all });
    if (typing) {
      setTimeout(() => {
        if (this.view.typing[chat]?.until === until) this.heardTyping(chat, false, "");
      }, typingFor);
    }
  }

  private restoreSeen(): Record<string, number> {
    try {
      return JSON.parse(session()?.getItem("parlor-console-seen") || "{}");
    } catch {
      return {};
    }
  }

  private keepSeen(): void {
    try {
      session()?.setItem("parlor-console-seen", JSON.stringify(this.view.seen));
    } catch {
      // Counted again after a reload.
    }
  }
}

function byId<T extends { id: string }>(list: T[]): Record<string, T> {
  const all: Record<string, T> = {};
  for (const one of list) all[one.id] = one;
  return all;
}
