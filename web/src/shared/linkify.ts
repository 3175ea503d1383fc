export interface Part {
  text: string;
  /** Set on links: an absolute http or https URL. */
  href?: string;
}

const link = /\b(?:https?:\/\/|www\.)[^\s<>"'`，。！？；：、（）《》「」【】]+/gi;

/** Cuts a message into plain text and links. What it answers is put into text nodes, never parsed as HTML. */
export function linkify(text: string): Part[] {
  const parts: Part[] = [];
  let at = 0;
  for (const match of text.matchAll(link)) {
    const url = trim(match[0]);
    const href = /^www\./i.test(url) ? "https://" + url : url;
    if (!valid(href)) continue;
    if (match.index! > at) parts.push({ text: text.slice(at, match.index) });
    parts.push({ text: url, href });
    at = match.index! + url.length;
  }
  if (at < text.length) parts.push({ text: text.slice(at) });
  return parts;
}

/** Leaves the end of the sentence out of the link, and a bracket that was opened before it. */
function trim(url: string): string {
  for (;;) {
    const last = url[url.length - 1];
    if (/[.,;:!?*_~]/.test(last) || (last === ")" && count(url, ")") > count(url, "(")) || (last === "]" && count(url, "]") > count(url, "["))) url = url.slice(0, -1);
    else return url;
  }
}

function count(text: string, char: string): number {
  return text.split(char).length - 1;
}

function valid(href: string): boolean {
  try {
    return /^https?:$/.test(new URL(href).protocol);
  } catch {
    return false;
  }
}
