import { ApiError, call, Caller } from "../shared/call";
import { Hosts } from "../shared/hosts";
import { Init, ToLoader } from "../shared/bridge";
import { complete, merge } from "../shared/messages";
import { Entry, Outbox, session } from "../shared/outbox";
import { Store } from "../shared/store";
import { Connection, Sync } from "../shared/sync";
import { TypingSignal, typingFor } from "../shared/typing";
import { onWake } from "../shared/wake";
import { randomId } from "../shared/id";
import { Article, Campaign, Chat, Cursor, Field, Frame, Message, Sent } from "../shared/types";

export type Phase = "loading" | "failed" | "kb" | "prechat" | "offline" | "offline-sent" | "chat" | "ended";

/** A line of the log that is no message: who came, when it went on elsewhere. */
export interface Note {
  after: number;
  key: "chat.joined" | "chat.moved";
  name: string;
}

export interface View {
  phase: Phase;
  campaign: Campaign;
  form: Field[];
  articles: Article[];
  chat: Chat | null;
  agent: string;
  position: number;
  messages: Message[];
  notes: Note[];
  outbox: Entry[];
  /** Until when the agent counts as typing; 0 if not. */
  typing: number;
  connection: Connection;
  busy: boolean;
  error: ApiError | null;
  open: boolean;
}

interface OpenAnswer {
  /** next: what follows the articles, with kb. */
  window: { state: "kb" | "prechat" | "chat" | "offline"; next?: "prechat" | "chat" | "offline"; form?: { text?: string; fields?: Field[] }; articles?: Article[] };
  chat: Chat | null;
}

interface RequestAnswer {
  status: "offline" | "waiting" | "chatting" | "chatbot";
  chat?: Chat;
  queue?: { position: number; eta_s?: number };
}

/** How often the place in the queue is asked for: others leaving it make no event for us. */
const queueEvery = 8000;

/** The visitor's conversation: what the window shows, and everything that changes it. */
export class Session {
  readonly store: Store<View>;
  private caller: Caller;
  private token: string;
  private sync: Sync;
  private outbox: Outbox;
  private typing: TypingSignal;
  private unread = 0;
  private requestKey = "";
  private next: "prechat" | "offline" = "prechat";
  private queueTimer: ReturnType<typeof setTimeout> | undefined;
  private typingTimer: ReturnType<typeof setTimeout> | undefined;
  private told = "";

  constructor(init: Init, private tell: (message: ToLoader) => void) {
    this.token = init.token;
    // The node that served this page comes first: it answers, as we see.
    const hosts = new Hosts([location.origin]);
    hosts.add(init.hosts);
    this.caller = { hosts, token: () => this.token };
    this.store = new Store<View>({
      phase: "loading",
      campaign: init.campaign,
      form: [],
      articles: [],
      chat: null,
      agent: "",
      position: 0,
      messages: [],
      notes: [],
      outbox: [],
      typing: 0,
      connection: "connecting",
      busy: false,
      error: null,
      open: init.open,
    });
    this.outbox = new Outbox({
      storage: session(),
      key: "parlor-outbox:" + init.visitor,
      send: (e) => call<Sent>(this.caller, "POST", "/v1/visitor/messages", { client_id: e.client_id, text: e.text, chat: e.chat || undefined }, { key: e.client_id }),
      sent: (e, sent) => {
        const mine: Message = { ...sent, from: { type: "visitor", id: init.visitor }, type: "text", text: e.text, client_id: e.client_id };
        if (this.isCurrent(e.chat)) this.set({ messages: merge(this.view.messages, [mine]) });
      },
      changed: (outbox) => this.set({ outbox }),
    });
    this.set({ outbox: this.outbox.list });
    this.typing = new TypingSignal((typing, preview) => this.tellTyping(typing, preview));
    this.sync = new Sync({
      ...this.caller,
      base: "/v1/visitor",
      cursor: init.cursor,
      frames: (frames) => this.take(frames),
      reset: () => this.load(),
      state: (connection) => {
        this.set({ connection });
        if (connection === "online") this.outbox.wake();
      },
      unauthorized: () => this.tell({ t: "renew" }),
    });
    onWake(() => {
      this.sync.wake();
      this.outbox.wake();
    });
    this.sync.start();
    void this.begin();
  }

  private get view(): View {
    return this.store.get();
  }

  private set(part: Partial<View>): void {
    this.store.set(part);
    const { phase, chat } = this.view;
    const status = phase === "chat" && chat ? chat.status : phase;
    if (status !== this.told) {
      this.told = status;
      this.tell({ t: "status", status });
    }
  }

  /** Asks what to show first: an ongoing chat, articles, a form. */
  async begin(): Promise<void> {
    this.set({ phase: "loading", error: null });
    try {
      const answer = await call<OpenAnswer>(this.caller, "POST", "/v1/visitor/chat/open", {});
      const { state, next, form, articles = [] } = answer.window;
      if (answer.chat && answer.chat.status !== "ended") {
        this.adopt(answer.chat);
        await this.load();
      } else {
        this.next = next === "offline" || state === "offline" ? "offline" : "prechat";
        this.set({ phase: state === "kb" ? "kb" : this.next, form: form?.fields || [], articles });
      }
      this.outbox.flush();
    } catch (e) {
      this.set({ phase: "failed", error: e as ApiError });
    }
  }

  /** From the articles on to the form. */
  proceed(): void {
    this.set({ phase: this.next, error: null });
  }

  /** Asks for a chat with what the form holds; or leaves the message when nobody is there. */
  async request(values: Record<string, string>): Promise<void> {
    if (this.view.busy) return;
    this.set({ busy: true, error: null });
    // The same key until there was an answer: a request that got lost is not made twice.
    this.requestKey = this.requestKey || randomId();
    try {
      const answer = await call<RequestAnswer>(this.caller, "POST", "/v1/visitor/chat", { prechat: values }, { key: this.requestKey, timeout: 10000 });
      this.requestKey = "";
      if (answer.status === "offline" || !answer.chat) {
        const leaving = this.view.phase === "offline";
        this.set({ phase: leaving ? "offline-sent" : "offline", form: this.view.campaign.offline?.fields || [] });
      } else {
        // The stream may have been faster than the answer.
        if (!this.isCurrent(answer.chat.id)) this.set({ messages: [], notes: [], agent: "" });
        this.adopt({ ...answer.chat, position: answer.queue?.position });
        await this.load().catch(() => {
          // The frames bring what there is.
        });
      }
    } catch (e) {
      if (!(e as ApiError).temporary) this.requestKey = "";
      this.set({ error: e as ApiError });
    } finally {
      this.set({ busy: false });
    }
  }

  send(text: string): void {
    const { chat } = this.view;
    if (!chat) return;
    this.typing.stop();
    this.outbox.add(chat.id, text);
  }

  retry(clientId: string): void {
    this.outbox.retry(clientId);
  }

  discard(clientId: string): void {
    this.outbox.discard(clientId);
  }

  input(text: string): void {
    this.typing.input(text);
  }

  /** Ends the chat. */
  async end(): Promise<void> {
    this.typing.stop();
    try {
      const answer = await call<{ chat: Chat; messages: Message[] }>(this.caller, "POST", "/v1/visitor/chat/end?chat=" + encodeURIComponent(this.view.chat?.id || ""), {});
      this.set({ messages: merge(this.view.messages, answer.messages || []) });
      if (answer.chat) this.adopt(answer.chat);
    } catch (e) {
      this.set({ error: e as ApiError });
    }
  }

  /** The loader shows or hides the window. */
  visible(open: boolean): void {
    this.set({ open });
    if (open) this.count(0);
    else this.typing.stop();
  }

  close(): void {
    this.tell({ t: "close" });
  }

  renewed(token: string): void {
    this.token = token;
    this.sync.start();
    this.outbox.wake();
  }

  setCampaign(campaign: Campaign): void {
    this.set({ campaign });
  }

  /** Loads the conversation: at the start, and when frames were missed that are gone. */
  private async load(): Promise<void> {
    const after = this.view.chat ? complete(this.view.messages) : 0;
    const answer = await call<{ chat: Chat | null; messages: Message[] } & Cursor>(this.caller, "GET", "/v1/visitor/chat?after=" + after);
    if (!answer.chat) return;
    const known = this.isCurrent(answer.chat.id) ? this.view.messages : [];
    for (const m of answer.messages || []) this.outbox.confirm(m.client_id);
    this.set({ messages: merge(known, answer.messages || []) });
    if (this.view.chat || answer.chat.status !== "ended") this.adopt(answer.chat);
  }

  private isCurrent(chat: string): boolean {
    return this.view.chat?.id === chat;
  }

  /** The chat is now like this. */
  private adopt(chat: Chat, agentName = chat.agent_name): void {
    const before = this.view.chat;
    // An end is final: an older picture of the chat, arriving late, does not undo it.
    if (before?.id === chat.id && before.status === "ended") return;
    const agent = chat.agent ? agentName || (before?.agent === chat.agent ? this.view.agent : "") || chat.agent : "";
    const ended = chat.status === "ended";
    this.set({
      chat: { ...chat, position: chat.position ?? (before?.id === chat.id ? before.position : undefined) },
      agent: agent || (ended ? this.view.agent : ""),
      position: chat.status === "waiting" ? (chat.position ?? this.view.position) : 0,
      phase: ended ? "ended" : "chat",
      ...(ended && { typing: 0 }),
    });
    if (ended) this.outbox.drop(chat.id);
    clearTimeout(this.queueTimer);
    if (chat.status === "waiting") this.queueTimer = setTimeout(() => void this.askQueue(), queueEvery);
  }

  private async askQueue(): Promise<void> {
    try {
      await this.load();
    } catch {
      this.queueTimer = setTimeout(() => void this.askQueue(), queueEvery);
    }
  }

  /** Applies events, in order; each may tell what is known already. */
  private take(frames: Frame[]): void {
    for (const f of frames) {
      const data = f.data || {};
      switch (f.type) {
        case "chat.created":
        case "chat.queued":
        case "chat.accepted":
          this.follow(data.chat, undefined, data.position);
          break;
        case "chat.assigned":
          this.assigned(data.chat, data.agent);
          break;
        case "chat.transferred":
          if (data.chat && this.isCurrent(data.chat.id)) this.note("chat.moved", "");
          this.follow(data.chat);
          break;
        case "chat.ended":
          if (data.chat && this.isCurrent(data.chat.id)) this.adopt(data.chat);
          break;
        case "message.created":
          this.message(f.chat || "", data as Message);
          break;
        case "typing":
          if (f.from?.type !== "visitor" && this.isCurrent(f.chat || "")) this.heardTyping(!!data.typing);
          break;
        case "invitation.sent":
          this.tell({ t: "invitation", invitation: data });
      }
    }
  }

  /** A chat event: of the chat we show, or of one that was begun in another tab. */
  private follow(chat: Chat | undefined, agentName?: string, position?: number): void {
    if (!chat) return;
    const current = this.view.chat;
    if (current && current.id !== chat.id && current.status !== "ended") return;
    if (current?.id !== chat.id) this.set({ messages: [], notes: [], agent: "" });
    this.adopt(position === undefined ? chat : { ...chat, position }, agentName);
  }

  private assigned(chat: Chat | undefined, agent: { id: string; name?: string } | undefined): void {
    if (!chat) return;
    this.follow(chat, agent?.name);
    if (agent && this.isCurrent(chat.id)) this.note("chat.joined", agent.name || agent.id);
  }

  private note(key: Note["key"], name: string): void {
    const { notes, messages } = this.view;
    const after = messages.length ? messages[messages.length - 1].seq : 0;
    const last = notes[notes.length - 1];
    if (last && last.key === key && last.name === name && last.after === after) return;
    this.set({ notes: [...notes, { after, key, name }] });
  }

  private message(chat: string, m: Message): void {
    if (!this.isCurrent(chat)) return;
    this.outbox.confirm(m.client_id);
    const messages = merge(this.view.messages, [m]);
    const fresh = messages !== this.view.messages;
    this.set({ messages });
    if (m.from.type === "visitor" || !fresh) return;
    this.heardTyping(false);
    if (!this.view.open) this.count(this.unread + 1);
  }

  private count(n: number): void {
    if (n === this.unread) return;
    this.unread = n;
    this.tell({ t: "unread", n });
  }

  private heardTyping(typing: boolean): void {
    clearTimeout(this.typingTimer);
    this.set({ typing: typing ? Date.now() + typingFor : 0 });
    if (typing) this.typingTimer = setTimeout(() => this.set({ typing: 0 }), typingFor);
  }

  private tellTyping(typing: boolean, preview: string): void {
    const { chat } = this.view;
    if (!chat || chat.status !== "chatting") return;
    if (this.sync.say({ op: "typing", chat: chat.id, typing, preview })) return;
    call(this.caller, "POST", "/v1/visitor/typing", { typing, preview }).catch(() => {
      // It may be lost.
    });
  }
}
