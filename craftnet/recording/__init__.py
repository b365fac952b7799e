"""Records the histories of sessions as Parquet files, for `craftnet analyse`."""
