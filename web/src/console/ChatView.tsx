import { Fragment } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Text } from "../shared/Text";
import { useComposer } from "../shared/composer";
import { Entry } from "../shared/outbox";
import { Chat, Message } from "../shared/types";
import { Desk, View } from "./desk";
import { EndDialog, TransferDialog } from "./dialogs";
import { useWords } from "./words";

/** One chat: its messages, what the visitor is typing, and what the agent can do. */
export function ChatView({ desk, view, chat }: { desk: Desk; view: View; chat: Chat }) {
  const words = useWords();
  const { t } = words;
  const [dialog, setDialog] = useState<"" | "transfer" | "end">("");
  const name = words.visitor(chat.visitor, view.visitors[chat.visitor], chat);
  const going = chat.status === "chatting";
  const department = view.departments[chat.department || ""];
  return (
    <main class="middle conversation">
      <header>
        <div class="grow">
          <h2>{name}</h2>
          <p class="soft">
            {t(`state.${chat.status}`)}
            {chat.department && " · " + (department?.name || chat.department)}
          </p>
        </div>
        {going ? (
          <>
            <button type="button" onClick={() => setDialog("transfer")}>
              {t("chat.transfer")}
            </button>
            <button type="button" onClick={() => setDialog("end")}>
              {t("chat.end")}
            </button>
          </>
        ) : (
          <button type="button" onClick={() => desk.dismiss(chat.id)}>
            {t("chat.close")}
          </button>
        )}
      </header>
      {going && !chat.accepted_at && (
        <p class="offer">
          {t("chat.assigned")}{" "}
          <button type="button" class="main" onClick={() => void desk.accept(chat.id)}>
            {t("chat.accept")}
          </button>
        </p>
      )}
      <Log desk={desk} view={view} chat={chat} name={name} />
      {going ? <Composer desk={desk} chat={chat} /> : <p class="over">{t("chat.ended")}</p>}
      {dialog === "transfer" && <TransferDialog desk={desk} view={view} chat={chat} close={() => setDialog("")} />}
      {dialog === "end" && <EndDialog desk={desk} chat={chat} close={() => setDialog("")} />}
    </main>
  );
}

function Log({ desk, view, chat, name }: { desk: Desk; view: View; chat: Chat; name: string }) {
  const { t, clock } = useWords();
  const log = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const messages = view.messages[chat.id];
  const pending = view.outbox.filter((e) => e.chat === chat.id);
  const typing = view.typing[chat.id];
  const list = messages || [];

  useLayoutEffect(() => {
    const e = log.current!;
    if (atEnd.current || pending.length) e.scrollTop = e.scrollHeight;
  }, [list.length, pending.length, typing?.preview]);

  const scrolled = () => {
    const e = log.current!;
    atEnd.current = e.scrollHeight - e.scrollTop - e.clientHeight < 40;
  };

  return (
    <div class="log" ref={log} onScroll={scrolled} role="log" aria-live="polite" aria-label={t("chat.log")} tabIndex={0}>
      {!messages && <p class="soft">{t("chat.loading")}</p>}
      {list.map((m, i) => (
        <Fragment key={m.seq}>
          {(i === 0 || !clock.sameDay(list[i - 1].at, m.at)) && <p class="day">{clock.day(m.at)}</p>}
          <Line view={view} m={m} visitor={name} />
        </Fragment>
      ))}
      {pending.map((e) => (
        <Pending key={e.client_id} entry={e} desk={desk} />
      ))}
      {typing && (
        <p class="preview">
          <b>{name}</b> {typing.preview ? t("chat.typing") : t("chat.typing.short")} <span>{typing.preview}</span>
        </p>
      )}
    </div>
  );
}

function Line({ view, m, visitor }: { view: View; m: Message; visitor: string }) {
  const { t, clock } = useWords();
  if (m.from.type === "system") {
    return (
      <p class="day">
        <Text text={m.text} />
      </p>
    );
  }
  const theirs = m.from.type === "visitor";
  const name = theirs ? visitor : m.from.type === "bot" ? t("chat.bot") : m.from.id === view.me.id ? t("chat.you") : m.from.name || view.agents[m.from.id]?.name || m.from.id;
  return (
    <div class={theirs ? "line" : "line mine"}>
      <span class="name">
        {name} <time title={clock.full(m.at)}>{clock.time(m.at)}</time>
      </span>
      <div class="bubble">
        <Text text={m.text} />
      </div>
    </div>
  );
}

function Pending({ entry, desk }: { entry: Entry; desk: Desk }) {
  const { t } = useWords();
  return (
    <div class={"line mine " + entry.state}>
      <div class="bubble">
        <Text text={entry.text} />
      </div>
      <span class="name">
        {entry.state === "failed" ? (
          <>
            {t(entry.code === "message_too_large" ? "chat.long" : "chat.failed")}{" "}
            <button type="button" class="link" onClick={() => desk.resend(entry.client_id)}>
              {t("chat.retry")}
            </button>{" "}
            <button type="button" class="link" onClick={() => desk.discard(entry.client_id)}>
              {t("chat.discard")}
            </button>
          </>
        ) : (
          t(entry.state === "sending" ? "chat.sending" : "chat.waiting")
        )}
      </span>
    </div>
  );
}

function Composer({ desk, chat }: { desk: Desk; chat: Chat }) {
  const { t } = useWords();
  const { input, text, setText, long, send, onKey } = useComposer((said) => desk.send(chat, said));
  useEffect(() => input.current?.focus(), []);
  return (
    <form class="composer" onSubmit={send}>
      {long && (
        <p class="wrong" role="alert">
          {t("chat.long")}
        </p>
      )}
      <textarea
        ref={input}
        rows={3}
        value={text}
        aria-label={t("chat.write")}
        placeholder={t("chat.write")}
        aria-invalid={long}
        onInput={(e) => {
          setText(e.currentTarget.value);
          desk.input(chat.id, e.currentTarget.value);
        }}
        onKeyDown={onKey}
      />
      <button type="submit" class="main" aria-disabled={!text.trim() || long}>
        {t("chat.send")}
      </button>
    </form>
  );
}
