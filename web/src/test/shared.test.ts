import { test } from "node:test";
import assert from "node:assert/strict";
import { random } from "./clock";
import { Backoff } from "../shared/backoff";
import { ApiError, call } from "../shared/call";
import { color, textOn } from "../shared/color";
import { Hosts } from "../shared/hosts";
import { pick, translator } from "../shared/i18n";
import { linkify } from "../shared/linkify";
import { complete, merge, tooLong } from "../shared/messages";
import { Message } from "../shared/types";

const message = (seq: number): Message => ({ seq, id: "m" + seq, from: { type: "agent", id: "a" }, type: "text", text: "t" + seq, at: seq });

test("waits grow from one second, never above thirty, and start anew", () => {
  const r = random(7);
  for (let round = 0; round < 50; round++) {
    const b = new Backoff(r);
    const waits = Array.from({ length: 2000 }, () => b.next());
    assert.ok(waits.every((w) => w >= 1000 && w <= 30000));
    assert.ok(waits[0] < waits[2] && waits[2] < waits[4]);
    b.reset();
    assert.ok(b.next() <= 2000);
  }
});

test("messages that arrive in any order, some twice, make one list by seq", () => {
  const r = random(3);
  for (let round = 0; round < 200; round++) {
    const all = Array.from({ length: 12 }, (_, i) => message(i + 1));
    let list: Message[] = [];
    const queue = [...all, ...all].sort(() => r() - 0.5);
    while (queue.length) list = merge(list, queue.splice(0, 1 + Math.floor(r() * 4)));
    assert.deepEqual(list.map((m) => m.seq), all.map((m) => m.seq));
  }
});

test("what is known already makes no new list", () => {
  const list = [message(1), message(2)];
  assert.equal(merge(list, [message(2)]), list);
});

test("a list is complete up to its first gap", () => {
  assert.equal(complete([]), 0);
  assert.equal(complete([message(1), message(2), message(4)]), 2);
  assert.equal(complete([message(2)]), 0);
});

test("the length of a message is counted in bytes", () => {
  assert.equal(tooLong("a".repeat(16384)), false);
  assert.equal(tooLong("a".repeat(16385)), true);
  assert.equal(tooLong("你".repeat(5461)), false);
  assert.equal(tooLong("你".repeat(5462)), true);
});

test("addresses become links, and nothing else does", () => {
  const links = (text: string) => linkify(text).filter((p) => p.href).map((p) => p.href);
  assert.deepEqual(links("see https://example.com/a?b=c#d."), ["https://example.com/a?b=c#d"]);
  assert.deepEqual(links("(https://example.com/x_(y))"), ["https://example.com/x_(y)"]);
  assert.deepEqual(links("www.example.com, or http://localhost:8080/"), ["https://www.example.com", "http://localhost:8080/"]);
  assert.deepEqual(links("请看https://example.com/页面。谢谢"), ["https://example.com/页面"]);
  assert.deepEqual(links("javascript:alert(1) data:text/html,x ftp://h/ mailto:a@b.c"), []);
  assert.deepEqual(links("https://"), []);
  assert.deepEqual(links('<a href="https://evil.example/">x</a>'), ["https://evil.example/"]);
});

test("whatever is linkified, its text stays what it was", () => {
  const r = random(11);
  const bits = ["https://", "www.", "a.b", "/x", "(", ")", "]", ".", ",", " ", "<b>", '"', "你好", "。", "\n", "http:", "javascript:", "!"];
  for (let i = 0; i < 3000; i++) {
    const text = Array.from({ length: Math.floor(r() * 12) }, () => bits[Math.floor(r() * bits.length)]).join("");
    const parts = linkify(text);
    assert.equal(parts.map((p) => p.text).join(""), text);
    for (const p of parts) if (p.href) assert.ok(/^https?:$/.test(new URL(p.href).protocol));
  }
});

test("the language is the first wish that there is", () => {
  assert.equal(pick([undefined, "", "zh-CN", "en"]), "zh");
  assert.equal(pick(["de", "ZH"]), "zh");
  assert.equal(pick(["en-GB", "zh"]), "en");
  assert.equal(pick(["zhx", "english"]), "en");
  assert.equal(pick([]), "en");
});

test("texts take values, and a campaign's own words come first", () => {
  const t = translator({ hi: "Hello {name}, {n} times", bye: "Bye" }, { bye: "Farewell {name}" });
  assert.equal(t("hi", { name: "$& Ada", n: 0 }), "Hello $& Ada, 0 times");
  assert.equal(t("bye", { name: "Ada" }), "Farewell Ada");
});

test("whatever colour a campaign has, the text on it can be read", () => {
  const light = (hex: string) => {
    const full = hex.length === 4 ? "#" + [...hex.slice(1)].map((c) => c + c).join("") : hex;
    const [r, g, b] = [1, 3, 5].map((i) => {
      const c = parseInt(full.slice(i, i + 2), 16) / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const r = random(5);
  for (let i = 0; i < 20000; i++) {
    const back = "#" + Math.floor(r() * 0x1000000).toString(16).padStart(6, "0");
    const [a, b] = [light(back), light(textOn(back))].sort((x, y) => y - x);
    assert.ok((a + 0.05) / (b + 0.05) >= 4.45, `${textOn(back)} on ${back}`);
  }
  assert.equal(color("red; background: url(x)"), "#1f5eff");
  assert.equal(color("#ABCDEF"), "#ABCDEF");
});

interface Asked {
  host: string;
  key: string | undefined;
}

function fakeFetch(answers: (number | "dead")[]): Asked[] {
  const asked: Asked[] = [];
  (globalThis as any).fetch = async (url: string, init: { headers: Record<string, string> }) => {
    asked.push({ host: new URL(url).origin, key: init.headers["Idempotency-Key"] });
    const status = answers.shift()!;
    if (status === "dead") throw new TypeError("connection refused");
    return { ok: status < 300, status, json: async () => (status < 300 ? { fine: true } : { code: "x", detail: "why" }), headers: { get: () => "3" } };
  };
  return asked;
}

const hosts = () => new Hosts(["http://a", "http://b", "http://c"]);

test("a call goes to the next host while hosts are gone, under one key, and stays there", async () => {
  const c = { hosts: hosts(), token: () => "t" };
  const asked = fakeFetch(["dead", 503, 200, 204]);
  assert.deepEqual(await call(c, "POST", "/v1/x", {}), { fine: true });
  assert.deepEqual(asked.map((a) => a.host), ["http://a", "http://b", "http://c"]);
  assert.equal(new Set(asked.map((a) => a.key)).size, 1);
  assert.ok(asked[0].key!.length >= 16);
  assert.equal(await call(c, "GET", "/v1/x"), undefined);
  assert.equal(asked[3].host, "http://c");
});

test("a refusal is an answer: nobody else is asked", async () => {
  const c = { hosts: hosts(), token: () => null };
  for (const status of [400, 401, 403, 404, 409, 429, 500]) {
    const asked = fakeFetch([status]);
    const e = (await call(c, "GET", "/v1/x").catch((x) => x)) as ApiError;
    assert.ok(e instanceof ApiError);
    assert.deepEqual([e.status, e.code, e.message, e.retryAfter], [status, "x", "why", 3]);
    assert.equal(asked.length, 1);
  }
});

test("when all hosts are gone the call fails after each was asked once", async () => {
  const asked = fakeFetch(["dead", "dead", "dead"]);
  const e = (await call({ hosts: hosts(), token: () => null }, "GET", "/v1/x").catch((x) => x)) as ApiError;
  assert.equal(e.code, "network");
  assert.ok(e.temporary);
  assert.equal(asked.length, 3);
});

test("only base URLs are learnt as hosts, each once", () => {
  const h = hosts();
  h.add(["http://b", "https://d:8443", "javascript:alert(1)", "http://e/path", "", "//f"]);
  h.add(undefined);
  assert.deepEqual(h.all, ["http://a", "http://b", "http://c", "https://d:8443"]);
  h.next("http://z");
  assert.equal(h.current, "http://a");
});
