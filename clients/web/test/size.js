// Prints what the package weighs on the wire: as it is, and without the comments and the indentation that every bundler
// takes away (names stay as they are, so a real one comes below that).

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

export const LIMIT = 8 * 1024;
const SOURCE = new URL("../src/", import.meta.url);

export function sizes() {
  const names = readdirSync(SOURCE).filter((name) => name.endsWith(".js"));
  const contents = names.map((name) => readFileSync(new URL(name, SOURCE)));
  return {
    raw: contents.reduce((sum, each) => sum + each.length, 0),
    separately: contents.reduce((sum, each) => sum + packed(each), 0),
    together: packed(Buffer.concat(contents)),
    bundled: packed(contents.map((each) => bare(each.toString())).join("\n")),
  };
}

function packed(content) {
  return gzipSync(content, { level: 9 }).length;
}

function bare(code) {
  const lines = code.split("\n").map((line) => line.trim().replace(/(^|;|,|\{) *\/\/ .*$/, "$1"));
  return lines.join("\n").replace(/\/\*\*[^]*?\*\//g, "").replace(/\n+/g, "\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { raw, separately, together, bundled } = sizes();
  console.log(`As it is: ${raw} bytes; gzip ${separately} file by file, ${together} in one`);
  console.log(`Without comments and indentation: gzip ${bundled} in one (limit ${LIMIT})`);
}
