/** @file What shoal needs from Node, Deno and Bun, which all offer the `node:` modules. The only room that may import them. */
export * from './node-cores.ts';
export * from './node-files.ts';
export * from './node-processes.ts';
export * from './node-scratch.ts';
export * from './node-serialize.ts';
export * from './node-sockets.ts';
export * from './node-threads.ts';
