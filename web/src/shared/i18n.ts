export type Language = "en" | "zh";

/** The first language of the wishes that there is a catalog for: "zh-CN" is zh, "en-GB" is en. */
export function pick(wishes: (string | null | undefined)[]): Language {
  for (const wish of wishes) {
    const found = /^(en|zh)\b/i.exec(wish || "");
    if (found) return found[1].toLowerCase() as Language;
  }
  return "en";
}

/** Looks texts up by key; {name} is replaced by values.name. Overrides (a campaign's texts) come first. */
export type Translate<K extends string> = (key: K, values?: Record<string, string | number>) => string;

export function translator<K extends string>(catalog: Record<K, string>, overrides: Partial<Record<string, string>> = {}): Translate<K> {
  return (key, values = {}) => (overrides[key] || catalog[key]).replace(/{(\w+)}/g, (_, name) => values[name] as string);
}
