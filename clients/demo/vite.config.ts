import { fileURLToPath } from "node:url";

import { defineConfig } from "vite";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  base: "./", // the page is also served below the base paths of the API
  resolve: {
    alias: [
      { find: "@craftnet/client/debug", replacement: here("../js/src/debug.ts") },
      { find: "@craftnet/client", replacement: here("../js/src/index.ts") },
    ],
  },
  build: {
    outDir: here("../../craftnet/http/pages/demo"),
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // the content policy allows no data: addresses
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: { index: here("index.html"), sw: here("src/sw.ts") },
      output: { entryFileNames: ({ name }) => (name === "sw" ? "sw.js" : "assets/[name]-[hash].js") },
    },
  },
});
