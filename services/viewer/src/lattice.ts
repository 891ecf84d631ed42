/** What lies below the pictures: the grid of tiles, blocks with their state and owner, overlap that is stored no longer. */

import type OlMap from "ol/Map";
import type { FeatureLike } from "ol/Feature";
import { getCenter } from "ol/extent";
import GeoJSON from "ol/format/GeoJSON";
import VectorLayer from "ol/layer/Vector";
import VectorSource from "ol/source/Vector";
import Fill from "ol/style/Fill";
import Stroke from "ol/style/Stroke";
import Style from "ol/style/Style";
import Text from "ol/style/Text";
import { colour, colourOf, onScheme } from "./colours";
import { fill, make } from "./dom";
import { seen } from "./map";
import { OVERLAY_TITLES } from "./overlays";
import { COLLECTION, period } from "./products";
import { key } from "./renders";
import { address, askJson, Asker, isAborted, later, say, ServiceError } from "./service";
import { changed, isDay, type Overlay, type State, type Store } from "./state";
import { area, count, plural, size } from "./words";

const READ = { dataProjection: "EPSG:4326", featureProjection: "EPSG:3857" };
const PRODUCTS = 12;
/** Zoom from which on blocks and tiles can be told apart. */
const NEAREST = 5.5;
const KINDS = ["grid", "blocks", "owners", "overlap"] as const;
type Kind = (typeof KINDS)[number];

interface Share {
  blocks: number;
  km2: number;
  bytes: number | null;
}

interface Collection {
  features: object[];
}

/** The layers, and what is told of them beside the map. */
export class Lattice {
  readonly #sources = new Map<Kind, VectorSource>();
  readonly #askers = new Map<Kind, Asker>();
  readonly #told = new Map<Kind, Element[]>();

  constructor(
    private readonly map: OlMap,
    private readonly store: Store,
    private readonly told: HTMLElement,
  ) {
    for (const [i, kind] of KINDS.entries()) {
      const source = new VectorSource();
      const layer = new VectorLayer({ source, zIndex: 12 + i, declutter: true, style: STYLES[kind] });
      this.#sources.set(kind, source);
      this.#askers.set(kind, new Asker());
      map.addLayer(layer);
      onScheme(() => layer.changed());
    }
    const soon = later(200, () => this.#refresh());
    store.watch((now, before) => {
      if (changed(now, before, "overlays", "view", "left", "from", "to", "cloud")) soon();
    });
  }

  #refresh(): void {
    const now = this.store.now;
    const near = now.view !== null && now.view[2] >= NEAREST;
    for (const kind of KINDS) {
      const wanted = (now.overlays as readonly Overlay[]).includes(kind);
      if (wanted && near) void this.#show(kind, now);
      else this.#hide(kind, wanted);
    }
  }

  #hide(kind: Kind, wanted: boolean): void {
    this.#askers.get(kind)!.stop();
    this.#sources.get(kind)!.clear();
    this.#tell(kind, wanted ? [make("p", { class: "hint" }, `${OVERLAY_TITLES[kind]}: zoom in to see it.`)] : []);
  }

  async #show(kind: Kind, now: State): Promise<void> {
    const signal = this.#askers.get(kind)!.next();
    try {
      const shown = await this.#ask(kind, now, signal);
      const features = new GeoJSON().readFeatures({ type: "FeatureCollection", features: shown }, READ);
      features.forEach((feature) => feature.setId(undefined)); // blocks of neighbours have the same
      const source = this.#sources.get(kind)!;
      source.clear(true);
      source.addFeatures(features);
    } catch (error) {
      if (isAborted(error)) return;
      this.#sources.get(kind)!.clear();
      const wide = error instanceof ServiceError && error.status === 413;
      this.#tell(kind, [make("p", { class: "hint" }, wide ? "Zoom in to see this." : say(error))]);
    }
  }

  async #ask(kind: Kind, now: State, signal: AbortSignal): Promise<object[]> {
    const bbox = seen(this.map)
      .map((one) => one.toFixed(4))
      .join(",");
    if (kind === "grid") {
      const found = await askJson<Collection>(address("tiles/lattice/grid", { bbox }), signal);
      this.#tell(kind, []);
      return found.features;
    }
    const products = await askOfTiles(now, bbox, signal);
    const route = kind === "overlap" ? "tiles/lattice/overlap" : "tiles/lattice/blocks";
    const found = await Promise.all(products.map((id) => askJson<Collection>(address(route, { item: id }), signal)));
    if (kind === "overlap") await this.#askTotal(now, bbox, signal);
    else this.#tell(kind, kind === "blocks" ? stateKey() : ownerKey(found));
    return distinct(
      found.flatMap((one) => one.features),
      kind,
    );
  }

  /** Asks what the products in view and of the period save together. */
  async #askTotal(now: State, bbox: string, signal: AbortSignal): Promise<void> {
    const day = isDay(now.left.what) ? now.left.what : "";
    const total = await askJson<{ products: number; released_by: number; held: Share; released: Share }>(
      address("tiles/lattice/overlap", { bbox, datetime: day || period(now) }),
      signal,
    );
    const { released, held } = total;
    const bytes = released.bytes === null ? "" : `, ${size(released.bytes)}`;
    this.#tell("overlap", [
      key([[RELEASED, "Overlap that a neighbour holds"]]),
      make(
        "p",
        { id: "overlap-total" },
        make("strong", {}, `${area(released.km2)}, ${plural(released.blocks, "block")}${bytes}`),
        ` not stored twice, of ${plural(total.products, "product")} here; ${count(held.blocks)} blocks are stored.`,
      ),
    ]);
  }

  #tell(kind: Kind, content: Element[]): void {
    this.#told.set(kind, content);
    fill(this.told, ...KINDS.flatMap((one) => this.#told.get(one) ?? []));
  }
}

/** Asks for the tile whose middle is nearest to a place; "" where there is none. */
export async function tileAt(lon: number, lat: number): Promise<string> {
  const bbox = [lon - 1e-4, lat - 1e-4, lon + 1e-4, lat + 1e-4].map((one) => one.toFixed(5)).join(",");
  const found = await askJson<Collection>(address("tiles/lattice/grid", { bbox }));
  const tiles = new GeoJSON().readFeatures({ type: "FeatureCollection", features: found.features });
  const away = (feature: FeatureLike) => {
    const [x, y] = getCenter(feature.getGeometry()!.getExtent());
    return Math.hypot((x! - lon) * Math.cos((lat * Math.PI) / 180), y! - lat);
  };
  const nearest = tiles.sort((a, b) => away(a) - away(b))[0];
  return nearest ? String(nearest.get("tile")) : "";
}

/** Features without those that say the same of the same ground, as products of other dates do. */
function distinct(features: readonly object[], kind: Kind): object[] {
  const found = new Map<string, object>();
  for (const feature of features) {
    const { geometry, properties } = feature as { geometry: object; properties: Record<string, unknown> };
    const { tile, state, owner } = properties;
    if (kind === "owners" && state === "empty") continue;
    found.set(JSON.stringify(kind === "owners" ? [geometry, owner] : [geometry, tile, state]), feature);
  }
  return [...found.values()];
}

/** Asks for ids of products whose tiles are in view: what they released lies where a search by place finds others. */
async function askOfTiles(now: State, bbox: string, signal: AbortSignal): Promise<string[]> {
  const { what } = now.left;
  if (what && !isDay(what)) return [what];
  const grid = await askJson<Collection>(address("tiles/lattice/grid", { bbox }), signal);
  const tiles = grid.features.map(
    (feature) => `'MGRS-${(feature as { properties: { tile: string } }).properties.tile}'`,
  );
  const url = address("stac/search", {
    collections: COLLECTION,
    datetime: what ? `${what}T00:00:00Z/${what}T23:59:59.999Z` : period(now),
    filter: `grid:code IN (${tiles.join(", ")}) AND eo:cloud_cover <= ${now.cloud}`,
    sortby: "-properties.datetime",
    fields: "id,-geometry,-assets,-links",
    limit: PRODUCTS,
  });
  return (await askJson<{ features: { id: string }[] }>(url, signal)).features.map((one) => one.id);
}

const HELD = "#009e73";
const RELEASED = "#e69f00";
const EMPTY = "#8a9aa0";
const CLEAR = "rgba(0,0,0,0)";

const STYLES: Record<Kind, (feature: FeatureLike) => Style | undefined> = {
  grid: (feature) =>
    new Style({
      stroke: new Stroke({ color: colour("grid"), width: 1.25, lineDash: [6, 4] }),
      text: label(String(feature.get("tile")), colour("grid")),
    }),
  blocks: (feature) => {
    const state = String(feature.get("state"));
    if (state === "empty") return new Style({ stroke: new Stroke({ color: `${EMPTY}55`, width: 0.75 }) });
    const shade = state === "held" ? HELD : RELEASED;
    return new Style({
      stroke: new Stroke({ color: shade, width: 1.25 }),
      fill: new Fill({ color: state === "held" ? `${shade}33` : CLEAR }),
      zIndex: state === "held" ? 1 : 0,
    });
  },
  owners: (feature) => {
    if (feature.get("state") === "empty") return undefined;
    const owner = String(feature.get("owner"));
    return new Style({
      stroke: new Stroke({ color: colourOf(owner), width: 1.25 }),
      fill: new Fill({ color: `${colourOf(owner)}40` }),
    });
  },
  overlap: (feature) =>
    new Style({
      stroke: new Stroke({ color: RELEASED, width: 1.5 }),
      fill: new Fill({ color: `${RELEASED}66` }),
      text: label(`held by ${String(feature.get("tile"))}`, colour("ink")),
    }),
};

function stateKey(): Element[] {
  return [
    key([
      [HELD, "Stored here"],
      [RELEASED, "Released: a neighbour holds it"],
      [EMPTY, "Without data"],
    ]),
  ];
}

function ownerKey(found: readonly Collection[]): Element[] {
  const owners = new Set<string>();
  for (const feature of found.flatMap((one) => one.features)) {
    const told = (feature as { properties: { owner: string; state: string } }).properties;
    if (told.state !== "empty") owners.add(told.owner);
  }
  return [key([...owners].sort().map((owner) => [colourOf(owner), `Owner ${owner}`] as const))];
}

function label(text: string, ink: string): Text {
  return new Text({
    text,
    font: "600 12px system-ui, sans-serif",
    fill: new Fill({ color: ink }),
    stroke: new Stroke({ color: colour("paper"), width: 3 }),
    overflow: true,
  });
}
