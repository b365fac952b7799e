import { defineConfig, type UserConfig } from "tsdown";

const config: UserConfig = defineConfig({
  entry: {
    index: "src/index.ts",
    lz4: "src/lz4.ts",
    react: "src/react.ts",
    devices: "src/devices.ts",
    "node-udp": "src/node-udp/index.ts",
    debug: "src/debug.ts",
  },
  format: ["esm", "cjs"],
  platform: "neutral",
  target: "es2022",
  dts: true,
  hash: false, // the chunks have names

  clean: true,
  deps: { neverBundle: [/^node:/, "react"] },
  outExtensions: ({ format }) => (format === "es" ? { js: ".js", dts: ".d.ts" } : { js: ".cjs", dts: ".d.cts" }),
});

export default config;
