import { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Chat, Visitor } from "../shared/types";
import { Desk, View } from "./desk";
import { useWords } from "./words";

/** A native modal dialog: it keeps the focus, and closes on Escape. */
function Dialog({ title, close, children }: { title: string; close(): void; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} onClose={close} aria-labelledby="dialog-title">
      <h2 id="dialog-title">{title}</h2>
      {children}
    </dialog>
  );
}

export function InviteDialog({ desk, visitor, close }: { desk: Desk; visitor: Visitor; close(): void }) {
  const words = useWords();
  const { t } = words;
  const [text, setText] = useState(t("invite.default"));
  const send = async (e: Event) => {
    e.preventDefault();
    if (!text.trim()) return;
    close();
    if (await desk.invite(visitor.id, text.trim())) desk.notice(t("invite.sent"));
  };
  return (
    <Dialog title={t("invite.title", { name: words.visitor(visitor.id, visitor) })} close={close}>
      <form onSubmit={(e) => void send(e)}>
        <label for="invite-text">{t("invite.text")}</label>
        <textarea id="invite-text" rows={3} maxLength={500} value={text} onInput={(e) => setText(e.currentTarget.value)} />
        <div class="choice">
          <button type="submit" class="main">
            {t("invite.send")}
          </button>
          <button type="button" onClick={close}>
            {t("cancel")}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

export function TransferDialog({ desk, view, chat, close }: { desk: Desk; view: View; chat: Chat; close(): void }) {
  const { t } = useWords();
  const agents = Object.values(view.agents).filter((a) => a.id !== view.me.id && a.status === "online" && a.connected !== false);
  const departments = Object.values(view.departments);
  const to = (target: { department?: string; agent?: string }) => {
    close();
    void desk.transfer(chat.id, target);
  };
  const online = (department: string) => Object.values(view.agents).filter((a) => a.status === "online" && a.connected !== false && a.departments?.includes(department)).length;
  return (
    <Dialog title={t("transfer.title")} close={close}>
      {agents.length === 0 && departments.length === 0 && <p class="soft">{t("transfer.none")}</p>}
      {agents.length > 0 && (
        <>
          <h3>{t("transfer.agent")}</h3>
          <ul class="targets">
            {agents.map((a) => (
              <li key={a.id}>
                <button type="button" onClick={() => to({ agent: a.id })}>
                  {a.name || a.id}
                </button>
              </li>
            ))}
          </ul>
        </>
      )}
      {departments.length > 0 && (
        <>
          <h3>{t("transfer.department")}</h3>
          <ul class="targets">
            {departments.map((d) => (
              <li key={d.id}>
                <button type="button" onClick={() => to({ department: d.id })}>
                  {d.name || d.id} <span class="soft">{t("transfer.queue", { n: online(d.id) })}</span>
                </button>
              </li>
            ))}
          </ul>
        </>
      )}
      <div class="choice">
        <button type="button" onClick={close}>
          {t("cancel")}
        </button>
      </div>
    </Dialog>
  );
}

export function EndDialog({ desk, chat, close }: { desk: Desk; chat: Chat; close(): void }) {
  const { t } = useWords();
  const end = () => {
    close();
    void desk.end(chat.id);
  };
  return (
    <Dialog title={t("end.title")} close={close}>
      <p class="soft">{t("end.text")}</p>
      <div class="choice">
        <button type="button" class="main" onClick={end}>
          {t("chat.end")}
        </button>
        <button type="button" onClick={close}>
          {t("cancel")}
        </button>
      </div>
    </Dialog>
  );
}
