import { useState } from "preact/hooks";
import { Visitor } from "../shared/types";
import { Desk, View } from "./desk";
import { InviteDialog } from "./dialogs";
import { useWords } from "./words";

/** This many rows are drawn; nobody reads more. */
const rows = 200;

/** Who is on the site now. */
export function Visitors({ desk, view }: { desk: Desk; view: View }) {
  const { t } = useWords();
  const [inviting, setInviting] = useState("");
  const all = Object.values(view.visitors).sort((a, b) => (b.last_seen || 0) - (a.last_seen || 0) || (a.id < b.id ? -1 : 1));
  const guest = view.visitors[inviting];
  return (
    <main class="middle visitors">
      <h2>
        {t("visitors")} <b class="count">{all.length}</b>
      </h2>
      {view.ready && all.length === 0 && (
        <div class="empty">
          <p>{t("visitors.none")}</p>
          <p class="soft">{t("visitors.snippet")}</p>
          <pre tabIndex={0}>
            <code>{`<script async src="${location.origin}/w/${view.me.site}.js"></script>`}</code>
          </pre>
        </div>
      )}
      {all.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">{t("visitors.name")}</th>
              <th scope="col">{t("visitors.page")}</th>
              <th scope="col">{t("visitors.status")}</th>
              <th scope="col">{t("visitors.segments")}</th>
              <th scope="col">{t("visitors.seen")}</th>
              <th>
                <span class="hidden">{t("visitors.invite")}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {all.slice(0, rows).map((v) => (
              <Row key={v.id} desk={desk} view={view} v={v} invite={() => setInviting(v.id)} />
            ))}
          </tbody>
        </table>
      )}
      {all.length > rows && <p class="soft">{t("visitors.more", { n: rows })}</p>}
      {guest && <InviteDialog desk={desk} visitor={guest} close={() => setInviting("")} />}
    </main>
  );
}

function Row({ desk, view, v, invite }: { desk: Desk; view: View; v: Visitor; invite(): void }) {
  const words = useWords();
  const { t, clock } = words;
  const current = view.selected.kind === "visitor" && view.selected.id === v.id;
  return (
    <tr aria-current={current}>
      <td>
        <button type="button" class="link" onClick={() => desk.select({ kind: "visitor", id: v.id })}>
          {words.visitor(v.id, v)}
        </button>
      </td>
      <td class="page" title={v.page_url}>
        {v.page_title || v.page_url}
      </td>
      <td>
        <span class={"tag " + v.status}>{t(`state.${v.status}`)}</span>
      </td>
      <td>
        {(v.segments || []).map((s) => (
          <span class="tag" key={s}>
            {s}
          </span>
        ))}
      </td>
      <td>{v.last_seen ? <time>{clock.time(v.last_seen)}</time> : null}</td>
      <td>
        {(v.status === "browsing" || v.status === "offline") && (
          <button type="button" onClick={invite}>
            {t("visitors.invite")}
          </button>
        )}
      </td>
    </tr>
  );
}
