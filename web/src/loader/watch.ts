import { ApiError, Caller, call } from "../shared/call";
import { Backoff } from "../shared/backoff";
import { onWake } from "../shared/wake";
import { Cursor, Envelope, Frame } from "../shared/types";

/**
 * Follows the visitor's events by long-polls while there is no window to do it:
 * for invitations and unread messages, and so that the agents see who is here.
 * A hidden page without a chat rests. Moves cursor; answers how to stop.
 */
export function follow(caller: Caller, cursor: Cursor, busy: () => boolean, frames: (frames: Frame[]) => void, failed: (e: ApiError) => void): () => void {
  const backoff = new Backoff();
  let stopped = false;
  let wake: (() => void) | undefined;

  /** Waits, but not longer than until the page is woken. */
  const rest = (ms: number) =>
    new Promise<void>((done) => {
      wake = done;
      setTimeout(done, ms);
    });

  async function run(): Promise<void> {
    while (!stopped) {
      if (document.hidden && !busy()) {
        await rest(1e9);
        continue;
      }
      try {
        const answer = await call<Envelope>(caller, "GET", `/v1/visitor/sync?epoch=${encodeURIComponent(cursor.epoch)}&since=${cursor.seq}&wait=25`, undefined, { timeout: 35000 });
        if (stopped) return;
        backoff.reset();
        Object.assign(cursor, { epoch: answer.epoch, seq: answer.seq });
        frames(answer.frames || []);
      } catch (e) {
        if (stopped) return;
        failed(e as ApiError);
        await rest(backoff.next());
      }
    }
  }

  onWake(() => wake?.());
  void run();
  return () => {
    stopped = true;
  };
}
