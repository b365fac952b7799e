/** For development: a network that is as bad as you want it, and a panel that shows what feeds hear. */

export { overlay, type OverlayOptions } from "./debug/overlay.js";
export { SimulatedNetwork, type Conditions } from "./debug/network.js";
