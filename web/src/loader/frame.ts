import { Hosts } from "../shared/hosts";
import { Init, ToLoader, ToWindow, hello } from "../shared/bridge";

/**
 * Loads the window in an iframe; answers how to tell it something. The frame comes
 * from one of the hosts; when that does not say "ready" in time, from the next.
 * Only the page that this host served gets the channel: it is addressed to the
 * host's origin.
 */
export function openFrame(site: string, hosts: Hosts, place: (frame: HTMLIFrameElement) => void, init: () => Init, heard: (message: ToLoader) => void): (message: ToWindow) => void {
  let port: MessagePort | undefined;

  function load(): void {
    const host = hosts.current;
    const frame = document.createElement("iframe");
    const timer = setTimeout(() => {
      hosts.next(host);
      load();
    }, 5000);
    frame.src = `${host}/w/${site}/window?o=${encodeURIComponent(location.origin)}`;
    frame.onload = () => {
      const { port1, port2 } = new MessageChannel();
      port = undefined;
      port1.onmessage = (e) => {
        const message: ToLoader = e.data;
        if (message.t !== "ready") return heard(message);
        clearTimeout(timer);
        port = port1;
        port.postMessage({ t: "init", ...init() });
      };
      frame.contentWindow!.postMessage(hello, host, [port2]);
    };
    place(frame);
  }

  load();
  return (message) => port?.postMessage(message);
}
