import { ApiError } from "./call";
import { Backoff } from "./backoff";
import { randomId } from "./id";
import { Sent } from "./types";

/** sending: on its way · waiting: nobody answered, will be tried again · failed: refused, up to the writer. */
export type EntryState = "sending" | "waiting" | "failed";

export interface Entry {
  client_id: string;
  chat: string;
  text: string;
  at: number;
  state: EntryState;
  /** The API's code, when failed. */
  code?: string;
}

export interface OutboxOptions {
  /** Where entries outlive a reload; null if the browser gives no storage. */
  storage: Pick<Storage, "getItem" | "setItem" | "removeItem"> | null;
  /** Names the writer: nobody else's entries are read. */
  key: string;
  send(entry: Entry): Promise<Sent>;
  /** An entry was stored by the server. */
  sent(entry: Entry, sent: Sent): void;
  changed(entries: Entry[]): void;
  random?: () => number;
}

/**
 * What was written and is not known to be stored yet. Entries are sent one after
 * the other, in order, and again until the server has answered: its dedupe by
 * client_id makes that safe.
 */
export class Outbox {
  private entries: Entry[];
  private busy = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private backoff: Backoff;
  private closed = false;

  constructor(private o: OutboxOptions) {
    this.backoff = new Backoff(o.random);
    this.entries = this.restore();
  }

  get list(): Entry[] {
    return this.entries.slice();
  }

  add(chat: string, text: string): Entry {
    const entry: Entry = { client_id: randomId(), chat, text, at: Date.now(), state: "sending" };
    this.entries.push(entry);
    this.save();
    this.flush();
    return entry;
  }

  /** Tries a failed entry again, under the same client_id. */
  retry(clientId: string): void {
    for (const e of this.entries) {
      if (e.client_id === clientId && e.state === "failed") {
        e.state = "sending";
        delete e.code;
      }
    }
    this.save();
    this.flush();
  }

  /** Gives an entry up. */
  discard(clientId: string): void {
    this.remove(clientId);
  }

  /** The stream brought the message: it is stored, whatever became of the answer. */
  confirm(clientId: string | undefined): void {
    if (clientId) this.remove(clientId);
  }

  /** Gives up what belongs to a chat that is over. */
  drop(chat: string): void {
    const kept = this.entries.filter((e) => e.chat !== chat);
    if (kept.length === this.entries.length) return;
    this.entries = kept;
    this.save();
  }

  /** The connection is back: do not wait for the timer. */
  wake(): void {
    this.backoff.reset();
    this.flush();
  }

  /** Stops sending; the entries stay stored. */
  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
  }

  /** Sends what is there unless that goes on already. */
  flush(): void {
    clearTimeout(this.timer);
    if (!this.busy) void this.run();
  }

  private async run(): Promise<void> {
    this.busy = true;
    try {
      for (let entry; !this.closed && (entry = this.entries.find((e) => e.state !== "failed")); ) {
        if (entry.state !== "sending") {
          entry.state = "sending";
          this.save();
        }
        if (!(await this.deliver(entry))) return;
      }
    } finally {
      this.busy = false;
    }
  }

  /** Sends one entry; false if nothing can be sent now. */
  private async deliver(entry: Entry): Promise<boolean> {
    try {
      const sent = await this.o.send(entry);
      this.backoff.reset();
      this.o.sent(entry, sent);
      this.remove(entry.client_id);
      return true;
    } catch (e) {
      const error = e instanceof ApiError ? e : new ApiError(0, "network", String(e));
      if (!this.entries.includes(entry)) return true;
      if (error.temporary || error.unauthorized) {
        entry.state = "waiting";
        this.save();
        this.timer = setTimeout(() => this.flush(), error.retryAfter ? error.retryAfter * 1000 : this.backoff.next());
        return false;
      }
      entry.state = "failed";
      entry.code = error.code;
      this.save();
      return true;
    }
  }

  private remove(clientId: string): void {
    const kept = this.entries.filter((e) => e.client_id !== clientId);
    if (kept.length === this.entries.length) return;
    this.entries = kept;
    this.save();
  }

  private save(): void {
    try {
      if (this.o.storage) {
        if (this.entries.length) this.o.storage.setItem(this.o.key, JSON.stringify(this.entries));
        else this.o.storage.removeItem(this.o.key);
      }
    } catch {
      // Storage is full or forbidden: the entries live as long as the page does.
    }
    this.o.changed(this.list);
  }

  private restore(): Entry[] {
    try {
      const raw = this.o.storage && this.o.storage.getItem(this.o.key);
      const list: unknown = raw ? JSON.parse(raw) : [];
      return Array.isArray(list) ? list.filter((e) => e && typeof e.client_id === "string" && typeof e.text === "string" && typeof e.chat === "string") : [];
    } catch {
      return [];
    }
  }
}

/** The page's session storage, or null where the browser forbids it. */
export function session(): Storage | null {
  try {
    return window.sessionStorage;
  } catch {
    return null;
  }
}
