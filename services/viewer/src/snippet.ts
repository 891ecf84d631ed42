/** The Python lines that load what is shown. */

import { isDay, type State } from "./state";
import { token } from "./token";

/** Where and what a cube is, as `abut` is asked for it. */
export function snippet(state: State, base: string): string {
  const options = [
    when(state) && `datetime=${quoted(when(state))}`,
    `bands=[${state.bands.map(quoted).join(", ")}]`,
    state.cloud < 100 && `max_cloud_cover=${state.cloud}`,
  ].filter(Boolean);
  const place = state.box
    ? `archive.cube(bbox=(${state.box.map((one) => one.toFixed(5)).join(", ")}), `
    : `archive.tile(${quoted(state.tile)}, buffer=${Math.round(state.buffer * 1000)}, `;
  return [
    "import abut",
    "",
    ...(token() ? ["# the environment has the token, as ABUT_TOKEN"] : []),
    `archive = abut.connect(${quoted(base)})`,
    `cube = ${place}${options.join(", ")}, chunks={})`,
  ].join("\n");
}

function when(state: State): string {
  if (isDay(state.left.what)) return state.left.what;
  return state.from || state.to ? `${state.from || ".."}/${state.to || ".."}` : "";
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
