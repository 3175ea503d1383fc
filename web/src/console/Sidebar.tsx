import { Chat } from "../shared/types";
import { Desk, View } from "./desk";
import { useWords } from "./words";

/** The agent's chats, who waits, and the way to the visitors. */
export function Sidebar({ desk, view }: { desk: Desk; view: View }) {
  const { t } = useWords();
  const chats = Object.values(view.chats);
  const mine = chats.filter((c) => c.agent === view.me.id && c.status !== "waiting").sort((a, b) => (a.assigned_at || 0) - (b.assigned_at || 0));
  const waiting = chats.filter((c) => c.status === "waiting").sort((a, b) => (b.priority ?? 2) - (a.priority ?? 2) || a.created_at - b.created_at);
  return (
    <nav class="side">
      <button type="button" class="all" aria-current={view.selected.kind !== "chat"} onClick={() => desk.select({ kind: "visitors" })}>
        {t("visitors")} <b class="count">{Object.keys(view.visitors).length}</b>
      </button>
      <h2 id="side-mine">
        {t("mine")} <b class="count">{mine.length}</b>
      </h2>
      {mine.length === 0 && <p class="soft">{t("mine.none")}</p>}
      <ul aria-labelledby="side-mine">
        {mine.map((c) => (
          <li key={c.id}>
            <Mine desk={desk} view={view} chat={c} />
          </li>
        ))}
      </ul>
      <h2 id="side-queue">
        {t("queue")} <b class={waiting.length ? "count hot" : "count"}>{waiting.length}</b>
      </h2>
      {waiting.length === 0 && <p class="soft">{t("queue.none")}</p>}
      <ul aria-labelledby="side-queue">
        {waiting.map((c) => (
          <li key={c.id} class="waits">
            <Waiting desk={desk} view={view} chat={c} />
          </li>
        ))}
      </ul>
    </nav>
  );
}

function Mine({ desk, view, chat }: { desk: Desk; view: View; chat: Chat }) {
  const words = useWords();
  const { t, clock } = words;
  const n = desk.unread(chat);
  const list = view.messages[chat.id] || [];
  const last = list[list.length - 1];
  const typing = view.typing[chat.id];
  const isNew = chat.status === "chatting" && !chat.accepted_at;
  return (
    <button type="button" class={`chat ${isNew ? "new" : ""} ${chat.status}`} aria-current={view.selected.kind === "chat" && view.selected.id === chat.id} onClick={() => desk.select({ kind: "chat", id: chat.id })}>
      <span class="row">
        <b>{words.visitor(chat.visitor, view.visitors[chat.visitor], chat)}</b>
        {last && <time>{clock.time(last.at)}</time>}
      </span>
      <span class="row">
        <span class="last">{chat.status === "ended" ? t("state.ended") : typing ? t("chat.typing.short") : last ? last.text : isNew ? t("chat.assigned") : ""}</span>
        {n > 0 && (
          <b class="count hot">
            {n}
            <span class="hidden"> {t("unread", { n: "" })}</span>
          </b>
        )}
      </span>
    </button>
  );
}

function Waiting({ desk, view, chat }: { desk: Desk; view: View; chat: Chat }) {
  const words = useWords();
  const { t, clock } = words;
  const department = view.departments[chat.department || ""];
  return (
    <>
      <span class="grow">
        <b>{words.visitor(chat.visitor, view.visitors[chat.visitor], chat)}</b>
        <span class="last">
          {department?.name || chat.department} · {clock.time(chat.created_at)}
        </span>
      </span>
      <button type="button" onClick={() => void desk.pull(chat.id)}>
        {t("queue.take")}
      </button>
    </>
  );
}
