/* The times of a page that does not change by itself, in the viewer's zone. */

import { tick } from "./clocks.js";

tick();
