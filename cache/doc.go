// Package cache keeps computed values in Redis under keys that cannot mix access modes or prediction runs.
//
//	NewKey("risk_map", dimensions, "tile", "7") ──▶ Key      refuses dimensions without an access mode, and predicted data without a run
//	Cache.Get(ctx, key, ttl, &value, compute)                 one computes, the others wait; Redis that is away is a miss
//	Cache.Invalidate(ctx, cache.Run("r-7"), cache.Product("hail"))
//
// A value carries its mode and its run, and is checked when it is read: moved by hand under another mode's key, it is a miss and is deleted. It carries the generations of its run, region
// and product as well; to invalidate is to begin another generation, whatever keys there are.
//
// examples/insurance/lovage_cache.py builds and reads the same keys in Python; testdata/vectors.json holds both to each other.
package cache
