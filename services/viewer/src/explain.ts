/** What a cube costs, as the service explains it. */

import { period } from "./products";
import { address, askJson, type Parameters } from "./service";
import { isDay, type State } from "./state";
import { count, range, size } from "./words";

/** An explanation, ready to be shown. */
export interface Explained {
  /** The ground, in the coordinates of a zone. */
  window: { crs: string; bounds: [number, number, number, number] };
  /** Bytes of the pixels. */
  decoded: number;
  rows: [name: string, here: string, safe: string][];
}

interface Bounds {
  least: number;
  most: number;
}

interface Answer {
  window: Explained["window"] & { width: number; height: number };
  bands: string[];
  steps: number;
  products: string[];
  zones: { zone: string; products: number; blocks: number; objects: Bounds; bytes: Bounds }[];
  requests: Bounds;
  bytes: Bounds;
  from_safe: { products: number; images: number; file_bytes: number; decoded_bytes: number; decode_seconds: number };
}

/** Metres along a block. */
const BLOCK = 9600;
/** Bands with pixels of 10 m, and of 60 m. */
const FINE = new Set(["B02", "B03", "B04", "B08"]);
const COARSE = new Set(["B01", "B09", "B10"]);

/** What `/cubes` has to be told. */
export function cubeParameters(state: State): Parameters {
  const day = isDay(state.left.what) ? state.left.what : "";
  return {
    ...(state.box ? { bbox: state.box.map((one) => one.toFixed(5)).join(",") } : { tile: state.tile }),
    ...(state.tile && state.buffer ? { buffer: `${state.buffer}km` } : {}),
    datetime: day || period(state),
    bands: state.bands.join(","),
    cloud: state.cloud < 100 ? state.cloud : null,
  };
}

/** Asks what the cube of a state costs. */
export async function explain(state: State, signal: AbortSignal): Promise<Explained> {
  const found = await askJson<Answer>(address("cubes/explain", cubeParameters(state)), signal);
  const pixel = (band: string) => (FINE.has(band) ? 10 : COARSE.has(band) ? 60 : 20);
  const { width, height } = found.window;
  const pixels = found.bands.reduce((sum, band) => sum + (width / pixel(band)) * (height / pixel(band)), 0);
  const sum = (read: (zone: Answer["zones"][number]) => number) =>
    found.zones.reduce((all, zone) => all + read(zone), 0);
  const blocks = sum((zone) => zone.blocks);
  const objects = sum((zone) => zone.objects.most);
  const block = found.bands.reduce((all, band) => all + 2 * (BLOCK / pixel(band)) ** 2, 0);
  const safe = found.from_safe;
  return {
    window: found.window,
    decoded: 2 * pixels * found.steps,
    rows: [
      ["Products", count(found.products.length), count(safe.products)],
      ["Dates", count(found.steps), ""],
      ["Zones", found.zones.map((zone) => zone.zone.replace("EPSG:", "")).join(", "), ""],
      ["Blocks", count(blocks), ""],
      [
        "Objects, images",
        range(
          sum((zone) => zone.objects.least),
          objects,
          count,
        ),
        count(safe.images),
      ],
      ["Bytes", range(found.bytes.least, found.bytes.most, size), size(safe.file_bytes)],
      [
        "To decode",
        `at most ${size((objects / found.bands.length) * block)}`,
        `${size(safe.decoded_bytes)}, ${Math.round(safe.decode_seconds)} s`,
      ],
    ],
  };
}

/** Bytes, in words. */
export function told(bytes: number): string {
  return size(bytes);
}
