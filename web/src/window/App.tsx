import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { color, textOn } from "../shared/color";
import { translator } from "../shared/i18n";
import { useStore } from "../shared/store";
import { Connection } from "../shared/sync";
import { Clock } from "../shared/time";
import { Articles } from "./Articles";
import { Conversation } from "./Conversation";
import { EndDialog } from "./EndDialog";
import { Form } from "./Form";
import { Session } from "./session";
import { Texts, useWords, Words, WordsContext } from "./texts";

export function App({ session, texts, framed }: { session: Session; texts: Texts; framed: boolean }) {
  const view = useStore(session.store);
  const { campaign } = view;
  const words = useMemo<Words>(() => {
    const t = translator(texts.catalog, campaign.texts);
    return { t, clock: new Clock(texts.language, { today: t("today"), yesterday: t("yesterday") }) };
  }, [campaign, texts]);

  useEffect(() => {
    const back = color(campaign.window?.color || campaign.button?.color);
    document.documentElement.style.setProperty("--brand", back);
    document.documentElement.style.setProperty("--on-brand", textOn(back));
  }, [campaign]);

  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      if (e.key === "Escape" && !e.defaultPrevented && framed && !document.querySelector("dialog[open]")) session.close();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [session, framed]);

  return (
    <WordsContext.Provider value={words}>
      <Frame session={session} framed={framed} />
    </WordsContext.Provider>
  );
}

function Frame({ session, framed }: { session: Session; framed: boolean }) {
  const view = useStore(session.store);
  const { t } = useWords();
  const [ending, setEnding] = useState(false);
  const { campaign, phase, connection } = view;
  const title = campaign.window?.title || t("title");
  const chatting = phase === "chat";
  const lost = useSettled(connection) !== "online" && chatting;

  return (
    <div class="window">
      <header>
        <div class="who">
          <h1>{title}</h1>
          {chatting && <p>{view.agent ? t("chat.agent", { name: view.agent }) : t("chat.connecting")}</p>}
        </div>
        {chatting && (
          <button type="button" class="head" onClick={() => setEnding(true)}>
            {t("menu.end")}
          </button>
        )}
        {framed && (
          <button type="button" class="head icon" aria-label={t("close")} onClick={() => session.close()}>
            <svg viewBox="0 0 24 24" aria-hidden="true">
              <path d="M6 6l12 12M18 6L6 18" />
            </svg>
          </button>
        )}
      </header>
      <p class={lost ? "bar on" : "bar"} role="status">
        {lost && t(connection === "offline" ? "connection.offline" : "connection.connecting")}
      </p>
      <Body session={session} />
      {ending && chatting && (
        <EndDialog
          close={() => setEnding(false)}
          end={() => {
            setEnding(false);
            void session.end();
          }}
        />
      )}
    </div>
  );
}

function Body({ session }: { session: Session }) {
  const view = useStore(session.store);
  const { t } = useWords();
  const { campaign, phase, error } = view;
  switch (phase) {
    case "loading":
      return (
        <main class="page center" aria-busy="true">
          <p>{t("loading")}</p>
        </main>
      );
    case "failed":
      return (
        <main class="page center">
          <p role="alert">{t("failed")}</p>
          <button type="button" class="main" onClick={() => void session.begin()}>
            {t("again")}
          </button>
        </main>
      );
    case "kb":
      return <Articles articles={view.articles} greeting={campaign.window?.greeting || t("greeting")} start={() => session.proceed()} />;
    case "prechat":
      return (
        <main class="page">
          <h2>{campaign.window?.greeting || t("greeting")}</h2>
          {view.form.length > 0 && <p>{t("prechat.intro")}</p>}
          <Form key="prechat" fields={view.form} submit={t("prechat.start")} busy={view.busy} error={error} send={(v) => void session.request(v)} />
        </main>
      );
    case "offline": {
      const fields = view.form.length
        ? view.form
        : [
            { id: "name", type: "text" as const, label: t("offline.name") },
            { id: "email", type: "email" as const, label: t("offline.email"), required: true },
            { id: "message", type: "textarea" as const, label: t("offline.message"), required: true },
          ];
      return (
        <main class="page">
          <h2>{t("offline.title")}</h2>
          <p>{campaign.offline?.text || t("offline.text")}</p>
          <Form key="offline" fields={fields} submit={t("offline.send")} busy={view.busy} error={error} send={(v) => void session.request(v)} />
        </main>
      );
    }
    case "offline-sent":
      return <Done title={t("offline.sent.title")} text={t("offline.sent")} />;
    case "chat":
    case "ended":
      return <Conversation session={session} />;
  }
}

function Done({ title, text }: { title: string; text: string }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <main class="page center">
      <h2 ref={heading} tabIndex={-1}>
        {title}
      </h2>
      <p>{text}</p>
    </main>
  );
}

/** The connection; a loss shows only when it has lasted a moment: a short one is not worth a line on the screen. */
function useSettled(connection: Connection): Connection {
  const [settled, set] = useState<Connection>("online");
  useEffect(() => {
    const timer = setTimeout(() => set(connection), connection === "online" ? 0 : 1500);
    return () => clearTimeout(timer);
  }, [connection]);
  return settled;
}
