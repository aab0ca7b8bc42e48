/**
 * Runs compiled examples one after the other, in a process of their own: `node run.mjs FOLDER FILE...`. Sends `{ file, error }` for each to the
 * parent; console output of examples is dropped by it. The working directory has the files that examples name.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const limitMs = 5000;
const [folder, ...files] = process.argv.slice(2);

for (const file of files) {
  let error = null;
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`did not end in ${limitMs} ms`)), limitMs);
  });
  try {
    await Promise.race([import(pathToFileURL(join(folder, file)).href), late]);
  } catch (thrown) {
    error = thrown instanceof Error ? (thrown.stack ?? String(thrown)) : String(thrown);
  }
  clearTimeout(timer);
  await new Promise((sent) => process.send({ file, error }, sent));
}
// Examples may leave engines open: they are not waited for.
process.exit(0);
