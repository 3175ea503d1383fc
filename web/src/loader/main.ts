import { ApiError, call } from "../shared/call";
import { Backoff } from "../shared/backoff";
import { Hosts } from "../shared/hosts";
import { pick, translator } from "../shared/i18n";
import { Chat, Cursor, Frame, Invitation, PageAnswer } from "../shared/types";
import { ToLoader, ToWindow } from "../shared/bridge";
import { openFrame } from "./frame";
import { Launcher, View, launcher } from "./launcher";
import { onNavigate, storage } from "./page";
import { follow } from "./watch";
import en from "../i18n/loader.en.json";
import zh from "../i18n/loader.zh.json";

// The loader: what a customer's page runs. It is the only part of Parlor there,
// so it is small, makes one global, Parlor, and touches nothing else.

type Listener = (value: unknown) => void;
type Variables = Record<string, string | number | boolean>;

/** The global before the loader came (the snippet's stub) and afterwards. */
interface Global {
  (...args: any[]): unknown;
  q?: ArrayLike<any>[];
  site?: string;
  hosts?: string[];
  language?: string;
  loaded?: boolean;
}

interface PageOptions {
  url?: string;
  title?: string;
  referrer?: string;
}

// The server puts the site's configuration in place of the text.
const config: { site: string; hosts: string[] } = "@parlor-config" as any;
const script = (document.currentScript || document.createElement("script")) as HTMLScriptElement;
const before: Partial<Global> = (window as any).Parlor || {};
if (!before.loaded) boot();

function boot(): void {
  const site = config.site;
  const hosts = new Hosts([new URL(script.src || location.href).origin]);
  hosts.add(script.dataset.hosts?.split(/[\s,]+/));
  hosts.add(before.hosts);
  hosts.add(config.hosts);

  const token = storage("localStorage", "parlor:" + site);
  const stayOpen = storage("sessionStorage", "parlor-open:" + site);
  const caller = { hosts, token };
  const listeners: Record<string, Listener[]> = {};
  const view: View = { campaign: { id: "" }, online: false, open: false, unread: 0 };

  let cursor: Cursor | undefined;
  let visitor: string;
  let chatting = false;
  let language: string;
  let drawn: Launcher | undefined;
  let tell: ((message: ToWindow) => void) | undefined;
  let stopFollowing: (() => void) | undefined;
  let url = "";
  let timer: number;
  let invited: string;

  function emit(event: string, value?: unknown): void {
    for (const fn of listeners[event] || []) {
      try {
        fn(value);
      } catch (e) {
        // The page's own mistake must not stop the chat, nor be hidden.
        console.error(e);
      }
    }
  }

  const ongoing = (chat: Chat | null) => !!chat && chat.status !== "ended";
  const report = (e: unknown) => emit("error", e);
  const redraw = () => drawn?.draw(view);

  /** Tells the server about a page view and acts on its decisions. */
  async function page(options: PageOptions = {}): Promise<void> {
    const body = {
      site,
      url: options.url || location.href,
      title: options.title || document.title,
      referrer: options.referrer || url || document.referrer,
      language: navigator.language,
      screen: screen.width + "x" + screen.height,
      time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    };
    url = body.url;
    const post = () => call<PageAnswer>(caller, "POST", "/v1/visitor/page", body);
    const answer = await post().catch((e: ApiError) => {
      if (!e.unauthorized || !token()) throw e;
      // A token of another group, or too old: start as somebody new.
      token("");
      return post();
    });
    token(answer.token);
    hosts.add(answer.hosts);
    visitor = answer.visitor.id;
    chatting = ongoing(answer.chat);
    // Who follows the stream already knows better where it is.
    cursor = cursor || { epoch: answer.epoch, seq: answer.seq };
    await decide(answer);
    if (!tell && !stopFollowing) {
      stopFollowing = follow(caller, cursor, () => chatting, heard, (e) => e.unauthorized && renew());
    }
  }

  /** Acts on what the rules decided. */
  async function decide(answer: Partial<PageAnswer>): Promise<void> {
    const id = answer.campaign;
    if (id && id !== view.campaign.id) {
      view.campaign = { ...(await call<{}>(caller, "GET", `/v1/campaigns/${id}?site=${site}`)), id };
      emit("campaign", id);
      tell?.({ t: "campaign", campaign: view.campaign });
    }
    if (!drawn) {
      language = pick([script.dataset.language, before.language, view.campaign.language, document.documentElement.lang, navigator.language]);
      drawn = launcher(translator(language === "zh" ? zh : en, view.campaign.texts), () => show(!view.open));
    }
    view.online = answer.availability === "online";
    redraw();
    if (answer.invitation) invite(answer.invitation);
  }

  function heard(frames: Frame[]): void {
    for (const { type, data = {} } of frames) {
      if (type === "message.created" && data.from.type !== "visitor") count(view.unread + 1);
      if (type === "invitation.sent") invite(data);
      if (data.chat) chatting = ongoing(data.chat);
    }
  }

  function count(n: number): void {
    view.unread = n;
    redraw();
    emit("unread", n);
  }

  function invite(invitation: Invitation): void {
    // A decision and the stream may both bring it.
    if (invitation.id === invited) return;
    invited = invitation.id;
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (view.open || chatting) return;
      drawn!.invite(invitation, (accepted) => {
        call(caller, "POST", "/v1/visitor/invitation", { id: invitation.id, accepted }).catch(report);
        if (accepted) show(true);
      });
      emit("invitation", invitation);
    }, (invitation.delay_s || 0) * 1000);
  }

  function show(open: boolean): void {
    if (!drawn || open === view.open) return;
    view.open = open;
    stayOpen(open ? "1" : "");
    if (open) count(0);
    if (tell) tell({ t: "visible", open });
    else if (open) {
      stopFollowing?.();
      tell = openFrame(site, hosts, drawn.place, () => ({ token: token(), hosts: hosts.all, cursor: cursor!, campaign: view.campaign, visitor, language, open: view.open }), told);
    }
    redraw();
    drawn.focus(open);
    emit(open ? "open" : "close");
  }

  function told(m: ToLoader): void {
    if (m.t === "close") show(false);
    else if (m.t === "unread") count(m.n);
    else if (m.t === "invitation") invite(m.invitation);
    else if (m.t === "renew") renew();
    else if (m.t === "status") {
      chatting = m.status === "chatting" || m.status === "waiting";
      emit("status", m.status);
    }
  }

  /** Gets another token: the page's address is what we have, so it is told again. */
  function renew(): void {
    page({ url }).then(() => tell?.({ t: "token", token: token() }), report);
  }

  const commands: Record<string, (...args: any[]) => unknown> = {
    page,
    set: async (variables: Variables) => decide(await call(caller, "PUT", "/v1/visitor/variables", variables)),
    open: () => show(true),
    close: () => show(false),
  };

  // Calls run one after the other, behind the first page view.
  let chain: Promise<unknown> = Promise.resolve();
  function enqueue(fn: () => unknown): Promise<unknown> {
    const done = chain.then(fn);
    // Whoever does not look at the promise hears of failures by the event.
    chain = done.catch(report);
    return done;
  }

  const api: Global = (name: string, ...args: any[]) => {
    const list = listeners[args[0]] || [];
    if (name === "on") listeners[args[0]] = list.concat(args[1]);
    else if (name === "off") listeners[args[0]] = list.filter((fn) => fn !== args[1]);
    else if (commands[name]) return enqueue(() => commands[name](...args));
    else console.error("Parlor has no command", name);
  };
  api.loaded = true;
  (window as any).Parlor = api;

  /** The first page view: asked for until a node answers. */
  async function begin(options?: PageOptions): Promise<void> {
    const backoff = new Backoff();
    for (;;) {
      try {
        await page(options);
        break;
      } catch (e) {
        // What is refused for good (no such site) is not asked again.
        if (!(e as ApiError).temporary) throw e;
        report(e);
        await new Promise((done) => setTimeout(done, backoff.next()));
      }
    }
    emit("ready", { visitor });
    // A chat that stood open goes on on the next page; a phone's screen is not taken without being asked.
    if (stayOpen() && chatting && innerWidth > 480) show(true);
    onNavigate(() => enqueue(() => location.href !== url && page()));
  }

  function start(): void {
    const calls = Array.from(before.q || [], (args) => Array.from(args));
    // A page call of the page's own comes instead of the automatic one: it knows better.
    const first = calls.findIndex((args) => args[0] === "page");
    const [, options] = first < 0 ? [] : calls.splice(first, 1)[0];
    enqueue(() => begin(options));
    for (const args of calls) api(...args);
  }
  if (document.body) start();
  else addEventListener("DOMContentLoaded", start);
}
