import { ComponentChildren } from "preact";
import { Chat, Visitor } from "../shared/types";
import { Desk, View } from "./desk";
import { useWords } from "./words";

/** What is known about a visitor. */
export function Details({ view, id, chat }: { desk: Desk; view: View; id: string; chat: Chat | undefined }) {
  const words = useWords();
  const { t, clock } = words;
  const loaded = view.details[id];
  const v: Visitor | undefined = loaded || view.visitors[id] ? { ...view.visitors[id], ...loaded } as Visitor : undefined;
  const pages = (loaded?.pages || []).slice().reverse();
  const prechat = chat?.prechat || {};
  return (
    <aside class="details" aria-labelledby="details-name">
      <h2 id="details-name">{words.visitor(id, v, chat)}</h2>
      {loaded === null && <p class="wrong">{t("details.failed")}</p>}
      {v && (
        <dl>
          <Fact name={t("details.status")}>{t(`state.${v.status}`)}</Fact>
          <Fact name={t("details.email")}>{v.email}</Fact>
          <Fact name={t("details.phone")}>{v.phone}</Fact>
          <Fact name={t("details.page")}>{v.page_url && <Address url={v.page_url} title={v.page_title} />}</Fact>
          <Fact name={t("details.referrer")}>{v.referrer && <Address url={v.referrer} />}</Fact>
          <Fact name={t("details.segments")}>
            {v.segments?.map((s) => (
              <span class="tag" key={s}>
                {s}
              </span>
            ))}
          </Fact>
          <Fact name={t("details.campaign")}>{v.campaign}</Fact>
          <Fact name={t("details.language")}>{v.language}</Fact>
          <Fact name={t("details.zone")}>{v.time_zone}</Fact>
          <Fact name={t("details.browser")}>{[v.browser, v.os, v.device].filter(Boolean).join(" · ")}</Fact>
          <Fact name={t("details.screen")}>{v.screen}</Fact>
          <Fact name={t("details.visits")}>{v.visits}</Fact>
        </dl>
      )}
      <Table title={t("details.prechat")} rows={Object.entries(prechat)} />
      <Table title={t("details.vars")} rows={Object.entries(loaded?.vars || {})} />
      {pages.length > 0 && (
        <section>
          <h3>{t("details.pages")}</h3>
          <ol class="pages">
            {pages.map((p, i) => (
              <li key={i}>
                <time title={clock.full(p.at)}>{clock.time(p.at)}</time> <Address url={p.url} title={p.title} />
              </li>
            ))}
          </ol>
        </section>
      )}
    </aside>
  );
}

function Fact({ name, children }: { name: string; children?: ComponentChildren }) {
  if (!children || (Array.isArray(children) && children.length === 0)) return null;
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

function Table({ title, rows }: { title: string; rows: [string, string][] }) {
  if (rows.length === 0) return null;
  return (
    <section>
      <h3>{title}</h3>
      <dl>
        {rows.map(([name, value]) => (
          <Fact key={name} name={name}>
            {String(value)}
          </Fact>
        ))}
      </dl>
    </section>
  );
}

/** A page's address. What is no web address is shown, but not made a link. */
function Address({ url, title }: { url: string; title?: string }) {
  if (!/^https?:\/\//i.test(url)) return <>{title || url}</>;
  return (
    <a href={url} title={url} target="_blank" rel="noopener noreferrer">
      {title || url}
    </a>
  );
}
