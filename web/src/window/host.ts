import { call, Caller } from "../shared/call";
import { Hosts } from "../shared/hosts";
import { hello, Init, ToLoader, ToWindow } from "../shared/bridge";
import { Campaign, PageAnswer } from "../shared/types";

/** Who started the window: the loader on a customer's page, or nobody (a plain link to it). */
export interface Host {
  tell(message: ToLoader): void;
}

/**
 * Waits for the loader to hand over the visitor. Only the parent is listened to,
 * only from the origin that the frame's URL names, and only once; everything
 * else goes through the channel that it hands over.
 */
export function fromLoader(started: (init: Init) => void, on: (message: ToWindow) => void): Host {
  const origin = new URLSearchParams(location.search).get("o");
  let port: MessagePort | undefined;
  addEventListener("message", (event) => {
    if (port || event.source !== window.parent || event.origin !== origin || event.data !== hello || !event.ports[0]) return;
    port = event.ports[0];
    port.onmessage = (e: MessageEvent<ToWindow>) => {
      if (e.data.t === "init") started(e.data);
      else on(e.data);
    };
    port.postMessage({ t: "ready" });
  });
  return { tell: (message) => port?.postMessage(message) };
}

/** Starts the window without a loader: it visits the site itself. */
export async function alone(site: string): Promise<Init> {
  const hosts = new Hosts([location.origin]);
  const key = "parlor:" + site;
  const caller: Caller = { hosts, token: () => localStorage.getItem(key) };
  const body = {
    site,
    url: location.href,
    title: document.title,
    referrer: document.referrer,
    language: navigator.language,
    screen: screen.width + "x" + screen.height,
    time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
  };
  const answer = await call<PageAnswer>(caller, "POST", "/v1/visitor/page", body);
  localStorage.setItem(key, answer.token);
  hosts.add(answer.hosts);
  const campaign = await call<Campaign>(caller, "GET", `/v1/campaigns/${answer.campaign}?site=${site}`);
  return {
    token: answer.token,
    hosts: hosts.all,
    cursor: { epoch: answer.epoch, seq: answer.seq },
    campaign: { ...campaign, id: answer.campaign },
    visitor: answer.visitor.id,
    language: new URLSearchParams(location.search).get("lang") || campaign.language || navigator.language,
    open: true,
  };
}
