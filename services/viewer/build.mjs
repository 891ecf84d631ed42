// Makes dist/ from src/: the page, and files whose names carry a digest of their content, each compressed beforehand.
import { build } from "esbuild";
import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const made = join(here, `dist.${process.pid}`);
const dist = join(here, "dist");

async function main() {
  await rm(made, { recursive: true, force: true });
  await mkdir(made, { recursive: true });
  const result = await build({
    absWorkingDir: here,
    entryPoints: { main: "src/main.ts", icon: "src/icon.svg" },
    outdir: made,
    entryNames: "[name]-[hash]",
    assetNames: "[name]-[hash]",
    publicPath: "viewer",
    bundle: true,
    minify: true,
    format: "esm",
    target: ["es2022"],
    legalComments: "eof",
    loader: { ".json": "file", ".svg": "copy" },
    metafile: true,
    logLevel: "warning",
  });
  const names = Object.keys(result.metafile.outputs).map((path) => basename(path));
  await writePage(names);
  await Promise.all(names.map((name) => compress(name)));
  await compress("index.html");
  await writeLicences(Object.keys(result.metafile.inputs));
  await rm(dist, { recursive: true, force: true });
  await rename(made, dist);
}

/** Writes the page, which names the files. */
async function writePage(names) {
  const template = await readFile(join(here, "src", "index.html"), "utf8");
  const page = template.replaceAll(/%(\w+)\.(\w+)%/g, (_, stem, ending) => {
    const name = names.find((one) => one.startsWith(`${stem}-`) && one.endsWith(`.${ending}`));
    if (!name) throw new Error(`src/index.html names ${stem}.${ending}, which the build does not make`);
    return `viewer/${name}`;
  });
  await writeFile(join(made, "index.html"), page);
}

/** Writes the licences of the packages that are in the files, as these ask for. */
async function writeLicences(inputs) {
  const packages = new Set(inputs.map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]).filter(Boolean));
  const texts = [...packages].sort().map(async (name) => {
    const folder = join(here, "node_modules", name);
    const file = (await readdir(folder)).find((one) => /^licen[cs]e/i.test(one));
    if (!file) throw new Error(`${name} is bundled, but has no licence`);
    return `${name}\n\n${await readFile(join(folder, file), "utf8")}`;
  });
  await writeFile(join(made, "licences.txt"), (await Promise.all(texts)).join("\n\n"));
  await compress("licences.txt");
}

/** Writes a file's Brotli and gzip forms beside it. */
async function compress(name) {
  const data = await readFile(join(made, name));
  const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } };
  await writeFile(join(made, `${name}.br`), await promisify(brotliCompress)(data, quality));
  await writeFile(join(made, `${name}.gz`), await promisify(gzip)(data, { level: 9 }));
}

await main();
for (const name of (await readdir(dist)).sort()) if (!/\.(br|gz)$/.test(name)) console.log(name);
