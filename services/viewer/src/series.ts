/** A pixel through time, as the service tells it. */

import { period } from "./products";
import { address, askJson } from "./service";
import { BANDS, type State } from "./state";

/** Central wavelengths in nm (Sentinel-2A, ESA's spectral responses). */
export const WAVELENGTH: Record<string, number> = {
  B01: 443,
  B02: 492,
  B03: 560,
  B04: 665,
  B05: 704,
  B06: 741,
  B07: 783,
  B08: 833,
  B8A: 865,
  B09: 945,
  B10: 1373,
  B11: 1614,
  B12: 2202,
};

export interface Step {
  time: string;
  product: string;
  /** Percent of the product. */
  cloud: number | null;
  values: Record<string, number | null>;
}

export interface Series {
  steps: Step[];
}

/** Asks for all steps of the search's period at a place. */
export async function askSeries(state: State, pixel: [number, number], signal: AbortSignal): Promise<Series> {
  const url = address(`tiles/mosaic/point/${pixel[0]},${pixel[1]}/series`, {
    datetime: period(state),
    cloud: state.cloud < 100 ? state.cloud : null,
    bands: BANDS.join(","),
  });
  return readSeries(await askJson<unknown>(url, signal));
}

/** Reads the service's answer; steps in the order of time. */
export function readSeries(told: unknown): Series {
  const given = told as { steps?: Record<string, unknown>[] };
  const steps = (given.steps ?? []).map((step): Step => {
    const values = (step["values"] ?? {}) as Record<string, number | null>;
    const cloud = step["cloud_cover"];
    return {
      time: String(step["datetime"]),
      product: String(step["product"] ?? ""),
      cloud: typeof cloud === "number" ? cloud : null,
      values,
    };
  });
  const seen = steps.filter((step) => Object.values(step.values).some((one) => one !== null));
  return { steps: seen.sort((a, b) => a.time.localeCompare(b.time)) };
}
