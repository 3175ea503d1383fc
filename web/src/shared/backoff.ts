/** Growing, jittered waits between tries: 1–2 s, 2–4 s … never above 30 s. */
export class Backoff {
  private tries = 0;

  constructor(private random = Math.random) {}

  /** Milliseconds to wait before the next try, within 1 000 … 30 000. */
  next(): number {
    return 1000 * Math.min(30, 2 ** this.tries++ * (1 + this.random()));
  }

  reset(): void {
    this.tries = 0;
  }
}
