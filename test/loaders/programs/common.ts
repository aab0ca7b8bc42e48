/** main.ts without `await` at its top level, which CommonJS has not. */
import { everyWay } from './ways.ts';

void everyWay().then((found) => console.log(JSON.stringify(found)));
