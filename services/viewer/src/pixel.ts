/** The tab that shows one pixel: its spectrum, and its values through time. */

import { choice, empty, failure, field, fill, make } from "./dom";
import { DISTINCT } from "./colours";
import { axis, plot, table, type Line } from "./plot";
import { key } from "./renders";
import { askSeries, WAVELENGTH, type Series, type Step } from "./series";
import { Asker, isAborted, say, ServiceError } from "./service";
import { BANDS, changed, type State, type Store } from "./state";
import { date, place, value } from "./words";

const INDICES: readonly (readonly [key: string, title: string, first: string, second: string])[] = [
  ["ndvi", "NDVI (B08, B04)", "B08", "B04"],
  ["ndwi", "NDWI (B03, B08)", "B03", "B08"],
  ["ndmi", "NDMI (B8A, B11)", "B8A", "B11"],
  ["ndsi", "NDSI (B03, B11)", "B03", "B11"],
];
const SHOWN_STEPS = DISTINCT.length;

/** The tab. */
export class Pixel {
  readonly element = make("div", { class: "pixel" });
  readonly #result = make("div", { class: "result", "aria-live": "polite" });
  readonly #asker = new Asker();
  readonly #lon = make("input", { type: "number", id: "lon", step: "any", min: "-180", max: "180", required: true });
  readonly #lat = make("input", { type: "number", id: "lat", step: "any", min: "-85", max: "85", required: true });
  readonly #quantity = choice(
    [...INDICES.map(([key, title]) => [key, title] as const), ...BANDS.map((band) => [band, band] as const)],
    "ndvi",
  );
  #series: Series | null = null;

  constructor(
    private readonly store: Store,
    middle: () => [lon: number, lat: number],
  ) {
    const form = make(
      "form",
      { class: "place", "aria-label": "Which pixel" },
      make("div", { class: "pair" }, field("Longitude", this.#lon), field("Latitude", this.#lat)),
      make(
        "div",
        { class: "actions" },
        make("button", { type: "submit", class: "primary" }, "Read"),
        make("button", { type: "button", onclick: () => store.set({ pixel: middle() }) }, "Middle of the map"),
      ),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      store.set({ pixel: [this.#lon.valueAsNumber, this.#lat.valueAsNumber] });
    });
    this.#quantity.id = "quantity";
    this.#quantity.addEventListener("change", () => this.#draw());
    this.element.append(make("p", { class: "hint" }, "Click on the map, or name a place."), form, this.#result);
    store.watch((now, before) => {
      if (changed(now, before, "pixel")) this.#place(now);
      if (changed(now, before, "pixel", "from", "to", "cloud", "order")) void this.#ask(now);
    });
  }

  #place(now: State): void {
    if (!now.pixel) return;
    this.#lon.value = now.pixel[0].toFixed(5);
    this.#lat.value = now.pixel[1].toFixed(5);
  }

  async #ask(state: State): Promise<void> {
    this.#asker.stop();
    this.#series = null;
    if (!state.pixel) {
      fill(this.#result);
      return;
    }
    fill(this.#result, make("p", { class: "busy" }, "Reading the pixel …"));
    try {
      this.#series = await askSeries(state, state.pixel, this.#asker.next());
      this.#draw();
    } catch (error) {
      if (isAborted(error)) return;
      if (error instanceof ServiceError && error.status === 404) fill(this.#result, nothing());
      else fill(this.#result, failure("The pixel was not read", say(error)));
    }
  }

  #draw(): void {
    const { pixel } = this.store.now;
    const steps = this.#series?.steps ?? [];
    if (!pixel || !this.#series) return;
    if (!steps.length) {
      fill(this.#result, nothing());
      return;
    }
    fill(
      this.#result,
      make("h3", {}, place(...pixel)),
      ...this.#spectrum(steps),
      field("Through time", this.#quantity),
      ...this.#time(steps),
      valuesTable(steps),
    );
  }

  #spectrum(steps: readonly Step[]): (Element | null)[] {
    const shown = steps.slice(-SHOWN_STEPS);
    const lines = shown.map((step, i): Line => ({
      name: date(step.time),
      colour: DISTINCT[i]!,
      strong: step.time.startsWith(this.store.now.left.what) && this.store.now.left.what !== "",
      points: BANDS.map((band) => [WAVELENGTH[band]!, step.values[band] ?? null] as const).sort((a, b) => a[0] - b[0]),
    }));
    const values = lines.flatMap((line) => line.points.map((point) => point[1]).filter((one) => one !== null));
    const x = {
      title: "Wavelength in nm",
      ticks: [500, 1000, 1500, 2000].map((at) => [at, String(at)] as const),
      least: 400,
      most: 2250,
    };
    const more = steps.length > shown.length ? `The latest ${shown.length} of ${steps.length} dates.` : "";
    return [
      make("h4", {}, "Spectrum (reflectance at the top of the atmosphere)"),
      plot("Spectrum; its values are in the table below", x, axis("", values), lines),
      key(lines.map((line) => [line.colour, line.name] as const)),
      more ? make("small", {}, more) : null,
    ];
  }

  #time(steps: readonly Step[]): Element[] {
    const quantity = this.#quantity.value;
    const points = steps.map((step) => [Date.parse(step.time) / 86_400_000, measured(step, quantity)] as const);
    const values = points.map((point) => point[1]).filter((one) => one !== null);
    const least = Math.min(...points.map((point) => point[0])) - 1;
    const most = Math.max(...points.map((point) => point[0])) + 1;
    const wanted = steps.length === 1 ? [steps[0]!] : [steps[0]!, steps.at(-1)!];
    const x = {
      title: "",
      ticks: wanted.map((step) => [Date.parse(step.time) / 86_400_000, date(step.time)] as const),
      least: least - (most - least) * 0.12,
      most: most + (most - least) * 0.12,
    };
    if (!values.length) return [make("p", { class: "hint" }, "No value of this at any date.")];
    const line: Line = { name: quantity, colour: DISTINCT[0]!, points, strong: true };
    return [plot(`${quantity} through time; its values are in the table below`, x, axis("", values), [line])];
  }
}

function nothing(): HTMLElement {
  return empty(
    "No data at this place",
    "No product of the period has seen it. Widen the period, allow more clouds, or click elsewhere.",
  );
}

/** A band's value, or an index. */
function measured(step: Step, quantity: string): number | null {
  const index = INDICES.find(([key]) => key === quantity);
  if (!index) return step.values[quantity] ?? null;
  const first = step.values[index[2]] ?? null;
  const second = step.values[index[3]] ?? null;
  return first === null || second === null || first + second === 0 ? null : (first - second) / (first + second);
}

function valuesTable(steps: readonly Step[]): HTMLElement {
  const rows = steps.map((step) => [
    date(step.time),
    step.cloud === null ? "–" : `${Math.round(step.cloud)} %`,
    ...INDICES.slice(0, 1).map(([key]) => value(measured(step, key))),
    ...BANDS.map((band) => value(step.values[band] ?? null)),
    step.product,
  ]);
  return make(
    "details",
    { open: true },
    make("summary", {}, "Values"),
    table("Reflectance of the pixel", ["Date", "Clouds", "NDVI", ...BANDS, "Product"], rows),
  );
}
