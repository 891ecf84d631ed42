/** Marks on the map: the pixel, the ground of a cube, and a box that is being drawn. */

import type OlMap from "ol/Map";
import Feature from "ol/Feature";
import type Geometry from "ol/geom/Geometry";
import type { FeatureLike } from "ol/Feature";
import Draw, { createBox } from "ol/interaction/Draw";
import VectorLayer from "ol/layer/Vector";
import Point from "ol/geom/Point";
import Polygon from "ol/geom/Polygon";
import { fromLonLat, toLonLat, transform } from "ol/proj";
import VectorSource from "ol/source/Vector";
import CircleStyle from "ol/style/Circle";
import Fill from "ol/style/Fill";
import Stroke from "ol/style/Stroke";
import Style from "ol/style/Style";
import { colour, onScheme } from "./colours";
import type { Explained } from "./explain";
import { motion } from "./map";
import { changed, type Box, type Store } from "./state";

/** The marks. */
export class Marks {
  readonly #pixel = new Feature<Geometry>();
  readonly #cube = new Feature<Geometry>();
  readonly #layer: VectorLayer;
  #drawing: Draw | null = null;

  constructor(
    private readonly map: OlMap,
    private readonly store: Store,
  ) {
    const source = new VectorSource({ features: [this.#cube, this.#pixel] });
    this.#layer = new VectorLayer({ source, zIndex: 40, style: (feature) => this.#style(feature) });
    map.addLayer(this.#layer);
    onScheme(() => this.#layer.changed());
    store.watch((now, before) => {
      if (changed(now, before, "pixel")) {
        this.#pixel.setGeometry(now.pixel ? new Point(fromLonLat(now.pixel)) : undefined);
      }
      if (changed(now, before, "tab")) {
        this.stop();
        this.#layer.changed();
      }
    });
  }

  /** Whether a box is being drawn. */
  get drawing(): boolean {
    return this.#drawing !== null;
  }

  /** Lets the user draw a box: two clicks, or drag; Escape ends it. */
  draw(): void {
    this.stop();
    const drawing = new Draw({ type: "Circle", geometryFunction: createBox() });
    drawing.on("drawend", (event) => {
      const extent = event.feature.getGeometry()!.getExtent();
      const [west, south] = toLonLat([extent[0]!, extent[1]!]);
      const [east, north] = toLonLat([extent[2]!, extent[3]!]);
      setTimeout(() => this.stop()); // after the click that ends it, which is no question about a pixel
      this.store.set({ box: [west!, south!, east!, north!] as Box, tile: "" });
    });
    this.#drawing = drawing;
    this.map.addInteraction(drawing);
    this.map.getViewport()?.classList.add("drawing");
    this.map.getTargetElement()?.focus();
  }

  /** Ends drawing. */
  stop(): void {
    if (this.#drawing) this.map.removeInteraction(this.#drawing);
    this.#drawing = null;
    this.map.getViewport()?.classList.remove("drawing");
  }

  /** Outlines the ground of a cube and moves the map there, if that is wanted; null: none. */
  outline(window: Explained["window"] | null, moved = false): void {
    if (!window) {
      this.#cube.setGeometry(undefined);
      return;
    }
    const [left, bottom, right, top] = window.bounds;
    const ring = around([
      [left, bottom],
      [right, bottom],
      [right, top],
      [left, top],
      [left, bottom],
    ]).map((corner) => transform(corner, window.crs, "EPSG:3857"));
    const polygon = new Polygon([ring]);
    this.#cube.setGeometry(polygon);
    if (moved) this.map.getView().fit(polygon.getExtent(), { padding: [32, 32, 48, 32], duration: motion() });
  }

  #style(feature: FeatureLike): Style | undefined {
    if (feature === this.#pixel) {
      return new Style({
        image: new CircleStyle({
          radius: 7,
          stroke: new Stroke({ color: "#fff", width: 3 }),
          fill: new Fill({ color: colour("accent-map") }),
        }),
      });
    }
    if (this.store.now.tab !== "cube") return undefined;
    return new Style({
      stroke: new Stroke({ color: colour("accent-map"), width: 3, lineDash: [10, 6] }),
    });
  }
}

/** A ring with more corners, as its straight edges are curves elsewhere. */
function around(ring: readonly (readonly [number, number])[]): [number, number][] {
  const parts = 16;
  return ring.slice(1).flatMap(([x, y], i) => {
    const [fromX, fromY] = ring[i]!;
    return Array.from({ length: parts }, (_, k): [number, number] => [
      fromX + ((x - fromX) * k) / parts,
      fromY + ((y - fromY) * k) / parts,
    ]);
  });
}
