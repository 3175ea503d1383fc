package redistest

import (
	"bufio"
	"errors"
	"io"
	"math"
	"sort"
	"strconv"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
)

// ReadReply reads a reply of either protocol.
func ReadReply(r *bufio.Reader) (command.Reply, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return command.Reply{}, err
	}
	line = strings.TrimRight(line, "\r\n")
	text := line[1:]
	n, _ := strconv.Atoi(text)
	many := func(kind command.Kind, n int) (command.Reply, error) {
		reply := command.Reply{Kind: kind, Elems: []command.Reply{}}
		for range n {
			e, err := ReadReply(r)
			if err != nil {
				return reply, err
			}
			reply.Elems = append(reply.Elems, e)
		}
		return reply, nil
	}
	switch line[0] {
	case '+':
		return command.Simple(text), nil
	case '-':
		return command.Reply{Kind: command.KindError, Str: []byte(text)}, nil
	case ':':
		return command.Int(int64(n)), nil
	case ',':
		f, err := strconv.ParseFloat(text, 64)
		return command.Double(f), err
	case '_':
		return command.Null(), nil
	case '$':
		if n < 0 {
			return command.Null(), nil
		}
		b := make([]byte, n+2)
		_, err := io.ReadFull(r, b)
		return command.Bulk(b[:n]), err
	case '=':
		b := make([]byte, n+2)
		_, err := io.ReadFull(r, b)
		return command.Verbatim(strings.TrimPrefix(string(b[:n]), "txt:")), err
	case '*':
		if n < 0 {
			return command.NullArray(), nil
		}
		return many(command.KindArray, n)
	case '%':
		return many(command.KindMap, 2*n)
	case '~':
		return many(command.KindSet, n)
	}
	return command.Reply{}, errors.New("unknown reply " + line)
}

// Wire turns a reply of ours into what a client of the protocol reads.
func Wire(r command.Reply, proto int) command.Reply {
	elems := make([]command.Reply, len(r.Elems))
	for i, e := range r.Elems {
		elems[i] = Wire(e, proto)
	}
	twos := func() command.Reply {
		out := []command.Reply{}
		for i := 0; i+1 < len(elems); i += 2 {
			out = append(out, command.Array(elems[i], elems[i+1]))
		}
		return command.Array(out...)
	}
	switch r.Kind {
	case command.KindDouble:
		if proto == 2 {
			if r.Str != nil {
				return command.Bulk(r.Str)
			}
			return command.BulkString(formatDouble(r.Float))
		}
		if f, err := strconv.ParseFloat(string(r.Str), 64); err == nil {
			return command.Double(f)
		}
	case command.KindNullArray:
		if proto == 3 {
			return command.Null()
		}
	case command.KindPairs:
		if proto == 3 {
			return twos()
		}
		return command.Array(elems...)
	case command.KindTable:
		if proto == 2 {
			return twos()
		}
		return command.Map(elems...)
	case command.KindMap, command.KindSet:
		if proto == 2 {
			return command.Array(elems...)
		}
		return command.Reply{Kind: r.Kind, Elems: elems}
	case command.KindArray:
		return command.Array(elems...)
	}
	return r
}

func formatDouble(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	return strconv.FormatFloat(f, 'g', 17, 64)
}

// Show writes a reply for comparing and reading.
func Show(r command.Reply) string {
	switch r.Kind {
	case command.KindNull:
		return "nil"
	case command.KindNullArray:
		return "nil[]"
	case command.KindInt:
		return strconv.FormatInt(r.Int, 10)
	case command.KindDouble:
		return "," + formatDouble(r.Float)
	case command.KindBulk:
		return strconv.Quote(string(r.Str))
	case command.KindSimple:
		return "+" + string(r.Str)
	case command.KindError:
		return "-" + string(r.Str)
	}
	parts := make([]string, len(r.Elems))
	for i, e := range r.Elems {
		parts[i] = Show(e)
	}
	open := map[command.Kind]string{command.KindArray: "[", command.KindMap: "%[", command.KindSet: "~["}[r.Kind]
	return open + strings.Join(parts, " ") + "]"
}

// Sorted puts elements in order: size at a time, for fields and values.
func Sorted(r command.Reply, size int) command.Reply {
	if len(r.Elems) == 0 || len(r.Elems)%size != 0 {
		return r
	}
	groups := make([][]command.Reply, 0, len(r.Elems)/size)
	for i := 0; i < len(r.Elems); i += size {
		groups = append(groups, r.Elems[i:i+size])
	}
	sort.SliceStable(groups, func(i, j int) bool { return Show(groups[i][0]) < Show(groups[j][0]) })
	out := command.Reply{Kind: r.Kind}
	for _, g := range groups {
		out.Elems = append(out.Elems, g...)
	}
	return out
}
