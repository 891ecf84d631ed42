/** The Python lines that load what is shown. */

import type { State } from "./state";
import { period } from "./products";

/** Where and what a cube is, as `abut` is asked for it. */
export function snippet(state: State, base: string): string {
  const options = [
    period(state) && `datetime=${quoted(shortPeriod(state))}`,
    `bands=[${state.bands.map(quoted).join(", ")}]`,
    state.cloud < 100 && `max_cloud_cover=${state.cloud}`,
  ].filter(Boolean);
  const place = state.box
    ? `archive.cube(bbox=(${state.box.map((one) => one.toFixed(5)).join(", ")}), `
    : `archive.tile(${quoted(state.tile)}, buffer=${Math.round(state.buffer * 1000)}, `;
  return [
    "import abut",
    "",
    `archive = abut.connect(${quoted(base)})`,
    `cube = ${place}${options.join(", ")}, chunks={})`,
  ].join("\n");
}

function shortPeriod(state: State): string {
  return `${state.from || ".."}/${state.to || ".."}`;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
