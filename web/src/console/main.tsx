import { render } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { Language, pick } from "../shared/i18n";
import { Agent, AgentStatus } from "../shared/types";
import { Alerts, read, write } from "./alerts";
import { Desk } from "./desk";
import { DeskPage } from "./DeskPage";
import { Login } from "./login";
import { LoginPage, SetupPage } from "./LoginPage";
import { Words, WordsContext } from "./words";

// The agents' console.

const config: { hosts?: string[] } = JSON.parse(document.getElementById("config")!.textContent!);

/** The one-time setup token of the link that the server printed, if this is that link. */
function setupToken(): string {
  return new URLSearchParams(location.hash.slice(1)).get("setup") || "";
}

function Console({ login }: { login: Login }) {
  const [language, setLanguage] = useState<Language>(() => pick([read("language"), navigator.language]));
  const [agent, setAgent] = useState<Agent | null>(login.known ? ({ id: "", site: "", status: "offline" } as Agent) : null);
  const [first, setFirst] = useState<AgentStatus | undefined>(undefined);
  const [expired, setExpired] = useState(false);
  const [setup, setSetup] = useState(setupToken);
  const words = useMemo(() => new Words(language), [language]);

  useEffect(() => {
    document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
    write("language", language);
  }, [language]);

  const entered = (a: Agent) => {
    if (setup) {
      history.replaceState(null, "", location.pathname);
      setSetup("");
    }
    // Who signs in wants to work; who only reloads the page keeps his status.
    setFirst("online");
    setExpired(false);
    setAgent(a);
  };
  const left = (wasExpired: boolean) => {
    login.forget();
    setExpired(wasExpired);
    setAgent(null);
  };

  return (
    <WordsContext.Provider value={words}>
      {setup ? (
        <SetupPage login={login} token={setup} entered={entered} />
      ) : agent ? (
        <Session key={agent.id} login={login} agent={agent} first={first} left={left} setLanguage={setLanguage} words={words} />
      ) : (
        <LoginPage login={login} expired={expired} entered={entered} setLanguage={setLanguage} />
      )}
    </WordsContext.Provider>
  );
}

interface SessionProps {
  login: Login;
  agent: Agent;
  first: AgentStatus | undefined;
  left(expired: boolean): void;
  setLanguage(language: Language): void;
  words: Words;
}

function Session({ login, agent, first, left, setLanguage, words }: SessionProps) {
  const [work, setWork] = useState<{ desk: Desk; alerts: Alerts } | null>(null);
  useEffect(() => {
    let desk: Desk | null = null;
    let over = false;
    void identify(login, agent).then((me) => {
      if (over) return;
      if (!me) return left(true);
      const alerts = new Alerts(words.t("app"));
      desk = new Desk(
        login.caller,
        login.hosts,
        me,
        alerts,
        (view, chat) => words.visitor(chat.visitor, view.visitors[chat.visitor], chat),
        { chat: (name) => words.t("notify.chat", { name }) },
        () => left(true),
      );
      setWork({ desk, alerts });
      void desk.start(first);
    });
    return () => {
      over = true;
      desk?.stop();
    };
  }, []);

  if (!work) return <Connecting />;
  const logout = async () => {
    await work.desk.setStatus("offline");
    work.desk.stop();
    await login.logout().catch(() => {
      // The session ends by itself; this tab has forgotten it.
    });
    left(false);
  };
  return <DeskPage desk={work.desk} alerts={work.alerts} logout={() => void logout()} setLanguage={setLanguage} />;
}

/** Who this session belongs to; asked again until the server answers. Null: to nobody any more. */
async function identify(login: Login, agent: Agent): Promise<Agent | null> {
  if (agent.id) return agent;
  for (;;) {
    try {
      return (await login.me()).agent;
    } catch (e) {
      if ((e as { unauthorized?: boolean }).unauthorized) return null;
      await new Promise((done) => setTimeout(done, 2000));
    }
  }
}

function Connecting() {
  const words = new Words(pick([read("language"), navigator.language]));
  return (
    <main class="entry">
      <p role="status">{words.t("connection.connecting")}</p>
    </main>
  );
}

render(<Console login={new Login(config.hosts || [])} />, document.getElementById("app")!);
