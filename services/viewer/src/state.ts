/** What is shown, kept in the address after the hash, so that an address can be shared. */

export type Order = "latest" | "earliest" | "least-cloudy";
export type Tab = "products" | "picture" | "pixel" | "cube";
export type Overlay = "footprints" | "grid" | "blocks" | "owners" | "overlap";

/** A picture: of all that was found (""), of a day ("2025-07-03") or of one product (its id), in a render. */
export interface Picture {
  what: string;
  render: string;
}

export type Box = [west: number, south: number, east: number, north: number];

export interface State {
  /** Centre and zoom of the map; null until something is known. */
  view: [lon: number, lat: number, zoom: number] | null;
  from: string;
  to: string;
  cloud: number;
  order: Order;
  inView: boolean;
  left: Picture;
  right: Picture | null;
  /** Where the two meet, 0 to 1. */
  swipe: number;
  overlays: readonly Overlay[];
  tab: Tab;
  pixel: [lon: number, lat: number] | null;
  tile: string;
  /** Kilometres around the tile. */
  buffer: number;
  box: Box | null;
  bands: readonly string[];
  format: string;
}

const ORDERS: readonly Order[] = ["latest", "earliest", "least-cloudy"];
const TABS: readonly Tab[] = ["products", "picture", "pixel", "cube"];
export const OVERLAYS: readonly Overlay[] = ["footprints", "grid", "blocks", "owners", "overlap"];
export const BANDS = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"];
export const FORMATS = ["zarr", "netcdf", "cog"] as const;
export const RENDER = "true-colour";

/** What a fresh page shows. */
export const INITIAL: State = {
  view: null,
  from: "",
  to: "",
  cloud: 100,
  order: "latest",
  inView: true,
  left: { what: "", render: RENDER },
  right: null,
  swipe: 0.5,
  overlays: ["footprints"],
  tab: "products",
  pixel: null,
  tile: "",
  buffer: 0,
  box: null,
  bands: ["B02", "B03", "B04", "B08"],
  format: "netcdf",
};

/** Reads a state from the hash of an address; what has no meaning is as in `INITIAL`. */
export function parse(hash: string): State {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const text = (key: string, pattern: RegExp, otherwise: string) => {
    const found = given.get(key);
    return found !== null && pattern.test(found) ? found : otherwise;
  };
  const among = <T extends string>(key: string, known: readonly T[], otherwise: T): T =>
    known.find((one) => one === given.get(key)) ?? otherwise;
  const several = <T extends string>(key: string, known: readonly T[], otherwise: readonly T[]): readonly T[] =>
    given.has(key) ? known.filter((one) => given.get(key)?.split(",").includes(one)) : otherwise;
  const picture = (key: string): Picture => ({
    what: text(key, /^[\w.-]{0,200}$/, ""),
    render: text(`${key}-render`, /^[a-z0-9-]{1,40}$/, RENDER),
  });
  const view = numbers(given.get("at"), 3);
  const pixel = numbers(given.get("pixel"), 2);
  const box = numbers(given.get("box"), 4);
  return {
    view: view && ([clamp(view[0]!, -180, 180), clamp(view[1]!, -85, 85), clamp(view[2]!, 0, 20)] as const as never),
    from: text("from", /^\d{4}-\d\d-\d\d$/, ""),
    to: text("to", /^\d{4}-\d\d-\d\d$/, ""),
    cloud: clamp(number(given.get("cloud"), INITIAL.cloud), 0, 100),
    order: among("order", ORDERS, INITIAL.order),
    inView: given.get("everywhere") === null,
    left: picture("left"),
    right: given.has("right") ? picture("right") : null,
    swipe: clamp(number(given.get("swipe"), INITIAL.swipe), 0, 1),
    overlays: several("show", OVERLAYS, INITIAL.overlays),
    tab: among("tab", TABS, INITIAL.tab),
    pixel: pixel && [pixel[0]!, clamp(pixel[1]!, -90, 90)],
    tile: text("tile", /^[0-9]{2}[A-Z]{3}$/, ""),
    buffer: clamp(number(given.get("buffer"), 0), 0, 50),
    box: box as Box | null,
    bands: several("bands", BANDS, INITIAL.bands),
    format: among("format", FORMATS, "netcdf"),
  };
}

/** Writes a state as the hash of an address, without what is as in `INITIAL`. */
export function format(state: State): string {
  const made = new URLSearchParams();
  const put = (key: string, value: string, usual = "") => {
    if (value !== usual) made.set(key, value);
  };
  if (state.view) put("at", `${fixed(state.view[0], 5)},${fixed(state.view[1], 5)},${fixed(state.view[2], 2)}`);
  put("from", state.from);
  put("to", state.to);
  put("cloud", String(state.cloud), String(INITIAL.cloud));
  put("order", state.order, INITIAL.order);
  if (!state.inView) made.set("everywhere", "");
  put("left", state.left.what);
  put("left-render", state.left.render, RENDER);
  if (state.right) {
    made.set("right", state.right.what);
    put("right-render", state.right.render, RENDER);
    put("swipe", fixed(state.swipe, 3), fixed(INITIAL.swipe, 3));
  }
  put("show", state.overlays.join(","), INITIAL.overlays.join(","));
  put("tab", state.tab, INITIAL.tab);
  if (state.pixel) put("pixel", state.pixel.map((one) => fixed(one, 5)).join(","));
  put("tile", state.tile);
  put("buffer", String(state.buffer), "0");
  if (state.box) put("box", state.box.map((one) => fixed(one, 5)).join(","));
  put("bands", state.bands.join(","), INITIAL.bands.join(","));
  put("format", state.format, INITIAL.format);
  return made.toString().replaceAll("%2C", ",");
}

/** Tells whether a picture is of a day. */
export function isDay(what: string): boolean {
  return /^\d{4}-\d\d-\d\d$/.test(what);
}

type Listener = (now: State, before: State) => void;

/** The one state of the page; listeners are told of changes. */
export class Store {
  #now: State;
  #listeners: Listener[] = [];

  constructor(initial: State) {
    this.#now = initial;
  }

  get now(): State {
    return this.#now;
  }

  /** Changes some of it. */
  set(changes: Partial<State>): void {
    const before = this.#now;
    const now = { ...before, ...changes };
    if (format(now) === format(before)) return;
    this.#now = now;
    for (const listener of this.#listeners) listener(now, before);
  }

  /** Calls a listener after each change, and once now. */
  watch(listener: Listener): void {
    this.#listeners.push(listener);
    listener(this.#now, this.#now);
  }
}

/** Tells whether any of some parts changed. */
export function changed(now: State, before: State, ...keys: (keyof State)[]): boolean {
  return now === before || keys.some((key) => JSON.stringify(now[key]) !== JSON.stringify(before[key]));
}

function number(text: string | null, otherwise: number): number {
  const found = text === null || text === "" ? Number.NaN : Number(text);
  return Number.isFinite(found) ? found : otherwise;
}

function numbers(text: string | null, length: number): number[] | null {
  const found = text ? text.split(",").map(Number) : [];
  return found.length === length && found.every(Number.isFinite) ? found : null;
}

function clamp(number: number, least: number, most: number): number {
  return Math.min(Math.max(number, least), most);
}

function fixed(number: number, digits: number): string {
  return String(Number(number.toFixed(digits)));
}
