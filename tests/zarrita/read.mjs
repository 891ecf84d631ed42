// Reads a window of a band with zarrita: node read.mjs <url of the zone> <group/band> <step> <y0> <y1> <x0> <x1> <file>
// Pixels go to the file, little-endian; what else was seen to stdout, as JSON.
import { writeFileSync } from "node:fs";
import * as zarr from "zarrita";

const [url, path, step, y0, y1, x0, x1, file] = process.argv.slice(2);
const store = await zarr.withConsolidatedMetadata(new zarr.FetchStore(url));
const root = zarr.root(store);
const group = path.split("/")[0];
const numbers = async (name) => Array.from((await zarr.get(await zarr.open(root.resolve(name), { kind: "array" }))).data, String);

const band = await zarr.open(root.resolve(path), { kind: "array" });
const window = await zarr.get(band, [Number(step), zarr.slice(Number(y0), Number(y1)), zarr.slice(Number(x0), Number(x1))]);
writeFileSync(file, new Uint8Array(window.data.buffer, window.data.byteOffset, window.data.byteLength));
const y = await zarr.open(root.resolve(`${group}/y`), { kind: "array" });
const x = await zarr.open(root.resolve(`${group}/x`), { kind: "array" });
console.log(
  JSON.stringify({
    shape: band.shape,
    chunks: band.chunks,
    dtype: band.dtype,
    names: band.attrs["proj:code"],
    nodes: store.contents().length,
    window: window.shape,
    time: await numbers(`${group}/time`),
    offsets: await numbers(`${group}/radio_add_offset`),
    bands: await numbers(`${group}/band`),
    y: Array.from((await zarr.get(y, [zarr.slice(Number(y0), Number(y1))])).data),
    x: Array.from((await zarr.get(x, [zarr.slice(Number(x0), Number(x1))])).data),
  }),
);
