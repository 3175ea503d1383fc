package resp

import (
	"bytes"

	"github.com/parlorchat/parlor/storage/command"
)

// replyShape gives the function that adapts a command's reply where RESP2 and
// RESP3 differ by more than the kind of a value.
func replyShape(name string) func(r command.Reply, args [][]byte, proto int) command.Reply {
	switch name {
	case "XREAD", "XREADGROUP":
		return streamsShape
	case "ZRANGE", "ZREVRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE", "ZUNION", "ZINTER", "ZDIFF":
		return func(r command.Reply, args [][]byte, proto int) command.Reply {
			return pairsShape(r, args, proto, "WITHSCORES")
		}
	case "HRANDFIELD":
		return func(r command.Reply, args [][]byte, proto int) command.Reply {
			return pairsShape(r, args, proto, "WITHVALUES")
		}
	}
	return func(r command.Reply, _ [][]byte, _ int) command.Reply { return r }
}

// streamsShape: RESP3 has a map from key to entries, RESP2 a list of pairs.
func streamsShape(r command.Reply, _ [][]byte, proto int) command.Reply {
	if r.Kind != command.KindMap || proto == resp3 {
		return r
	}
	return command.Array(pairs(r.Elems)...)
}

// pairsShape: with the option, RESP3 has a list of pairs, RESP2 a flat list.
func pairsShape(r command.Reply, args [][]byte, proto int, option string) command.Reply {
	flat := r.Kind == command.KindArray && len(r.Elems) > 0 && r.Elems[0].Kind != command.KindArray
	if proto != resp3 || !flat || len(r.Elems)%2 != 0 || !hasOption(args, option) {
		return r
	}
	return command.Array(pairs(r.Elems)...)
}

// pairs makes pairs of what stands in turn.
func pairs(flat []command.Reply) []command.Reply {
	out := make([]command.Reply, 0, len(flat)/2)
	for i := 0; i+1 < len(flat); i += 2 {
		out = append(out, command.Array(flat[i], flat[i+1]))
	}
	return out
}

// hasOption looks for an option after the key.
func hasOption(args [][]byte, option string) bool {
	for _, a := range args[min(len(args), 2):] {
		if bytes.EqualFold(a, []byte(option)) {
			return true
		}
	}
	return false
}
