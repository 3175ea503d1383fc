package redis

import (
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// maxLCS bounds the table that LCS fills in: cells of 4 bytes.
const maxLCS = 16 << 20

// lcsOptions are the keywords of LCS.
type lcsOptions struct {
	length, index, withLength bool
	least                     int64 // shortest match to report
}

func parseLCS(args [][]byte) (o lcsOptions, err error) {
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case is(a, "IDX"):
			o.index = true
		case is(a, "LEN"):
			o.length = true
		case is(a, "WITHMATCHLEN"):
			o.withLength = true
		case is(a, "MINMATCHLEN") && i+1 < len(args):
			i++
			if o.least, err = intArg(args[i]); err != nil {
				return o, err
			}
		default:
			return o, command.ErrSyntax
		}
	}
	if o.index && o.length {
		return o, command.Errorf("ERR", "If you want both the length and indexes, please just use IDX.")
	}
	return o, nil
}

func lcs(c *command.Call, args [][]byte) (command.Reply, error) {
	for _, key := range args[1:3] {
		if t := c.Type(key); t != keyspace.None && t != keyspace.String {
			return command.Reply{}, command.Errorf("ERR", "The specified keys must contain string values")
		}
	}
	o, err := parseLCS(args[3:])
	if err != nil {
		return command.Reply{}, err
	}
	a, _, err := c.Get(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	b, _, err := c.Get(args[2])
	if err != nil {
		return command.Reply{}, err
	}
	if (len(a)+1)*(len(b)+1) > maxLCS {
		return command.Reply{}, command.Errorf("ERR", "Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
	}
	table := fillLCS(a, b)
	n := int64(table[len(table)-1])
	if o.length {
		return command.Int(n), nil
	}
	common, matches := walkLCS(table, a, b, o)
	if o.index {
		return command.Map(command.BulkString("matches"), command.Array(matches...), command.BulkString("len"), command.Int(n)), nil
	}
	return command.Bulk(common), nil
}

// fillLCS gives the length of what each two prefixes have in common: at
// i*(len(b)+1)+j for the first i bytes of a and j of b.
func fillLCS(a, b []byte) []uint32 {
	width := len(b) + 1
	table := make([]uint32, (len(a)+1)*width)
	for i := range a {
		above, row := table[i*width:(i+1)*width], table[(i+1)*width:(i+2)*width]
		for j := range b {
			if a[i] == b[j] {
				row[j+1] = above[j] + 1
			} else {
				row[j+1] = max(above[j+1], row[j])
			}
		}
	}
	return table
}

// walkLCS goes back from the end and gives what is common, and where it
// stands: runs without a gap in either string, from the last.
func walkLCS(table []uint32, a, b []byte, o lcsOptions) (common []byte, matches []command.Reply) {
	width := len(b) + 1
	common = make([]byte, table[len(table)-1])
	at, run := len(common), 0
	i, j := len(a), len(b)
	report := func() {
		if run == 0 {
			return
		}
		if int64(run) >= o.least {
			span := func(from int) command.Reply {
				return command.Array(command.Int(int64(from)), command.Int(int64(from+run-1)))
			}
			m := []command.Reply{span(i), span(j)}
			if o.withLength {
				m = append(m, command.Int(int64(run)))
			}
			matches = append(matches, command.Array(m...))
		}
		run = 0
	}
	for i > 0 && j > 0 {
		if a[i-1] == b[j-1] {
			i, j, at, run = i-1, j-1, at-1, run+1
			common[at] = a[i]
			continue
		}
		report()
		if table[(i-1)*width+j] > table[i*width+j-1] {
			i--
		} else {
			j--
		}
	}
	report()
	return common, matches
}
