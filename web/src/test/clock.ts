// A clock that the tests move by hand: timers run when their time has come, in
// order, and promises that are due settle in between.

interface Timer {
  id: number;
  at: number;
  fn: () => void;
}

let now = 1_800_000_000_000;
let timers: Timer[] = [];
let lastId = 0;

(globalThis as any).setTimeout = (fn: () => void, ms = 0) => {
  timers.push({ id: ++lastId, at: now + Math.max(0, ms), fn });
  return lastId;
};
(globalThis as any).clearTimeout = (id: number | undefined) => {
  timers = timers.filter((t) => t.id !== id);
};
Date.now = () => now;

/** Lets everything that waits for no timer happen. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

/** Moves the clock on. */
export async function pass(ms: number): Promise<void> {
  const end = now + ms;
  await settle();
  for (;;) {
    const due = timers.filter((t) => t.at <= end).sort((a, b) => a.at - b.at || a.id - b.id)[0];
    if (!due) break;
    timers = timers.filter((t) => t !== due);
    now = Math.max(now, due.at);
    due.fn();
    await settle();
  }
  now = end;
}

/** Forgets the timers of the test before. */
export function quiet(): void {
  timers = [];
}

/** Random numbers that are the same in each run: mulberry32. */
export function random(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
