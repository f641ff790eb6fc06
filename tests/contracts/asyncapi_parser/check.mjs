// Reads an array of AsyncAPI documents from standard input, and prints for each what AsyncAPI's parser finds in it, as an
// array of {severity, code, path, message}. Severity 0 is an error, 1 a warning, 2 and 3 are advice.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [, , packages] = process.argv;
const { Parser } = createRequire(packages)("@asyncapi/parser");

const found = [];
for (const document of JSON.parse(readFileSync(0, "utf8"))) {
  const { diagnostics } = await new Parser().parse(document);
  found.push(diagnostics.map(({ severity, code, path, message }) => ({ severity, code, path: path.join("/"), message })));
}
process.stdout.write(JSON.stringify(found));
