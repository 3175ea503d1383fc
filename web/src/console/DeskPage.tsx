import { useEffect, useState } from "preact/hooks";
import { Language } from "../shared/i18n";
import { useStore } from "../shared/store";
import { AgentStatus } from "../shared/types";
import { Alerts } from "./alerts";
import { ChatView } from "./ChatView";
import { Desk } from "./desk";
import { Details } from "./Details";
import { Sidebar } from "./Sidebar";
import { Visitors } from "./Visitors";
import { useWords } from "./words";

interface DeskProps {
  desk: Desk;
  alerts: Alerts;
  logout(): void;
  setLanguage(language: Language): void;
}

export function DeskPage(props: DeskProps) {
  const { desk } = props;
  const view = useStore(desk.store);
  const words = useWords();
  const { t } = words;
  const { selected, connection, error, notice } = view;

  useEffect(() => {
    const back = () => desk.read();
    document.addEventListener("visibilitychange", back);
    return () => document.removeEventListener("visibilitychange", back);
  }, [desk]);
  useEffect(() => {
    if (!notice) return;
    const timer = setTimeout(() => desk.clear(), 4000);
    return () => clearTimeout(timer);
  }, [notice]);

  const chat = selected.kind === "chat" ? view.chats[selected.id] : undefined;
  const visitor = chat ? chat.visitor : selected.kind === "visitor" ? selected.id : "";
  return (
    <div class="desk">
      <TopBar {...props} />
      <div class="bars">
        <p role="status" class={connection === "online" ? "" : "bar"}>
          {connection !== "online" && t(connection === "offline" ? "connection.offline" : "connection.connecting")}
        </p>
        <div role="alert">
          {error && (
            <p class="bar bad">
              {words.error(error)}{" "}
              <button type="button" class="link" onClick={() => desk.clear()}>
                {t("dismiss")}
              </button>
            </p>
          )}
        </div>
        <p role="status" class={notice ? "bar good" : ""}>
          {notice}
        </p>
        {view.ready && view.me.status !== "online" && (
          <p class="bar">
            {t("chat.away")}{" "}
            <button type="button" class="link" onClick={() => void desk.setStatus("online")}>
              {t("chat.online")}
            </button>
          </p>
        )}
      </div>
      <div class={visitor ? "panes three" : "panes"}>
        <Sidebar desk={desk} view={view} />
        {chat ? <ChatView key={chat.id} desk={desk} view={view} chat={chat} /> : <Visitors desk={desk} view={view} />}
        {visitor && <Details desk={desk} view={view} id={visitor} chat={chat} />}
      </div>
    </div>
  );
}

function TopBar({ desk, alerts, logout, setLanguage }: DeskProps) {
  const { me } = useStore(desk.store);
  const { t, language } = useWords();
  const [sound, setSound] = useState(alerts.sound);
  const [notify, setNotify] = useState(alerts.notify);
  const setNotifications = async (on: boolean) => {
    if (await alerts.setNotify(on)) setNotify(on);
    else {
      setNotify(false);
      desk.notice(t("notify.denied"));
    }
  };
  return (
    <header class="top">
      <h1>Parlor</h1>
      <span class="site">{me.site}</span>
      <label class={"status " + me.status}>
        <span class="hidden">{t("status")}</span>
        <i aria-hidden="true" />
        <select value={me.status} onChange={(e) => void desk.setStatus(e.currentTarget.value as AgentStatus)}>
          {(["online", "away", "offline"] as const).map((s) => (
            <option key={s} value={s}>
              {t(`status.${s}`)}
            </option>
          ))}
        </select>
      </label>
      <span class="space" />
      <label class="toggle">
        <input
          type="checkbox"
          checked={sound}
          onChange={(e) => {
            alerts.setSound(e.currentTarget.checked);
            setSound(e.currentTarget.checked);
          }}
        />
        {t("sound")}
      </label>
      <label class="toggle">
        <input type="checkbox" checked={notify} onChange={(e) => void setNotifications(e.currentTarget.checked)} />
        {t("notify")}
      </label>
      <button type="button" class="quiet" lang={language === "zh" ? "en" : "zh"} onClick={() => setLanguage(language === "zh" ? "en" : "zh")}>
        {language === "zh" ? "English" : "中文"}
      </button>
      <span class="me">{me.name || me.id}</span>
      <button type="button" class="quiet" onClick={logout}>
        {t("logout")}
      </button>
    </header>
  );
}
