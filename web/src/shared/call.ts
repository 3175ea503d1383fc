import { Hosts } from "./hosts";
import { randomId } from "./id";

/** What went wrong with a call: the API's stable code, or "network" when nobody answered. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail = code,
    /** Seconds the server asked to wait; 0 if it did not. */
    readonly retryAfter = 0,
    readonly errors?: { location: string; message: string }[],
  ) {
    super(detail);
  }

  /** The same call may work later, or with another node. */
  get temporary(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }

  /** This node cannot answer now; another one may. */
  get elsewhere(): boolean {
    return this.status === 0 || this.status > 501;
  }

  get unauthorized(): boolean {
    return this.status === 401;
  }
}

export interface Caller {
  hosts: Hosts;
  token(): string | null | undefined;
}

export interface CallOptions {
  /** Milliseconds until a host counts as gone; 5 s unless told. */
  timeout?: number;
  /** Ends the call; used up when the time is. */
  stop?: AbortController;
  /** The Idempotency-Key of a POST: the same when the caller tries again. */
  key?: string;
}

/** Calls the API on the current host, and on the others in turn while hosts are gone. */
export async function call<T>({ hosts, token }: Caller, method: string, path: string, body?: unknown, { timeout = 5000, stop, key = randomId() }: CallOptions = {}): Promise<T> {
  for (let left = hosts.all.length; ; left--) {
    const host = hosts.current;
    const abort = stop || new AbortController();
    const timer = setTimeout(() => abort.abort(), timeout);
    const headers: Record<string, string> = {};
    const bearer = token();
    if (bearer) headers.Authorization = "Bearer " + bearer;
    if (body) headers["Content-Type"] = "application/json";
    if (method === "POST") headers["Idempotency-Key"] = key;
    try {
      return await read(await fetch(host + path, { method, headers, body: body ? JSON.stringify(body) : null, credentials: "omit", signal: abort.signal }));
    } catch (e) {
      const error = e instanceof ApiError ? e : new ApiError(0, "network", String(e));
      if (!error.elsewhere) throw error;
      hosts.next(host);
      if (left < 2) throw error;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The answer's JSON (undefined if there is none), or its problem as an error. */
async function read(answer: Response): Promise<any> {
  const { ok, status } = answer;
  if (status === 204) return;
  if (ok) return await answer.json();
  // What is not JSON is a proxy's error page: the status has to do.
  const { code = "http_" + status, detail, errors } = await answer.json().catch(() => ({}));
  throw new ApiError(status, code, detail, +(answer.headers.get("Retry-After") || 0), errors);
}
