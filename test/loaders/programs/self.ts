/** The trap: a main module whose task names the main module itself, and waits for it at its top level. Prints the code of the error. */
import { parallelize, task } from 'shoal/data';
import { inline, threads } from 'shoal/train';

export const double = (x: number): number => 2 * x;

const codes: string[] = [];
for (const engine of [threads({ workers: 1 }), inline()]) {
  const doubled = parallelize([1, 2, 3])
    .on(engine)
    .map(task(import.meta.url, 'double'))
    .collect();
  codes.push(
    await doubled.then(
      () => 'works',
      (error) => {
        let code = error.code;
        for (let cause = error; cause !== undefined; cause = cause.cause) code = cause.code ?? code;
        return code;
      },
    ),
  );
  await engine.close();
}
console.log(JSON.stringify({ threads: { self: codes[0] }, inline: { self: codes[1] } }));
