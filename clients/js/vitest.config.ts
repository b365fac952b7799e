import { fileURLToPath } from "node:url";

import { defineConfig, type ViteUserConfig } from "vitest/config";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const config: ViteUserConfig = defineConfig({
  resolve: {
    alias: [
      { find: /^@craftnet\/client$/, replacement: here("src/index.ts") },
      { find: "@craftnet/client/react", replacement: here("src/react.ts") },
      { find: "react-native", replacement: here("examples/react-native/shims/react-native.tsx") },
    ],
  },
  test: {
    include: ["test/unit/**/*.test.{ts,tsx,mjs}"],
    // The platform that every part must do with: no window, no document.
    environment: "node",
  },
});

export default config;
