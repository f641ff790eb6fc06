"""What more workers, cores, partitions and shards would do, by what was measured of few."""
