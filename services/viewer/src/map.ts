/** The map: land and graticule below, pictures, and what is drawn upon them. */

import OlMap from "ol/Map";
import View from "ol/View";
import Attribution from "ol/control/Attribution";
import Zoom from "ol/control/Zoom";
import ScaleLine from "ol/control/ScaleLine";
import { buffer, getCenter } from "ol/extent";
import { defaults as interactions } from "ol/interaction/defaults";
import Graticule from "ol/layer/Graticule";
import { fromLonLat, toLonLat, transformExtent } from "ol/proj";
import Fill from "ol/style/Fill";
import Stroke from "ol/style/Stroke";
import Text from "ol/style/Text";
import { colour } from "./colours";
import { landLayer } from "./land";
import { later } from "./service";
import type { Box, Store } from "./state";

const DEGREES = "EPSG:4326";
const METRES = "EPSG:3857";

/** Milliseconds a movement of the map takes; none for those who want no motion. */
export function motion(): number {
  return matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 250;
}

/** Makes the map and keeps its view in the state. */
export function makeMap(target: HTMLElement, store: Store): OlMap {
  const view = store.now.view;
  const map = new OlMap({
    target,
    keyboardEventTarget: target,
    interactions: interactions({ pinchRotate: false, altShiftDragRotate: false }),
    layers: [landLayer(), graticule()],
    controls: [
      new Zoom(),
      new ScaleLine({ minWidth: 80 }),
      new Attribution({ collapsible: false, attributions: ["Contains Copernicus Sentinel data", "Natural Earth"] }),
    ],
    view: new View({
      center: fromLonLat(view ? [view[0], view[1]] : [10, 48]),
      zoom: view ? view[2] : 3,
      minZoom: 1.5,
      maxZoom: 18,
      enableRotation: false,
    }),
  });
  map.on(
    "moveend",
    later(150, () => {
      const centre = toLonLat(map.getView().getCenter() ?? [0, 0]);
      store.set({ view: [centre[0]!, centre[1]!, map.getView().getZoom() ?? 3] });
    }),
  );
  return map;
}

/** The ground in view, in degrees. */
export function seen(map: OlMap): Box {
  const box = transformExtent(map.getView().calculateExtent(map.getSize() ?? [1, 1]), METRES, DEGREES);
  const west = Math.max(box[0]!, -180);
  return [west, Math.max(box[1]!, -90), Math.max(Math.min(box[2]!, 180), west), Math.min(box[3]!, 90)];
}

/** Moves the map so that some ground fills it. */
export function show(map: OlMap, box: Box, animated = true): void {
  const extent = transformExtent(box, DEGREES, METRES);
  map.getView().fit(buffer(extent, 500), {
    padding: [32, 32, 48, 32],
    maxZoom: 14,
    duration: animated ? motion() : 0,
  });
}

/** Moves the map to a place unless it is in view. */
export function reveal(map: OlMap, lon: number, lat: number): void {
  const [west, south, east, north] = seen(map);
  if (lon < west || lon > east || lat < south || lat > north) {
    map.getView().animate({ center: fromLonLat([lon, lat]), duration: motion() });
  }
}

/** The middle of the map, in degrees. */
export function middle(map: OlMap): [lon: number, lat: number] {
  const found = toLonLat(getCenter(map.getView().calculateExtent(map.getSize() ?? [1, 1])));
  return [found[0]!, found[1]!];
}

function graticule(): Graticule {
  const text = () =>
    new Text({
      font: "11px system-ui, sans-serif",
      fill: new Fill({ color: colour("faint") }),
      stroke: new Stroke({ color: colour("sea"), width: 3 }),
    });
  const lines = () => new Stroke({ color: colour("graticule"), width: 1 });
  return new Graticule({
    strokeStyle: lines(),
    showLabels: true,
    wrapX: false,
    lonLabelStyle: text(),
    latLabelStyle: text(),
    lonLabelPosition: 0.035,
    latLabelPosition: 0.97,
    zIndex: 1,
  });
}
