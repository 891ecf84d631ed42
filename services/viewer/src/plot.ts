/** Plots of a few lines, as SVG; each has its values in a table beside it. */

import { draw, make } from "./dom";

/** A line: points in the order of x, null where there is no value. */
export interface Line {
  name: string;
  colour: string;
  points: readonly (readonly [x: number, y: number | null])[];
  strong?: boolean;
}

export interface Axis {
  title: string;
  ticks: readonly (readonly [at: number, label: string])[];
  least: number;
  most: number;
}

const WIDTH = 340;
const HEIGHT = 190;
const LEFT = 42;
const RIGHT = 10;
const TOP = 10;
const BOTTOM = 34;

/** Draws lines over two axes. */
export function plot(title: string, x: Axis, y: Axis, lines: readonly Line[]): SVGSVGElement {
  const across = (at: number) => LEFT + ((at - x.least) / (x.most - x.least || 1)) * (WIDTH - LEFT - RIGHT);
  const up = (at: number) => HEIGHT - BOTTOM - ((at - y.least) / (y.most - y.least || 1)) * (HEIGHT - TOP - BOTTOM);
  const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "plot", role: "img", "aria-label": title });
  for (const [at, label] of y.ticks) {
    svg.append(
      draw("line", { class: "rule", x1: LEFT, x2: WIDTH - RIGHT, y1: up(at), y2: up(at) }),
      draw("text", { class: "tick-label", x: LEFT - 6, y: up(at) + 3.5, "text-anchor": "end" }, label),
    );
  }
  for (const [at, label] of x.ticks) {
    svg.append(
      draw("text", { class: "tick-label", x: across(at), y: HEIGHT - BOTTOM + 14, "text-anchor": "middle" }, label),
    );
  }
  svg.append(
    draw(
      "text",
      { class: "axis-title", x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 4, "text-anchor": "middle" },
      x.title,
    ),
  );
  for (const line of lines) svg.append(trace(line, across, up));
  return svg;
}

/** Round values that an axis names, with bounds that hold all values. */
export function axis(title: string, values: readonly number[], zero = true): Axis {
  const least = Math.min(zero ? 0 : Infinity, ...values);
  const most = Math.max(zero ? 0.01 : -Infinity, ...values);
  const rough = (most - least || 1) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= rough) ?? rough;
  const from = Math.floor(least / step);
  const to = Math.ceil(most / step);
  const ticks: [number, string][] = [];
  const digits = Math.max(0, Math.ceil(-Math.log10(step) + 0.5));
  for (let i = from; i <= to; i += 1) ticks.push([i * step, (i * step).toFixed(Math.min(digits, 4))]);
  return { title, ticks, least: from * step, most: to * step };
}

/** The values of a plot as a table, for those who read rather than look. */
export function table(caption: string, head: readonly string[], rows: readonly (readonly string[])[]): HTMLElement {
  return make(
    "div",
    { class: "scroll", tabIndex: 0, role: "region", "aria-label": caption },
    make(
      "table",
      {},
      make("caption", {}, caption),
      make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
      make(
        "tbody",
        {},
        ...rows.map(([first, ...rest]) =>
          make("tr", {}, make("th", { scope: "row" }, first), ...rest.map((text) => make("td", {}, text))),
        ),
      ),
    ),
  );
}

function trace(line: Line, across: (at: number) => number, up: (at: number) => number): SVGGElement {
  const group = draw("g", { class: line.strong ? "line strong" : "line" });
  const known = line.points.filter((point): point is [number, number] => point[1] !== null);
  const path = known.map(([x, y], i) => `${i ? "L" : "M"}${across(x).toFixed(1)} ${up(y).toFixed(1)}`).join("");
  group.append(draw("path", { d: path, stroke: line.colour, fill: "none" }));
  for (const [x, y] of known) {
    group.append(draw("circle", { cx: across(x), cy: up(y), r: line.strong ? 3 : 2.2, fill: line.colour }));
  }
  group.append(draw("title", {}, line.name));
  return group;
}
