import { Message } from "./types";

/** Adds messages to a list that is ordered by seq; what is there already stays as it is. */
export function merge(list: Message[], more: Message[]): Message[] {
  let result = list;
  for (const m of more) {
    let at = result.length;
    while (at > 0 && result[at - 1].seq > m.seq) at--;
    if (at > 0 && result[at - 1].seq === m.seq) continue;
    if (result === list) result = list.slice();
    result.splice(at, 0, m);
  }
  return result;
}

/** The seq up to which nothing is missing: where to load from. */
export function complete(list: Message[]): number {
  let seq = 0;
  for (const m of list) {
    if (m.seq !== seq + 1) break;
    seq = m.seq;
  }
  return seq;
}

/** Messages may have this many bytes of UTF-8. */
export const maxBytes = 16384;

export function tooLong(text: string): boolean {
  return text.length > maxBytes || (text.length * 3 > maxBytes && new TextEncoder().encode(text).length > maxBytes);
}
