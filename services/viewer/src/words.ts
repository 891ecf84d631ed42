/** Numbers, sizes and dates as people read them. */

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** 1234 -> "1,234". */
export function count(value: number): string {
  return NUMBER.format(value);
}

/** "1 product", "2 products". */
export function plural(value: number, word: string): string {
  return `${count(value)} ${word}${value === 1 ? "" : "s"}`;
}

/** Bytes in decimal units. */
export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let step = 0;
  while (bytes >= 999.5 && step < units.length - 1) {
    bytes /= 1000;
    step += 1;
  }
  return `${step && bytes < 99.5 ? bytes.toFixed(1) : Math.round(bytes)} ${units[step]}`;
}

/** Square kilometres. */
export function area(km2: number): string {
  return `${km2 < 10 ? km2.toFixed(1) : count(km2)} km²`;
}

/** Two bounds as one, or as a range. */
export function range(least: number, most: number, write: (value: number) => string): string {
  return least === most ? write(most) : `${write(least)} to ${write(most)}`;
}

/** Reflectance and the like. */
export function value(number: number | null): string {
  return number === null ? "–" : number.toFixed(4);
}

/** The day of an instant, UTC: "2025-07-03". */
export function day(instant: string): string {
  return instant.slice(0, 10);
}

/** "3 Jul 2025". */
export function date(instant: string): string {
  const parsed = new Date(`${day(instant)}T00:00:00Z`);
  if (Number.isNaN(parsed.getTime())) return instant;
  return parsed.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
}

/** "52.2914° N, 12.1543° E". */
export function place(lon: number, lat: number): string {
  return `${Math.abs(lat).toFixed(4)}° ${lat < 0 ? "S" : "N"}, ${Math.abs(lon).toFixed(4)}° ${lon < 0 ? "W" : "E"}`;
}
