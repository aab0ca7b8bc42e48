/** The trap: a main module that creates an engine and also exports what tasks use. Prints the error that its task gets. */
import { parallelize, task } from 'shoal/data';
import { threads } from 'shoal/train';

export const double = (x) => 2 * x;

const engine = threads({ workers: 1 });
try {
  const doubled = parallelize([1, 2, 3])
    .on(engine)
    .map(task(import.meta.url, 'double'));
  console.log(JSON.stringify(await doubled.collect()));
} catch (error) {
  const causes = [];
  for (let cause = error; cause !== undefined; cause = cause.cause) causes.push(cause);
  const { code, message } = causes.find((cause) => cause.code === 'MAIN_IN_WORKER') ?? error;
  console.log(JSON.stringify({ code, message, chain: causes.map((cause) => cause.code) }));
}
await engine.close();
