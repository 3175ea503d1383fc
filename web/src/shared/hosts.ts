/** The base URLs of the group's nodes, and the one that is used now. */
export class Hosts {
  private at = 0;

  constructor(private list: string[]) {}

  get current(): string {
    return this.list[this.at];
  }

  get all(): string[] {
    return this.list.slice();
  }

  /** Leaves the host that failed; of several callers that saw it fail, only the first moves on. */
  next(failed: string): void {
    if (failed === this.current) this.at = (this.at + 1) % this.list.length;
  }

  /** Learns further hosts, after those that are known. */
  add(more?: string[]): void {
    for (const host of more || []) {
      if (/^https?:\/\/[^/]+$/.test(host) && !this.list.includes(host)) this.list.push(host);
    }
  }
}
