/** Named renders, and their legends. */

import { fill, make } from "./dom";
import { address, askJson } from "./service";

const CHANNELS = ["#d33", "#2a2", "#36e"];

/** What the colours of a render mean, as the service tells it. */
export type Legend =
  | { type: "classes"; classes: { value: number; label: string; colour: string }[] }
  | { type: "ramp"; low: number; high: number; colours: string[] }
  | { type: "rgb"; channels: { layer: string; low: number; high: number }[] };

export interface Render {
  name: string;
  title: string;
  legend: Legend | null;
}

/** Asks which renders there are. */
export async function askRenders(): Promise<Render[]> {
  return (await askJson<{ renders: Render[] }>(address("tiles/renders"))).renders;
}

/** Shows a legend. */
export function showLegend(target: HTMLElement, render: Render | undefined): void {
  target.hidden = !render?.legend;
  fill(target, ...(render?.legend ? [make("figcaption", {}, render.title), legendOf(render.legend)] : []));
}

function legendOf(legend: Legend): HTMLElement {
  if (legend.type === "ramp") {
    const ramp = make("span", { class: "ramp", "aria-hidden": "true" });
    ramp.style.background = `linear-gradient(to right, ${legend.colours.join(", ")})`;
    return make("div", { class: "ramp-row" }, String(legend.low), ramp, String(legend.high));
  }
  const entries =
    legend.type === "classes"
      ? legend.classes.map((one) => [one.colour, one.label] as const)
      : legend.channels.map((one, i) => [CHANNELS[i]!, `${one.layer}: ${one.low} to ${one.high}`] as const);
  return key(entries);
}

/** Colours, each with what it stands for. */
export function key(entries: readonly (readonly [colour: string, text: string])[]): HTMLElement {
  const made = make("ul", { class: "classes" });
  for (const [colour, text] of entries) {
    const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = colour;
    made.append(make("li", {}, swatch, make("span", {}, text)));
  }
  return made;
}
