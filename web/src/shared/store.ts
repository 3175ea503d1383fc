import { useEffect, useReducer } from "preact/hooks";

/** A value that is replaced, never changed in place, and tells who looks at it. */
export class Store<T extends object> {
  private watchers = new Set<() => void>();

  constructor(private value: T) {}

  get(): T {
    return this.value;
  }

  set(part: Partial<T>): void {
    this.value = { ...this.value, ...part };
    for (const w of Array.from(this.watchers)) w();
  }

  watch(fn: () => void): () => void {
    this.watchers.add(fn);
    return () => this.watchers.delete(fn);
  }
}

/** The store's value; the component is drawn again when it changes. */
export function useStore<T extends object>(store: Store<T>): T {
  const [, again] = useReducer<number, void>((n) => n + 1, 0);
  useEffect(() => store.watch(() => again()), [store]);
  return store.get();
}
