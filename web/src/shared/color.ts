/** A campaign's colour if it is #rrggbb, else the fallback. */
export function color(value: string | undefined, fallback = "#1f5eff"): string {
  return value && /^#[0-9a-f]{6}$/i.test(value) ? value : fallback;
}

/** Black or white: which of them can be read on the colour (WCAG contrast of 4.5, with its gamma taken as 2.2). */
export function textOn(background: string): string {
  const [r, g, b] = [1, 3, 5].map((i) => (parseInt(background.slice(i, i + 2), 16) / 255) ** 2.2);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b < 0.18 ? "#fff" : "#000";
}
