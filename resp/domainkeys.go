package resp

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/redis"
)

var errSecretKey = command.Errorf("DENIED", "'secret:…' is a domain key that clients can neither read nor change")

// checkDomainKeys keeps the generic commands away from the keys of the domain:
// writes from all of them, so that what the domain promises about its objects
// holds, reads from the secret ones.
func checkDomainKeys(e *entry, args [][]byte) error {
	if e.spec.Is(command.Module) {
		return nil
	}
	for _, key := range e.keys(args) {
		switch {
		case !redis.IsDomainKey(key):
		case isSecret(key):
			return errSecretKey
		case e.spec.Is(command.Write) && !followsStream(e.spec.Name, args):
			prefix := key[:bytes.IndexByte(key, ':')]
			return command.Errorf("DENIED", "'"+string(prefix)+":…' is a domain key: change it with the domain commands, see COMMAND LIST FILTERBY ACLCAT "+string(prefix))
		}
	}
	return nil
}

// isSecret says whether a key holds what no client may see.
func isSecret(key []byte) bool { return redis.IsHidden(key) }

// followsStream says whether a write command only moves a reader's place in a
// stream: a consumer group on a stream of the domain is how other programs
// follow it.
func followsStream(name string, args [][]byte) bool {
	switch name {
	case "XREADGROUP", "XACK", "XCLAIM", "XAUTOCLAIM":
		return true
	case "XGROUP":
		return !hasOption(args, "MKSTREAM")
	}
	return false
}

// movableKeys gives the function that finds the keys of a command whose keys
// have no fixed place, or nil.
func movableKeys(name string) func(args [][]byte) [][]byte {
	switch name {
	case "XREAD", "XREADGROUP":
		return streamKeys
	case "ZUNION", "ZINTER", "ZDIFF", "ZINTERCARD", "SINTERCARD", "LMPOP", "ZMPOP":
		return func(args [][]byte) [][]byte { return numKeys(args, 1) }
	case "BLMPOP", "BZMPOP":
		return func(args [][]byte) [][]byte { return numKeys(args, 2) }
	case "SORT":
		return func(args [][]byte) [][]byte { return sourceAndStore(args, 2) }
	case "GEORADIUS", "GEORADIUSBYMEMBER":
		return func(args [][]byte) [][]byte { return sourceAndStore(args, 5) }
	case "SORT_RO":
		return func(args [][]byte) [][]byte { return args[1:min(len(args), 2)] }
	case "ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE":
		return func(args [][]byte) [][]byte {
			if len(args) < 2 {
				return nil
			}
			return append([][]byte{args[1]}, numKeys(args, 2)...)
		}
	}
	return nil
}

// streamKeys gives the keys after STREAMS: the first half of what follows.
func streamKeys(args [][]byte) [][]byte {
	for i := 1; i < len(args); i++ {
		if bytes.EqualFold(args[i], []byte("STREAMS")) {
			return args[i+1 : i+1+(len(args)-i-1)/2]
		}
	}
	return nil
}

// sourceAndStore gives the first argument and what follows the last STORE or
// STOREDIST among the options, which begin at from.
func sourceAndStore(args [][]byte, from int) [][]byte {
	if len(args) < 2 {
		return nil
	}
	keys := [][]byte{args[1]}
	for i := from; i+1 < len(args); i++ {
		switch strings.ToUpper(string(cut(args[i], len("STOREDIST")+1))) {
		case "LIMIT":
			i += 2
		case "BY", "GET", "COUNT":
			i++
		case "STORE", "STOREDIST":
			i++
			keys = [][]byte{args[1], args[i]}
		}
	}
	return keys
}

// numKeys gives the keys that follow their number at args[at].
func numKeys(args [][]byte, at int) [][]byte {
	if at >= len(args) {
		return nil
	}
	n, err := strconv.Atoi(string(args[at]))
	if err != nil || n <= 0 || n > len(args)-at-1 {
		return nil
	}
	return args[at+1 : at+1+n]
}

// hasOption looks for an option among the arguments.
func hasOption(args [][]byte, option string) bool {
	for _, a := range args[1:] {
		if bytes.EqualFold(a, []byte(option)) {
			return true
		}
	}
	return false
}
