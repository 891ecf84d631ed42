/** Footprints of the products that were found. */

import type OlMap from "ol/Map";
import Feature from "ol/Feature";
import GeoJSON from "ol/format/GeoJSON";
import type Geometry from "ol/geom/Geometry";
import VectorLayer from "ol/layer/Vector";
import VectorSource from "ol/source/Vector";
import Fill from "ol/style/Fill";
import Stroke from "ol/style/Stroke";
import Style from "ol/style/Style";
import { colour, onScheme } from "./colours";
import type { Product } from "./products";
import { changed, type Store } from "./state";

const READ = { dataProjection: "EPSG:4326", featureProjection: "EPSG:3857" };

/** Footprints on the map; the shown and the pointed-at product stand out. */
export class Footprints {
  readonly #source = new VectorSource();
  readonly #layer: VectorLayer;
  #pointed = "";

  constructor(
    map: OlMap,
    private readonly store: Store,
  ) {
    this.#layer = new VectorLayer({
      source: this.#source,
      zIndex: 20,
      style: (feature) => this.#style(feature.getId()),
    });
    map.addLayer(this.#layer);
    store.watch((now, before) => {
      if (changed(now, before, "overlays")) this.#layer.setVisible(now.overlays.includes("footprints"));
      if (changed(now, before, "left", "right")) this.#layer.changed();
    });
    onScheme(() => this.#layer.changed());
  }

  /** Shows these products and no others. */
  set(products: readonly Product[]): void {
    const format = new GeoJSON();
    this.#source.clear(true);
    this.#source.addFeatures(
      products
        .filter((product) => product.geometry)
        .map((product) => {
          const feature = new Feature<Geometry>(format.readGeometry(product.geometry, READ) as Geometry);
          feature.setId(product.id);
          return feature;
        }),
    );
  }

  /** Lets one product stand out; "" for none. */
  point(id: string): void {
    this.#pointed = id;
    this.#layer.changed();
  }

  #style(id: string | number | undefined): Style {
    const now = this.store.now;
    const strong = id === this.#pointed || id === now.left.what || id === now.right?.what;
    return new Style({
      stroke: new Stroke({ color: colour(strong ? "accent-map" : "footprint"), width: strong ? 3 : 1.25 }),
      fill: new Fill({ color: id === this.#pointed ? colour("wash") : "rgba(0,0,0,0)" }),
      zIndex: strong ? 1 : 0,
    });
  }
}
