/** Colours of the map, which the style sheet decides: they follow the light or dark scheme. */

/** The value of a custom property of the style sheet. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim() || "#888";
}

/** Calls a function whenever the scheme changes. */
export function onScheme(changed: () => void): void {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
}

/** A few colours that tell owners apart, to people with poor colour vision too (Okabe and Ito). */
export const DISTINCT = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#b8a800", "#7a5195"];

/** One of them for a tile such as "32TNM": neighbours in its zone differ. */
export function colourOf(tile: string): string {
  const column = tile.charCodeAt(3);
  const row = tile.charCodeAt(4);
  const zone = Number.parseInt(tile, 10);
  return DISTINCT[(column + 3 * row + 5 * zone) % DISTINCT.length] ?? DISTINCT[0]!;
}
