import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { Language, Translate } from "../shared/i18n";
import { Clock } from "../shared/time";
import type en from "../i18n/window.en.json";

export type Key = keyof typeof en;

export interface Texts {
  language: Language;
  catalog: Record<Key, string>;
}

export interface Words {
  t: Translate<Key>;
  clock: Clock;
}

export const WordsContext = createContext<Words | null>(null);

export function useWords(): Words {
  return useContext(WordsContext)!;
}
