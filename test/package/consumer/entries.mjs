/** Imports the given entries and prints what each exports; an error as its code. */
const exported = {};
try {
  for (const entry of process.argv.slice(2)) exported[entry] = Object.keys(await import(entry));
  console.log(JSON.stringify(exported));
} catch (error) {
  console.log(error.code ?? error);
}
