import { Fragment } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Text } from "../shared/Text";
import { useComposer } from "../shared/composer";
import { useStore } from "../shared/store";
import { Entry } from "../shared/outbox";
import { Message } from "../shared/types";
import { Note, Session, View } from "./session";
import { useWords } from "./texts";

/** The chat itself, waiting, going on or over. */
export function Conversation({ session }: { session: Session }) {
  const view = useStore(session.store);
  const { t } = useWords();
  const waiting = view.phase === "chat" && view.chat?.status === "waiting";
  return (
    <main class="chat">
      <Log session={session} view={view} />
      {waiting && (
        <div class="queue" role="status">
          <b>{t("waiting.title")}</b>
          {view.position > 0 && <span>{view.position === 1 ? t("waiting.next") : t("waiting.position", { n: view.position })}</span>}
          <span>{t("waiting.text")}</span>
        </div>
      )}
      {view.phase === "ended" ? <Ended again={() => void session.begin()} /> : <Composer session={session} open={view.open} />}
    </main>
  );
}

function Log({ session, view }: { session: Session; view: View }) {
  const { t, clock } = useWords();
  const log = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const [below, setBelow] = useState(false);
  const { messages, notes, outbox, campaign } = view;
  const pending = outbox.filter((e) => e.chat === view.chat?.id);
  const last = messages[messages.length - 1];
  const lastSeq = last ? last.seq : 0;

  const toEnd = () => {
    const e = log.current!;
    e.scrollTop = e.scrollHeight;
    setBelow(false);
  };

  // New lines scroll into view for who reads the end; who reads older ones is told.
  useLayoutEffect(() => {
    if (atEnd.current || pending.length) toEnd();
    else setBelow(true);
  }, [lastSeq, notes.length, pending.length]);
  useLayoutEffect(() => {
    if (atEnd.current) toEnd();
  }, [view.typing > 0, view.open, view.phase]);

  const scrolled = () => {
    const e = log.current!;
    atEnd.current = e.scrollHeight - e.scrollTop - e.clientHeight < 40;
    if (atEnd.current) setBelow(false);
  };

  return (
    <div class="scroll">
      <div class="log" ref={log} onScroll={scrolled} role="log" aria-live="polite" aria-label={t("chat.log")} tabIndex={0}>
        <p class="greeting">{campaign.window?.greeting || t("greeting")}</p>
        <Notes notes={notes} after={0} />
        {messages.map((m, i) => (
          <Fragment key={m.seq}>
            {(i === 0 || !clock.sameDay(messages[i - 1].at, m.at)) && <p class="day">{clock.day(m.at)}</p>}
            <Line m={m} first={i === 0 || messages[i - 1].from.type !== m.from.type || messages[i - 1].from.id !== m.from.id} agent={view.agent} />
            <Notes notes={notes} after={m.seq} />
          </Fragment>
        ))}
        {pending.map((e) => (
          <Pending key={e.client_id} entry={e} session={session} />
        ))}
        {view.typing > 0 && (
          <p class="typing">
            <span class="hidden">{t("chat.typing", { name: view.agent || t("chat.support") })}</span>
            <i />
            <i />
            <i />
          </p>
        )}
      </div>
      {below && (
        <button type="button" class="below" onClick={toEnd}>
          {t("chat.new")} ↓
        </button>
      )}
    </div>
  );
}

function Notes({ notes, after }: { notes: Note[]; after: number }) {
  const { t } = useWords();
  return (
    <>
      {notes
        .filter((n) => n.after === after)
        .map((n, i) => (
          <p class="note" key={"n" + i}>
            {t(n.key, { name: n.name })}
          </p>
        ))}
    </>
  );
}

function Line({ m, first, agent }: { m: Message; first: boolean; agent: string }) {
  const { t, clock } = useWords();
  if (m.from.type === "system") {
    return (
      <p class="note">
        <Text text={m.text} />
      </p>
    );
  }
  const mine = m.from.type === "visitor";
  const name = mine ? t("chat.you") : m.from.name || agent || t("chat.support");
  return (
    <div class={mine ? "line mine" : "line"}>
      {first && <span class={mine ? "name hidden" : "name"}>{name}</span>}
      <div class="bubble">
        <Text text={m.text} />
      </div>
      <time dateTime={new Date(m.at).toISOString()} title={clock.full(m.at)}>
        {clock.time(m.at)}
      </time>
    </div>
  );
}

function Pending({ entry, session }: { entry: Entry; session: Session }) {
  const { t } = useWords();
  return (
    <div class={"line mine " + entry.state}>
      <div class="bubble">
        <Text text={entry.text} />
      </div>
      {entry.state === "failed" ? (
        <span class="state">
          {t(entry.code === "message_too_large" ? "chat.long" : "chat.failed")}{" "}
          <button type="button" class="link" onClick={() => session.retry(entry.client_id)}>
            {t("chat.retry")}
          </button>
          <button type="button" class="link" onClick={() => session.discard(entry.client_id)}>
            {t("chat.discard")}
          </button>
        </span>
      ) : (
        <span class="state">{t(entry.state === "sending" ? "chat.sending" : "chat.waiting")}</span>
      )}
    </div>
  );
}

function Composer({ session, open }: { session: Session; open: boolean }) {
  const { t } = useWords();
  const { input, text, setText, long, send, onKey } = useComposer((said) => session.send(said));

  useEffect(() => {
    if (open) input.current?.focus({ preventScroll: true });
  }, [open]);
  useLayoutEffect(() => {
    const e = input.current!;
    e.style.height = "auto";
    e.style.height = Math.min(e.scrollHeight, 120) + "px";
  }, [text]);

  return (
    <form class="composer" onSubmit={send}>
      {long && (
        <p class="wrong" role="alert">
          {t("chat.long")}
        </p>
      )}
      <textarea
        ref={input}
        rows={1}
        value={text}
        aria-label={t("chat.write")}
        placeholder={t("chat.write")}
        aria-invalid={long}
        onInput={(e) => {
          setText(e.currentTarget.value);
          session.input(e.currentTarget.value);
        }}
        onKeyDown={onKey}
      />
      <button type="submit" class="send" aria-label={t("chat.send")} aria-disabled={!text.trim() || long}>
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <path d="M4 12l16-8-5 16-3-7z" />
        </svg>
      </button>
    </form>
  );
}

function Ended({ again }: { again: () => void }) {
  const { t } = useWords();
  return (
    <div class="ended">
      <p role="status">{t("ended.title")}</p>
      <button type="button" class="main" onClick={again}>
        {t("ended.again")}
      </button>
    </div>
  );
}
