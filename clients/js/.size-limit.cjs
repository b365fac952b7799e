module.exports = [
  {
    name: "@craftnet/client",
    path: "dist/index.js",
    import: "{ Craftnet, UnauthorizedError }",
    gzip: true,
    limit: "6.3 kB",
    // Fetched when they are used: the readers of binary messages, of packed ones, of server-sent events, and of snapshots.
    modifyEsbuildConfig: (config) => ({
      ...config,
      format: "esm",
      external: [...(config.external ?? []), "./bin.js", "./lz4.js", "./sse.js", "./player.js"],
    }),
  },
];
