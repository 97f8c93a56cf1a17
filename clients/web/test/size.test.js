import assert from "node:assert/strict";
import { test } from "node:test";

import { LIMIT, sizes } from "./size.js";

test("the package stays small", () => {
  const { bundled } = sizes();
  assert.ok(bundled < LIMIT, `${bundled} bytes of ${LIMIT}; run "npm run size"`);
});
