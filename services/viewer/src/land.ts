/** Land, to see where one is: Natural Earth's coastlines, which come with the page. */

import coasts from "world-atlas/land-50m.json";
import TopoJSON from "ol/format/TopoJSON";
import Feature from "ol/Feature";
import MultiPolygon from "ol/geom/MultiPolygon";
import Polygon from "ol/geom/Polygon";
import VectorLayer from "ol/layer/Vector";
import VectorSource from "ol/source/Vector";
import Fill from "ol/style/Fill";
import Stroke from "ol/style/Stroke";
import Style from "ol/style/Style";
import { colour, onScheme } from "./colours";
import { address, ask } from "./service";

type Ring = number[][];

const TURN = 360;
const SOUTH = -85;

/** Makes the layer; its file is asked for at once. */
export function landLayer(): VectorLayer {
  const source = new VectorSource();
  const style = () =>
    new Style({ fill: new Fill({ color: colour("land") }), stroke: new Stroke({ color: colour("coast"), width: 1 }) });
  const layer = new VectorLayer({ source, style: style(), zIndex: 0 });
  onScheme(() => layer.setStyle(style()));
  load(source).catch(() => undefined); // without land there is still a map
  return layer;
}

async function load(source: VectorSource): Promise<void> {
  const features = new TopoJSON({ layers: ["land"] }).readFeatures(await (await ask(address(coasts))).text());
  const polygons = features.flatMap((feature) => {
    const geometry = feature.getGeometry();
    if (geometry instanceof MultiPolygon) return geometry.getCoordinates();
    return geometry instanceof Polygon ? [geometry.getCoordinates()] : [];
  });
  source.addFeatures(
    polygons.flatMap(copies).map((rings) => {
      const polygon = new Polygon(rings);
      return new Feature(polygon.transform("EPSG:4326", "EPSG:3857"));
    }),
  );
}

/** A polygon with continuous longitudes, and once more on the other side if it reaches over 180 degrees. */
function copies(rings: Ring[]): Ring[][] {
  const whole = rings.map(continuous);
  const longitudes = whole.flat().map((point) => point[0]!);
  const found = [whole];
  if (Math.max(...longitudes) > 180) found.push(whole.map((ring) => shifted(ring, -TURN)));
  if (Math.min(...longitudes) < -180) found.push(whole.map((ring) => shifted(ring, TURN)));
  return found;
}

/** A ring without jumps; one around the pole is led along it. */
function continuous(ring: Ring): Ring {
  const made: Ring = [];
  let turns = 0;
  for (const [i, [lon, lat]] of ring.entries()) {
    const step = i ? lon! - ring[i - 1]![0]! : 0;
    if (step > 180) turns -= 1;
    if (step < -180) turns += 1;
    made.push([lon! + turns * TURN, Math.max(lat!, SOUTH)]);
  }
  const [first, last] = [made[0]!, made.at(-1)!];
  return turns ? [...made, [last[0]!, SOUTH], [first[0]!, SOUTH], first] : made;
}

function shifted(ring: Ring, by: number): Ring {
  return ring.map(([lon, lat]) => [lon! + by, lat!]);
}
