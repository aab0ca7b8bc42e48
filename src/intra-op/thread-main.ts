/** @file The main module of a helper thread: serves the thread that started it until it is dismissed. */
import { thisThread } from '#platform';
import { type HelperData, serve } from '../../kernels/runtime/crew.ts';

const thread = thisThread();
if (thread !== null) serve(thread.data as HelperData);
