import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { ApiError } from "../shared/call";
import { Language, Translate, translator } from "../shared/i18n";
import { Clock } from "../shared/time";
import { Chat, Visitor } from "../shared/types";
import en from "../i18n/console.en.json";
import zh from "../i18n/console.zh.json";

export type Key = keyof typeof en;

export class Words {
  readonly t: Translate<Key>;
  readonly clock: Clock;

  constructor(readonly language: Language) {
    this.t = translator<Key>(language === "zh" ? zh : en);
    this.clock = new Clock(language, { today: this.t("today"), yesterday: this.t("yesterday") });
  }

  visitor(id: string, known?: Visitor, chat?: Chat): string {
    return known?.name || chat?.visitor_name || this.t("visitor", { id: id.slice(-4) });
  }

  /** What to tell about a failure: our own words where there are some, else the server's. */
  error(e: ApiError): string {
    const key = "error." + e.code;
    if (key in en) return this.t(key as Key);
    if (e.status >= 500) return this.t("error.unavailable");
    return e.message;
  }
}

export const WordsContext = createContext<Words | null>(null);

export function useWords(): Words {
  return useContext(WordsContext)!;
}
