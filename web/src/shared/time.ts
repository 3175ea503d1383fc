/** Formats the times of messages in the reader's language and time zone. */
export class Clock {
  private hour: Intl.DateTimeFormat;
  private date: Intl.DateTimeFormat;
  private both: Intl.DateTimeFormat;

  constructor(language: string, private words: { today: string; yesterday: string }) {
    const locale = language === "zh" ? "zh-CN" : navigator.language.startsWith("en") ? navigator.language : "en";
    this.hour = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" });
    this.date = new Intl.DateTimeFormat(locale, { weekday: "short", month: "short", day: "numeric" });
    this.both = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
  }

  time(at: number): string {
    return this.hour.format(at);
  }

  full(at: number): string {
    return this.both.format(at);
  }

  day(at: number, now = Date.now()): string {
    const days = Math.round((midnight(now) - midnight(at)) / 864e5);
    return days === 0 ? this.words.today : days === 1 ? this.words.yesterday : this.date.format(at);
  }

  sameDay(a: number, b: number): boolean {
    return midnight(a) === midnight(b);
  }
}

function midnight(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}
