/** Calls fn after the address of a page changed without a load (single-page applications). */
export function onNavigate(fn: () => void): void {
  let last = location.href;
  const check = () => {
    if (location.href === last) return;
    last = location.href;
    // The application sets the title after the address.
    setTimeout(fn, 100);
  };
  for (const name of ["pushState", "replaceState"] as const) {
    const original = history[name];
    history[name] = function (...args: Parameters<History["pushState"]>) {
      original.apply(history, args);
      check();
    };
  }
  addEventListener("popstate", check);
  addEventListener("hashchange", check);
}

/** Storage of the customer's page, or memory where the browser forbids it; "" is nothing. */
export function storage(kind: "localStorage" | "sessionStorage", key: string): (value?: string) => string {
  let memory = "";
  return (value) => {
    try {
      if (value !== undefined) window[kind].setItem(key, value);
      memory = window[kind].getItem(key) || "";
    } catch {
      memory = value === undefined ? memory : value;
    }
    return memory;
  };
}
