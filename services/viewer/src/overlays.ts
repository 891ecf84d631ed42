/** What the choices of overlays are called. */

import type { Overlay } from "./state";

export const OVERLAY_TITLES: Record<Overlay, string> = {
  footprints: "Footprints of products",
  grid: "Tile grid",
  blocks: "Blocks by state",
  owners: "Blocks by owner",
  overlap: "Overlap that is no longer stored",
};
