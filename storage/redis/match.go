package redis

// Match says whether s matches a pattern as KEYS, PSUBSCRIBE and ACL rules
// write them. It takes at most len(s) times len(pattern) steps.
func Match(s, pattern []byte) bool { return glob(s, pattern) }
