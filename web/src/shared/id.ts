/** 128 random bits in hex. crypto.randomUUID exists on secure origins only, and intranets often have none. */
export function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => (b + 256).toString(16).slice(1)).join("");
}
