/** What draws the agent's eye and ear: the title's count, a short sound, a notification. */
export class Alerts {
  sound: boolean;
  notify: boolean;
  private audio: AudioContext | null = null;

  constructor(private title: string) {
    this.sound = read("sound") !== "off";
    this.notify = read("notify") === "on" && "Notification" in window && Notification.permission === "granted";
    // Browsers let a page sound only after somebody has touched it.
    addEventListener("pointerdown", () => this.unlock(), { once: true });
  }

  setSound(on: boolean): void {
    this.sound = on;
    write("sound", on ? "on" : "off");
    if (on) this.beep();
  }

  /** Turns notifications on or off; false if the browser does not allow them. */
  async setNotify(on: boolean): Promise<boolean> {
    if (on && !("Notification" in window)) return false;
    if (on && (await Notification.requestPermission()) !== "granted") return false;
    this.notify = on;
    write("notify", on ? "on" : "off");
    return true;
  }

  count(n: number): void {
    document.title = n ? `(${n}) ${this.title}` : this.title;
  }

  /** Something happened that the agent may not be looking at. */
  raise(title: string, body: string, tag: string): void {
    if (this.sound) this.beep();
    if (!this.notify || !document.hidden) return;
    const n = new Notification(title, { body: body.slice(0, 140), tag });
    n.onclick = () => {
      window.focus();
      n.close();
    };
  }

  private unlock(): void {
    this.audio = this.audio || new AudioContext();
    void this.audio.resume();
  }

  private beep(): void {
    const audio = this.audio;
    if (!audio || audio.state !== "running") return;
    const at = audio.currentTime;
    [660, 880].forEach((hz, i) => {
      const tone = audio.createOscillator();
      const volume = audio.createGain();
      const start = at + i * 0.13;
      tone.frequency.value = hz;
      volume.gain.setValueAtTime(0.0001, start);
      volume.gain.exponentialRampToValueAtTime(0.12, start + 0.02);
      volume.gain.exponentialRampToValueAtTime(0.0001, start + 0.22);
      tone.connect(volume).connect(audio.destination);
      tone.start(start);
      tone.stop(start + 0.25);
    });
  }
}

export function read(name: string): string | null {
  try {
    return localStorage.getItem("parlor-console-" + name);
  } catch {
    return null;
  }
}

export function write(name: string, value: string): void {
  try {
    localStorage.setItem("parlor-console-" + name, value);
  } catch {
    // The choice lasts as long as the page.
  }
}
