import { render } from "preact";
import { Init } from "../shared/bridge";
import { pick, translator } from "../shared/i18n";
import { alone, fromLoader, Host } from "./host";
import { Session } from "./session";
import { App } from "./App";
import { Texts } from "./texts";
import en from "../i18n/window.en.json";
import zh from "../i18n/window.zh.json";

// The chat window, in the iframe that the loader makes (or opened as a page of its own).

const root = document.getElementById("app")!;
const config: { site: string } = JSON.parse(document.getElementById("config")!.textContent!);

function start(host: Host, init: Init): Session {
  const language = pick([init.language]);
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  const texts: Texts = { language, catalog: language === "zh" ? zh : en };
  const session = new Session(init, (m) => host.tell(m));
  document.title = init.campaign.window?.title || translator(texts.catalog)("title");
  render(<App session={session} texts={texts} framed={window.parent !== window} />, root);
  return session;
}

if (window.parent !== window) {
  let session: Session | undefined;
  const host = fromLoader(
    (init) => {
      session = start(host, init);
    },
    (m) => {
      if (m.t === "visible") session?.visible(m.open);
      else if (m.t === "token") session?.renewed(m.token);
      else if (m.t === "campaign") session?.setCampaign(m.campaign);
    },
  );
} else {
  const fail = () => {
    const t = translator(pick([navigator.language]) === "zh" ? zh : en);
    root.textContent = t("failed");
  };
  alone(config.site).then((init) => start({ tell() {} }, init), fail);
}
