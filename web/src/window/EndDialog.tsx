import { useEffect, useRef } from "preact/hooks";
import { useWords } from "./texts";

/** Asks before the chat is ended. The native dialog keeps the focus and closes on Escape. */
export function EndDialog({ end, close }: { end: () => void; close: () => void }) {
  const { t } = useWords();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} onClose={close} aria-labelledby="end-title" aria-describedby="end-text">
      <h2 id="end-title">{t("end.title")}</h2>
      <p id="end-text">{t("end.text")}</p>
      <div class="choice">
        <button type="button" class="main" onClick={end}>
          {t("end.yes")}
        </button>
        <button type="button" onClick={close}>
          {t("end.no")}
        </button>
      </div>
    </dialog>
  );
}
