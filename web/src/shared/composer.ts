import { useRef, useState } from "preact/hooks";
import { tooLong } from "./messages";

/** What is being written in a field, and how it is sent: by Enter, or by the form. */
export function useComposer(say: (text: string) => void) {
  const input = useRef<HTMLTextAreaElement>(null);
  const [text, setText] = useState("");
  const long = tooLong(text);
  const send = (e?: Event) => {
    e?.preventDefault();
    const said = text.trim();
    if (!said || long) return;
    say(said);
    setText("");
    input.current?.focus();
  };
  // Enter that chooses a word of an input method does not send.
  const onKey = (e: KeyboardEvent) => {
    if (e.key === "Enter" && !e.shiftKey && !e.isComposing && e.keyCode !== 229) send(e);
  };
  return { input, text, setText, long, send, onKey };
}
