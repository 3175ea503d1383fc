import { Article } from "../shared/types";
import { useWords } from "./texts";

/** What may answer the question before anybody is asked. */
export function Articles({ articles, greeting, start }: { articles: Article[]; greeting: string; start: () => void }) {
  const { t } = useWords();
  return (
    <main class="page">
      <h2>{greeting}</h2>
      <p>{t("kb.title")}</p>
      <ul class="articles">
        {articles.map((a) => (
          <li key={a.url}>
            {/^https?:\/\/|^\//i.test(a.url) ? (
              <a href={a.url} target="_blank" rel="noopener">
                {a.title}
                <span class="hidden"> ({t("kb.opens")})</span>
                <svg viewBox="0 0 24 24" aria-hidden="true">
                  <path d="M9 5l7 7-7 7" />
                </svg>
              </a>
            ) : (
              a.title
            )}
          </li>
        ))}
      </ul>
      <button type="button" class="main" onClick={start}>
        {t("kb.start")}
      </button>
    </main>
  );
}
