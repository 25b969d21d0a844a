// @ts-check
// The part of the page below the tabs.
import { backwardNumber } from "page/views/backward.js";
import { oneLayerOfTwo } from "page/views/compare_layer.js";
import { forwardNumber } from "page/views/forward.js";
import { weightGradients } from "page/views/weight_gradients.js";
import { weights } from "page/views/weights.js";
import { whatIf } from "page/views/whatif.js";
import { places } from "page/views/where.js";

export function bench(app, tab) {
  const { state } = app;
  if (tab === "whatif") return whatIf(app);
  if (tab === "compare") return oneLayerOfTwo(app);
  if (tab === "places") return places(app);
  if (tab === "weights") return state.mode === "backward" ? weightGradients(app) : weights(app);
  return state.mode === "backward" ? backwardNumber(app) : forwardNumber(app);
}
