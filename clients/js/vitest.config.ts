import { defineConfig, type ViteUserConfig } from "vitest/config";

const config: ViteUserConfig = defineConfig({
  test: {
    include: ["test/unit/**/*.test.{ts,tsx}"],
    // The platform that every part must do with: no window, no document.
    environment: "node",
    typecheck: { enabled: true, include: ["test/unit/**/*.test-d.ts"], tsconfig: "tsconfig.json" },
  },
});

export default config;
