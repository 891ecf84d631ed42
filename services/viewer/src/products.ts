/** Products, as the STAC API finds them. */

import { address, askJson } from "./service";
import type { Box, State } from "./state";
import { day } from "./words";

export const COLLECTION = "sentinel-2-l1c";
const LIMIT = 60;
const FIELDS = [
  ...["id", "geometry", "bbox", "properties.datetime", "properties.eo:cloud_cover", "properties.grid:code"],
  ...["properties.processing:version", "properties.platform", "properties.sat:relative_orbit", "-assets", "-links"],
].join(",");

/** Of GeoJSON. */
export interface Geometry {
  type: string;
  coordinates: unknown;
}

export interface Product {
  id: string;
  geometry: Geometry | null;
  bbox: Box | undefined;
  day: string;
  time: string;
  tile: string;
  /** Percent. */
  cloud: number | null;
  baseline: string;
  platform: string;
  orbit: number | null;
}

/** A page of what was found. */
export interface Page {
  products: Product[];
  /** How many there are in all, if the service knows. */
  matched: number | null;
  next: URL | null;
}

interface Item {
  id: string;
  geometry: Geometry | null;
  bbox?: number[];
  properties: Record<string, unknown>;
}

interface Answer {
  features: Item[];
  numberMatched?: number;
  links?: { rel: string; href: string }[];
}

/** The address of the first page of a search. */
export function searchAddress(state: State, box: Box | null): URL {
  const order = { latest: "-properties.datetime", earliest: "+properties.datetime" };
  return address("stac/search", {
    collections: COLLECTION,
    limit: LIMIT,
    fields: FIELDS,
    bbox: box && state.inView ? box.map((one) => one.toFixed(5)).join(",") : "",
    datetime: period(state),
    filter: state.cloud < 100 ? `eo:cloud_cover <= ${state.cloud}` : "",
    sortby: state.order === "least-cloudy" ? "+properties.eo:cloud_cover" : order[state.order],
  });
}

/** Asks for a page. */
export async function askPage(url: URL, signal: AbortSignal): Promise<Page> {
  const found = await askJson<Answer>(url, signal);
  const href = found.links?.find((link) => link.rel === "next")?.href;
  let next: URL | null = null;
  if (href) {
    next = address("stac/search");
    next.search = new URL(href, document.baseURI).search; // whatever the service calls itself, it is asked here
  }
  return { products: found.features.map(productOf), matched: found.numberMatched ?? null, next };
}

/** Where all products of the archive lie and when, as its collection says. */
export async function askExtent(): Promise<{ box: Box | null; first: string; last: string; title: string }> {
  const told = await askJson<{
    title?: string;
    extent: { spatial: { bbox: number[][] }; temporal: { interval: (string | null)[][] } };
  }>(address(`stac/collections/${COLLECTION}`));
  const box = told.extent.spatial.bbox[0];
  const times = told.extent.temporal.interval[0] ?? [];
  return {
    box: box?.length === 4 ? (box as Box) : null,
    first: day(times[0] ?? ""),
    last: day(times[1] ?? ""),
    title: told.title ?? "",
  };
}

/** The period of a search as services read it; "" for all time. */
export function period(state: State): string {
  if (!state.from && !state.to) return "";
  const from = state.from ? `${state.from}T00:00:00Z` : "..";
  const to = state.to ? `${state.to}T23:59:59.999Z` : "..";
  return `${from}/${to}`;
}

/** The days of some products, each with those of it, in the products' order. */
export function days(products: readonly Product[]): Map<string, Product[]> {
  const found = new Map<string, Product[]>();
  for (const product of products) found.set(product.day, [...(found.get(product.day) ?? []), product]);
  return found;
}

function productOf(item: Item): Product {
  const told = item.properties;
  const cloud = told["eo:cloud_cover"];
  const orbit = told["sat:relative_orbit"];
  const time = String(told["datetime"] ?? "");
  return {
    id: item.id,
    geometry: item.geometry,
    bbox: item.bbox?.length === 4 ? (item.bbox as Box) : undefined,
    day: day(time),
    time,
    tile: String(told["grid:code"] ?? "").replace(/^MGRS-/, ""),
    cloud: typeof cloud === "number" ? cloud : null,
    baseline: String(told["processing:version"] ?? ""),
    platform: String(told["platform"] ?? ""),
    orbit: typeof orbit === "number" ? orbit : null,
  };
}
