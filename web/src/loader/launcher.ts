import { color, textOn } from "../shared/color";
import { Campaign, Invitation } from "../shared/types";
import { Translate } from "../shared/i18n";
import css from "./launcher.css";
import type en from "../i18n/loader.en.json";

/** What is drawn. */
export interface View {
  campaign: Campaign;
  online: boolean;
  open: boolean;
  unread: number;
}

export interface Launcher {
  draw(view: View): void;
  focus(open: boolean): void;
  /** Puts the window's frame in place, instead of one that was there. */
  place(frame: HTMLIFrameElement): void;
  invite(invitation: Invitation, answer: (accepted: boolean) => void): void;
}

const bubbleIcon = "M4 4h16v12H9l-5 5z";
const crossIcon = "M6 6l12 12M18 6L6 18";

/** The button, the invitation and the frame, in a closed shadow root on the page. */
export function launcher(t: Translate<keyof typeof en>, toggle: () => void): Launcher {
  const make = <K extends keyof HTMLElementTagNameMap>(tag: K, name = "", text = ""): HTMLElementTagNameMap[K] => {
    const e = document.createElement(tag);
    e.className = name;
    e.textContent = text;
    return e;
  };
  const draw = (tag: string) => document.createElementNS("http://www.w3.org/2000/svg", tag);

  const host = make("div");
  const root = host.attachShadow({ mode: "closed" });
  const button = make("button", "b");
  const label = make("span");
  const badge = make("span", "n");
  const bubble = make("div", "a i");
  const icon = draw("svg");
  const path = draw("path");
  let frame: HTMLIFrameElement | undefined;

  host.id = "parlor";
  icon.setAttribute("viewBox", "0 0 24 24");
  icon.append(path);
  button.append(icon, label, badge);
  button.onclick = toggle;
  bubble.hidden = true;
  // A constructed sheet passes the page's policy even where that forbids inline styles.
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  root.adoptedStyleSheets = [sheet];
  root.append(bubble, button);

  return {
    draw({ campaign, online, open, unread }) {
      const { text = "", color: wanted, position = "" } = campaign.button || {};
      const back = color(wanted);
      host.style.setProperty("--c", back);
      host.style.setProperty("--t", textOn(back));
      host.className = position;
      button.className = "b" + (open ? " open" : online ? " on" : "");
      label.textContent = open ? "" : text;
      path.setAttribute("d", open ? crossIcon : bubbleIcon);
      badge.textContent = unread > 99 ? "99+" : unread ? unread + "" : "";
      button.setAttribute("aria-label", (open ? t("close") : text || t("open")) + (unread ? ` (${t("unread", { n: unread })})` : ""));
      button.setAttribute("aria-expanded", open + "");
      if (frame) frame.className = open ? "a open" : "a";
      if (open) bubble.hidden = true;
      if (!host.isConnected) document.body.append(host);
    },

    focus(open) {
      if (!open) button.focus();
      else if (frame) frame.focus();
    },

    place(next) {
      next.className = frame ? frame.className : "a";
      frame?.remove();
      frame = next;
      frame.title = t("frame");
      root.append(frame);
    },

    invite(invitation, answer) {
      const text = make("p");
      text.setAttribute("role", "status");
      const choice = (accepted: boolean) => {
        const b = make("button", accepted ? "yes" : "no", t(accepted ? "accept" : "refuse"));
        b.onclick = () => {
          bubble.hidden = true;
          answer(accepted);
        };
        return b;
      };
      bubble.replaceChildren(text, choice(true), choice(false));
      bubble.hidden = false;
      // Text that enters a status that is there already is read out.
      setTimeout(() => (text.textContent = invitation.text), 50);
    },
  };
}
