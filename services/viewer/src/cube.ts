/** The tab that gets pixels: a tile with its neighbourhood or a box, what that costs, and how it is loaded. */

import { choice, failure, field, fill, make, small } from "./dom";
import { cubeParameters, explain, told, type Explained } from "./explain";
import { address, ask, Asker, isAborted, later, say } from "./service";
import { snippet } from "./snippet";
import { BANDS, changed, isDay, type Box, type State, type Store } from "./state";
import { date } from "./words";
import { token } from "./token";

/** What the map does for this tab. */
export interface Ground {
  /** Lets the user draw a box. */
  draw(): void;
  /** What is in view. */
  seen(): Box;
  /** Outlines the ground of a cube; null: none. The map may move there. */
  outline(window: Explained["window"] | null, moved?: boolean): void;
}

const TITLES: readonly (readonly [string, string])[] = [
  ["netcdf", "netCDF"],
  ["cog", "Cloud Optimized GeoTIFF"],
  ["zarr", "Zarr (zip)"],
];

/** The tab. */
export class Cube {
  readonly element = make("div", { class: "cube" });
  readonly #asker = new Asker();
  readonly #tiles = make("datalist", { id: "tiles" });
  readonly #tile = make("input", {
    id: "tile",
    list: "tiles",
    placeholder: "32TNM",
    maxLength: 5,
    autocomplete: "off",
    spellcheck: false,
  });
  readonly #buffer = make("input", { id: "buffer", type: "range", min: "0", max: "50", step: "1" });
  readonly #bufferTold = make("output", { for: "buffer" });
  readonly #corners = ["West", "South", "East", "North"].map((name) =>
    make("input", { type: "number", step: "any", id: name.toLowerCase(), "aria-label": name, placeholder: name }),
  );
  readonly #format = choice(TITLES, "netcdf");
  readonly #when = make("p", { class: "hint" });
  readonly #cost = make("div", { class: "cost", "aria-live": "polite" });
  readonly #loading = make("div", { class: "loading" });

  #shown: string;

  constructor(
    private readonly store: Store,
    private readonly ground: Ground,
  ) {
    this.#shown = store.now.view ? store.now.tile : "";
    this.#build();
    const soon = later(250, () => void this.#explain());
    store.watch((now, before) => {
      if (!changed(now, before, "tab", "tile", "buffer", "box", "bands", "format", "from", "to", "cloud", "left"))
        return;
      this.#refresh(now);
      soon();
    });
  }

  /** Takes note of tiles that can be chosen. */
  setTiles(tiles: readonly string[]): void {
    fill(this.#tiles, ...tiles.map((tile) => make("option", { value: tile })));
  }

  #build(): void {
    const box = make("fieldset", { class: "box" }, make("legend", {}, "… or a box, in degrees"));
    box.append(
      make("div", { class: "corners" }, ...this.#corners),
      make(
        "div",
        { class: "actions" },
        make("button", { type: "button", id: "draw", onclick: () => this.ground.draw() }, "Draw on the map"),
        make(
          "button",
          { type: "button", onclick: () => this.store.set({ box: this.ground.seen(), tile: "" }) },
          "The view",
        ),
        make("button", { type: "button", onclick: () => this.store.set({ box: null }) }, "None"),
      ),
    );
    const bands = make("fieldset", { class: "bands" }, make("legend", {}, "Bands"));
    for (const band of BANDS) bands.append(this.#band(band));
    this.#format.id = "format";
    this.#bindings();
    this.element.append(
      make(
        "fieldset",
        {},
        make("legend", {}, "A tile and what lies around it"),
        this.#tiles,
        field("Tile: its name, or a click on the map", this.#tile),
        field("Around it", make("span", { class: "slider" }, this.#buffer, this.#bufferTold)),
      ),
      box,
      bands,
      this.#when,
      this.#cost,
      this.#loading,
    );
  }

  #band(band: string): HTMLElement {
    const input = make("input", { type: "checkbox", value: band });
    input.addEventListener("change", () => {
      const chosen = this.store.now.bands.filter((one) => one !== band);
      const wanted = input.checked ? [...chosen, band] : chosen;
      this.store.set({ bands: BANDS.filter((one) => wanted.includes(one)) });
    });
    return make("label", { class: "chip" }, input, make("span", {}, band));
  }

  #bindings(): void {
    this.#tile.addEventListener("input", () => {
      const tile = this.#tile.value.trim().toUpperCase();
      if (/^\d{2}[A-Z]{3}$/.test(tile)) this.store.set({ tile, box: null });
      else if (!tile) this.store.set({ tile: "" });
    });
    this.#buffer.addEventListener("input", () => this.store.set({ buffer: Number(this.#buffer.value) }));
    for (const corner of this.#corners) {
      corner.addEventListener("change", () => {
        const values = this.#corners.map((one) => one.valueAsNumber);
        if (values.every(Number.isFinite)) this.store.set({ box: values as Box, tile: "" });
      });
    }
    this.#format.addEventListener("change", () => this.store.set({ format: this.#format.value }));
  }

  #refresh(now: State): void {
    if (document.activeElement !== this.#tile || now.tile) this.#tile.value = now.tile;
    this.#buffer.value = String(now.buffer);
    this.#bufferTold.textContent = `${now.buffer} km`;
    this.#buffer.disabled = now.box !== null;
    this.#corners.forEach((corner, i) => (corner.value = now.box ? String(Number(now.box[i]!.toFixed(5))) : ""));
    this.#format.value = now.format;
    for (const input of this.element.querySelectorAll<HTMLInputElement>(".bands input")) {
      input.checked = now.bands.includes(input.value);
    }
    const day = isDay(now.left.what) ? now.left.what : "";
    this.#when.textContent = day
      ? `When: ${date(day)}, the day shown on the left.`
      : now.from || now.to
        ? `When: ${now.from ? date(now.from) : "…"} to ${now.to ? date(now.to) : "…"}.`
        : "When: all time. Choose a period or a day to get less.";
  }

  async #explain(): Promise<void> {
    const now = this.store.now;
    this.#asker.stop();
    const ready = (now.tile || now.box) && now.bands.length;
    if (!ready || now.tab !== "cube") {
      if (!ready) this.ground.outline(null);
      fill(this.#loading);
      const lacks = now.bands.length ? "Choose a tile, or a box." : "Choose a band.";
      fill(this.#cost, ready ? null : make("p", { class: "empty" }, lacks));
      return;
    }
    fill(this.#cost, make("p", { class: "busy" }, "Asking what it costs …"));
    try {
      const explained = await explain(now, this.#asker.next());
      this.ground.outline(explained.window, now.tile !== "" && now.tile !== this.#shown);
      this.#shown = now.tile;
      fill(this.#cost, costs(explained));
      this.#offer(now, explained);
    } catch (error) {
      if (isAborted(error)) return;
      fill(this.#loading);
      this.ground.outline(null);
      fill(this.#cost, failure("There is no such cube", say(error)));
    }
  }

  #offer(now: State, explained: Explained): void {
    const status = make("p", { class: "busy", role: "status" });
    const button = make("button", { type: "button", class: "primary", id: "download" }, "Download");
    button.addEventListener("click", () => void download(this.store.now, button, status));
    const text = snippet(now, document.baseURI.replace(/[?#].*$/, ""));
    const code = make("pre", { tabIndex: 0, "aria-label": "Python that loads it" }, text);
    const copied = make("span", { role: "status", class: "copied" });
    const copy = make("button", { type: "button", id: "copy" }, "Copy");
    copy.addEventListener("click", () => void copyText(text, code, copied));
    fill(
      this.#loading,
      field("Format", this.#format),
      make("div", { class: "actions" }, button, small(`${told(explained.decoded)} before compression`)),
      status,
      make("h4", {}, "In Python"),
      code,
      make("div", { class: "actions" }, copy, copied),
    );
  }
}

/** What a cube costs, beside what the SAFEs would. */
function costs(explained: Explained): HTMLElement {
  const rows = explained.rows.map(([name, here, safe]) =>
    make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, here), make("td", {}, safe)),
  );
  return make(
    "table",
    { class: "costs" },
    make("caption", {}, "What is read"),
    make("thead", {}, make("tr", {}, ...["", "Here", "From SAFE"].map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...rows),
  );
}

async function download(state: State, button: HTMLButtonElement, status: HTMLElement): Promise<void> {
  const url = address("cubes/cube", { ...cubeParameters(state), format: state.format });
  button.disabled = true;
  status.textContent = "Making the file …";
  try {
    const answer = await ask(url);
    const named = /filename="?([^";]+)"?/.exec(answer.headers.get("content-disposition") ?? "");
    const link = make("a", { href: URL.createObjectURL(await answer.blob()), download: named?.[1] ?? "cube" });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    status.textContent = "Downloaded.";
  } catch (error) {
    fill(status, make("span", { role: "alert" }, say(error)));
    if ((error as { status?: number }).status === 413) status.append(job(state));
  } finally {
    button.disabled = false;
  }
}

/** The request that makes a large cube as a job. */
function job(state: State): HTMLElement {
  const { bbox, bands, ...rest } = cubeParameters(state);
  const inputs = {
    ...Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null && value !== "")),
    ...(bbox ? { bbox: state.box } : {}),
    bands: String(bands).split(","),
  };
  const text = [
    `curl -i ${address("cubes/processes/cube/execution").href} \\`,
    ...(token() ? ['  -H "Authorization: Bearer $ABUT_TOKEN" \\'] : []),
    "  -H 'Prefer: respond-async' -H 'Content-Type: application/json' \\",
    `  -d '${JSON.stringify({ inputs })}'`,
  ].join("\n");
  return make(
    "div",
    {},
    make("p", {}, "It is a job then: the service makes it in its own time, as Zarr."),
    make("pre", { tabIndex: 0, "aria-label": "Request of the job" }, text),
  );
}

async function copyText(text: string, shown: HTMLElement, told: HTMLElement): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    told.textContent = "Copied.";
  } catch {
    getSelection()?.selectAllChildren(shown);
    told.textContent = "Selected: copy it with your keyboard.";
  }
}
