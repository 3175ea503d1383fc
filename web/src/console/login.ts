import { call, Caller } from "../shared/call";
import { Hosts } from "../shared/hosts";
import { session } from "../shared/outbox";
import { Agent } from "../shared/types";

const tokenKey = "parlor-console";

/** The agent's session: its token lives in this tab only. */
export class Login {
  readonly hosts: Hosts;
  private memory: string;

  constructor(hosts: string[]) {
    this.hosts = new Hosts([location.origin]);
    this.hosts.add(hosts);
    this.memory = session()?.getItem(tokenKey) || "";
  }

  get caller(): Caller {
    return { hosts: this.hosts, token: () => this.memory };
  }

  get known(): boolean {
    return this.memory !== "";
  }

  async login(login: string, password: string): Promise<Agent> {
    this.keep("");
    return this.enter(await call(this.caller, "POST", "/v1/login", { login, password }, { timeout: 15000 }));
  }

  async setup(form: { token: string; site: { id: string; name: string }; agent: { login: string; name: string; password: string } }): Promise<Agent> {
    this.keep("");
    return this.enter(await call(this.caller, "POST", "/v1/setup", form, { timeout: 15000 }));
  }

  me(): Promise<{ agent: Agent }> {
    return call(this.caller, "GET", "/v1/me");
  }

  async logout(): Promise<void> {
    try {
      await call(this.caller, "POST", "/v1/logout", {});
    } finally {
      this.keep("");
    }
  }

  forget(): void {
    this.keep("");
  }

  private enter(answer: { token: string; agent: Agent }): Agent {
    this.keep(answer.token);
    return answer.agent;
  }

  private keep(token: string): void {
    this.memory = token;
    try {
      if (token) session()?.setItem(tokenKey, token);
      else session()?.removeItem(tokenKey);
    } catch {
      // Without storage the session lasts as long as the page.
    }
  }
}
