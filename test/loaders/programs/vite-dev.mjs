/** main.ts as a Vite development server loads it on its side. */
import { createServer } from 'vite';

const server = await createServer({
  server: { middlewareMode: true, ws: false },
  appType: 'custom',
  logLevel: 'error',
  optimizeDeps: { noDiscovery: true },
});
await server.ssrLoadModule('/main.ts');
await server.close();
