import { ApiError, Caller, call } from "./call";
import { Backoff } from "./backoff";
import { Cursor, Envelope, Frame } from "./types";

/** online: what comes next arrives by itself · connecting: on the way there · offline: tries failed, waiting for the next. */
export type Connection = "connecting" | "online" | "offline";

export interface SyncOptions extends Caller {
  /** "/v1/visitor" or "/v1": where sync and socket are. */
  base: string;
  cursor: Cursor;
  /** Frames in order, each event once. */
  frames(frames: Frame[]): void;
  /** Something was missed that cannot be fetched as frames: load the state anew. Frames wait until it is done. */
  reset(): Promise<void>;
  state(connection: Connection): void;
  /** The token is no longer taken. Sync has stopped. */
  unauthorized(): void;
  /** For tests. */
  env?: Partial<Env>;
}

interface Env {
  WebSocket: typeof WebSocket | undefined;
  random(): number;
  now(): number;
}

// Close codes of the server.
const resync = 4000;
const unauthorized = 4001;
const goingAway = 4002;

/** A socket has this long to open, a host this long to answer. */
const openTimeout = 5000;
/** We say something this often, and take silence of deadTime after it for a lost connection. */
const pingEvery = 20000;
const deadTime = 10000;
const deadTimeAwake = 3000;
/** How long a long-poll may hang on the server, in seconds. */
const wait = 25;
/** After two sockets that did not open: polls this long before the next attempt. */
const pollFor = 60000;

/**
 * Keeps a client at the end of the event stream over a WebSocket, or over
 * long-polls where sockets do not get through. The cursor (epoch, seq) is all
 * that it needs to go on after a loss, on any node.
 */
export class Sync {
  private env: Env;
  private backoff: Backoff;
  private socket: WebSocket | null = null;
  private poll: AbortController | null = null;
  private timers: Record<string, ReturnType<typeof setTimeout> | undefined> = {};
  private running = false;
  private failedSockets = 0;
  private pollUntil = 0;
  /** Not null while the state is loaded anew: what arrives meanwhile. */
  private held: Envelope[] | null = null;
  private broken = false;

  constructor(private o: SyncOptions) {
    this.env = { WebSocket: globalThis.WebSocket, random: Math.random, now: Date.now, ...o.env };
    this.backoff = new Backoff(this.env.random);
  }

  get cursor(): Cursor {
    return this.o.cursor;
  }

  start(): void {
    if (this.running) return;
    this.running = true;
    this.connect();
  }

  stop(): void {
    this.running = false;
    this.drop();
    for (const name in this.timers) this.clear(name);
  }

  /** Says something that may be lost (typing); false if there is no socket to say it on. */
  say(op: Record<string, unknown>): boolean {
    if (!this.socket || this.socket.readyState !== 1) return false;
    this.socket.send(JSON.stringify(op));
    return true;
  }

  /** The device or the page is back: find out at once whether the connection lives. */
  wake(): void {
    if (!this.running) return;
    if (this.timers.retry !== undefined) {
      this.clear("retry");
      this.backoff.reset();
      this.connect();
    } else if (this.socket && this.socket.readyState === 1) {
      this.ping(deadTimeAwake);
    } else if (this.poll && !this.held) {
      this.drop();
      this.connect();
    }
  }

  private connect(): void {
    if (!this.running) return;
    this.o.state("connecting");
    if (this.broken) {
      // One that runs already connects when it is done.
      if (!this.held) void this.reload();
      return;
    }
    if (this.env.WebSocket && (this.failedSockets < 2 || this.env.now() >= this.pollUntil)) this.openSocket(this.env.WebSocket);
    else void this.longPoll();
  }

  private openSocket(Socket: typeof WebSocket): void {
    const host = this.o.hosts.current;
    const { epoch, seq } = this.o.cursor;
    let opened = false;
    let over = false;
    let socket: WebSocket;
    const end = (code: number) => {
      if (over) return;
      over = true;
      this.clear("open");
      this.clear("ping");
      this.clear("dead");
      if (this.socket === socket) this.socket = null;
      if (this.running) this.ended(host, opened, code);
    };
    try {
      socket = new Socket(`${host.replace(/^http/, "ws")}${this.o.base}/socket?epoch=${encodeURIComponent(epoch)}&since=${seq}`, ["parlor.v1", "bearer." + this.o.token()]);
    } catch {
      // The URL or the policy forbids sockets here for good: poll.
      this.failedSockets = 2;
      this.pollUntil = Infinity;
      void this.longPoll();
      return;
    }
    this.socket = socket;
    const kill = () => {
      end(1006);
      socket.close();
    };
    this.set("open", openTimeout, kill);
    socket.onopen = () => {
      if (over) return;
      opened = true;
      this.failedSockets = 0;
      this.clear("open");
      this.o.state("online");
      this.set("ping", pingEvery, () => this.ping(deadTime));
    };
    socket.onmessage = (event) => {
      if (over) return;
      this.clear("dead");
      this.set("ping", pingEvery, () => this.ping(deadTime));
      let envelope: Envelope;
      try {
        envelope = JSON.parse(event.data);
      } catch {
        return kill();
      }
      // Only an answer shows that this node is of use: a socket that opens and closes is backed off from.
      this.backoff.reset();
      this.take(envelope);
    };
    socket.onclose = (event) => end(event.code);
    this.killSocket = kill;
  }

  private killSocket: () => void = () => {};

  private ping(patience: number): void {
    this.say({ op: "ping" });
    this.set("dead", patience, () => this.killSocket());
  }

  /** Decides what follows on the end of a socket. */
  private ended(host: string, opened: boolean, code: number): void {
    if (code === unauthorized) return this.refuse();
    if (code !== resync) this.o.hosts.next(host);
    if (!opened && ++this.failedSockets >= 2) {
      this.pollUntil = this.env.now() + pollFor;
      void this.longPoll();
      return;
    }
    // A connection that stood and was lost, or was told to move: everybody on that
    // node is looking for another one now, so spread over a second.
    const first = this.once();
    this.retry(opened && (first || code === goingAway || code === resync) ? Math.round(this.env.random() * 1000) : undefined);
  }

  private lastLoss = -Infinity;

  /** True if the last loss is long ago. */
  private once(): boolean {
    const now = this.env.now();
    const first = now - this.lastLoss > openTimeout;
    this.lastLoss = now;
    return first;
  }

  private async longPoll(): Promise<void> {
    const stop = (this.poll = new AbortController());
    try {
      const { epoch, seq } = this.o.cursor;
      const path = `${this.o.base}/sync?epoch=${encodeURIComponent(epoch)}&since=${seq}&wait=`;
      // The first poll does not hang, so that we know soon whether the way is open.
      let envelope = await call<Envelope>(this.o, "GET", path + 0, undefined, { stop });
      while (this.running && this.poll === stop) {
        this.backoff.reset();
        this.o.state("online");
        await this.take(envelope);
        if (!this.running || this.poll !== stop || this.broken) return;
        if (this.env.WebSocket && this.env.now() >= this.pollUntil) return this.connect();
        const at = this.o.cursor;
        envelope = await call<Envelope>(this.o, "GET", `${this.o.base}/sync?epoch=${encodeURIComponent(at.epoch)}&since=${at.seq}&wait=${wait}`, undefined, {
          stop,
          timeout: (wait + 10) * 1000,
        });
      }
    } catch (e) {
      if (!this.running || this.poll !== stop) return;
      if (e instanceof ApiError && e.unauthorized) return this.refuse();
      // With nobody there, the sockets that did not open say nothing about sockets.
      if (e instanceof ApiError && e.status === 0) this.failedSockets = 0;
      this.retry(e instanceof ApiError && e.retryAfter ? e.retryAfter * 1000 : undefined);
    }
  }

  /** Applies an envelope; while the state is loaded anew, keeps it for afterwards. */
  private take(envelope: Envelope): Promise<void> | void {
    if (this.held) {
      this.held.push(envelope);
      return;
    }
    if (envelope.reset) {
      this.move(envelope);
      return this.reload();
    }
    const frames = (envelope.frames || []).filter((f) => f.seq === undefined || f.seq > this.o.cursor.seq);
    this.move(envelope);
    if (frames.length) this.o.frames(frames);
  }

  private move(envelope: Envelope): void {
    const { epoch, seq } = envelope;
    if (seq === undefined) return;
    const here = this.o.cursor;
    if (envelope.reset || (epoch && epoch !== here.epoch)) this.o.cursor = { epoch: epoch || here.epoch, seq };
    else if (seq > here.seq) here.seq = seq;
  }

  private async reload(): Promise<void> {
    this.held = [];
    this.broken = true;
    try {
      await this.o.reset();
    } catch (e) {
      this.held = null;
      this.drop();
      if (!this.running) return;
      if (e instanceof ApiError && e.unauthorized) return this.refuse();
      return this.retry();
    }
    this.broken = false;
    const held = this.held || [];
    this.held = null;
    for (const envelope of held) await this.take(envelope);
    if (this.running && !this.socket && !this.poll) this.connect();
  }

  private retry(after = this.backoff.next()): void {
    this.poll = null;
    if (after > 1000) this.o.state("offline");
    else this.o.state("connecting");
    this.set("retry", after, () => this.connect());
  }

  private refuse(): void {
    this.stop();
    this.o.unauthorized();
  }

  private drop(): void {
    const socket = this.socket;
    this.socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    this.clear("open");
    this.clear("ping");
    this.clear("dead");
    const poll = this.poll;
    this.poll = null;
    if (poll) poll.abort();
  }

  private set(name: string, after: number, fn: () => void): void {
    this.clear(name);
    this.timers[name] = setTimeout(() => {
      this.timers[name] = undefined;
      fn();
    }, after);
  }

  private clear(name: string): void {
    clearTimeout(this.timers[name]);
    this.timers[name] = undefined;
  }
}
