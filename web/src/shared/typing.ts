/** Tells the other side that somebody types: at most every two seconds, and once when it stops. */
export class TypingSignal {
  private last = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private tell: (typing: boolean, preview: string) => void) {}

  /** The text of the input changed. */
  input(text: string): void {
    if (!text.trim()) return this.stop();
    clearTimeout(this.timer);
    const due = this.last + 2000 - Date.now();
    if (due <= 0) {
      this.last = Date.now();
      this.tell(true, text.slice(0, 500));
      this.timer = setTimeout(() => this.stop(), 5000);
    } else {
      // What was typed meanwhile follows when its time has come.
      this.timer = setTimeout(() => this.input(text), due);
    }
  }

  /** Nothing is being typed any more: sent, cleared or paused. */
  stop(): void {
    clearTimeout(this.timer);
    if (this.last) this.tell(false, "");
    this.last = 0;
  }
}

/** How long a typing frame counts, in milliseconds, unless it is renewed. */
export const typingFor = 7000;
