package resp

import "strings"

// tipTexts are what COMMAND INFO tells programs of a command beyond what they
// need to call it: how proxies spread a call over several servers and put the
// answers together, and whether two calls may answer differently. Each line has
// the tips and the commands that have them.
func tipTexts() [][2]string {
	return [][2]string{
		{"nondeterministic_output", "client|info client|list dump hrandfield hscan lastsave migrate object|encoding object|freq " +
			"object|idletime object|refcount pttl spop srandmember sscan time ttl xadd xautoclaim xclaim xinfo|consumers xpending " +
			"xtrim zrandmember zscan"},
		{"nondeterministic_output_order", "command command|docs command|info command|list hgetall hkeys hvals module|list sdiff sinter smembers sunion"},
		{"nondeterministic_output_order request_policy:all_shards", "keys"},
		{"nondeterministic_output request_policy:all_nodes", "slowlog|get"},
		{"nondeterministic_output request_policy:all_nodes response_policy:agg_sum", "slowlog|len"},
		{"nondeterministic_output request_policy:all_nodes response_policy:special", "latency|doctor latency|graph latency|histogram " +
			"latency|history latency|latest"},
		{"nondeterministic_output request_policy:all_shards", "randomkey"},
		{"nondeterministic_output request_policy:all_shards response_policy:special", "info memory|doctor memory|malloc-stats memory|stats"},
		{"nondeterministic_output request_policy:special", "scan"},
		{"request_policy:all_nodes response_policy:all_succeeded", "config|set latency|reset slowlog|reset"},
		{"request_policy:all_shards response_policy:agg_min", "wait"},
		{"request_policy:all_shards response_policy:agg_sum", "dbsize"},
		{"request_policy:all_shards response_policy:all_succeeded", "flushall flushdb memory|purge ping"},
		{"request_policy:multi_shard", "mget"},
		{"request_policy:multi_shard response_policy:agg_min", "msetnx"},
		{"request_policy:multi_shard response_policy:agg_sum", "del exists touch unlink"},
		{"request_policy:multi_shard response_policy:all_succeeded", "mset"},
	}
}

func (c *catalog) giveTips() {
	tips := map[string][]string{}
	for _, line := range tipTexts() {
		for _, name := range strings.Fields(line[1]) {
			tips[name] = strings.Fields(line[0])
		}
	}
	c.each(func(e *entry) { e.tips = tips[e.lower] })
}
