/** Calls wake whenever the device or the page comes back. */
export function onWake(wake: () => void): void {
  addEventListener("online", wake);
  addEventListener("pageshow", wake);
  document.addEventListener("visibilitychange", () => document.hidden || wake());
}
