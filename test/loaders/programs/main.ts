/** Prints the outcomes of ways.ts. */
import { everyWay } from './ways.ts';

console.log(JSON.stringify(await everyWay()));
