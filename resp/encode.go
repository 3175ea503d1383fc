package resp

import (
	"math"
	"strconv"

	"github.com/parlorchat/parlor/storage/command"
)

// Protocol versions that HELLO chooses between.
const (
	resp2 = 2
	resp3 = 3
)

// appendReply appends a reply as a client of the protocol version sees it.
// What RESP2 lacks becomes its nearest kin there: a map a flat array, a set an
// array, a double or text a bulk string, a boolean an integer.
func appendReply(b []byte, r command.Reply, proto int) []byte {
	switch r.Kind {
	case command.KindNull:
		if proto == resp3 {
			return append(b, "_\r\n"...)
		}
		return append(b, "$-1\r\n"...)
	case command.KindNullArray:
		if proto == resp3 {
			return append(b, "_\r\n"...)
		}
		return append(b, "*-1\r\n"...)
	case kindRaw:
		return append(b, r.Str...)
	case command.KindSimple:
		return appendLine(b, '+', r.Str)
	case command.KindError:
		return appendLine(b, '-', r.Str)
	case command.KindInt:
		return appendHeader(b, ':', r.Int)
	case command.KindBulk:
		return appendBulk(b, r.Str)
	case command.KindDouble:
		if r.Str != nil {
			return appendNumber(b, r.Str, proto)
		}
		return appendDouble(b, r.Float, proto)
	case command.KindBool:
		return appendBool(b, r.Int != 0, proto)
	case command.KindArray:
		b = appendHeader(b, '*', r.Len())
	case command.KindMap:
		if proto == resp3 {
			b = appendHeader(b, '%', r.Len()/2)
		} else {
			b = appendHeader(b, '*', r.Len())
		}
	case command.KindSet:
		if proto == resp3 {
			b = appendHeader(b, '~', r.Len())
		} else {
			b = appendHeader(b, '*', r.Len())
		}
	case command.KindPairs:
		if proto == resp3 {
			return appendTwos(b, r.Elems, proto)
		}
		b = appendHeader(b, '*', int64(len(r.Elems)))
	case command.KindTable:
		if proto != resp3 {
			return appendTwos(b, r.Elems, proto)
		}
		b = appendHeader(b, '%', int64(len(r.Elems)/2))
	case command.KindVerbatim:
		if proto == resp3 {
			b = appendHeader(b, '=', int64(len(r.Str)+4))
			b = append(b, "txt:"...)
			b = append(b, r.Str...)
			return append(b, '\r', '\n')
		}
		return appendBulk(b, r.Str)
	}
	for _, e := range r.Elems {
		b = appendReply(b, e, proto)
	}
	return append(b, r.Str...) // what Pack has collected
}

// appendTwos appends an array of arrays of two.
func appendTwos(b []byte, elems []command.Reply, proto int) []byte {
	b = appendHeader(b, '*', int64(len(elems)/2))
	for i := 0; i+1 < len(elems); i += 2 {
		b = appendHeader(b, '*', 2)
		b = appendReply(appendReply(b, elems[i], proto), elems[i+1], proto)
	}
	return b
}

// appendPush appends a frame that answers no command. A client of RESP2 sees
// an array.
func appendPush(b []byte, elems []command.Reply, proto int) []byte {
	kind := byte('*')
	if proto == resp3 {
		kind = '>'
	}
	b = appendHeader(b, kind, int64(len(elems)))
	for _, e := range elems {
		b = appendReply(b, e, proto)
	}
	return b
}

func appendHeader(b []byte, kind byte, n int64) []byte {
	b = append(b, kind)
	b = strconv.AppendInt(b, n, 10)
	return append(b, '\r', '\n')
}

// appendLine appends a simple string or an error. Whatever it quotes from a
// client must not end the line early: CR and LF become blanks.
func appendLine(b []byte, kind byte, text []byte) []byte {
	b = append(b, kind)
	for _, c := range text {
		if c == '\r' || c == '\n' {
			c = ' '
		}
		b = append(b, c)
	}
	return append(b, '\r', '\n')
}

func appendBulk(b, value []byte) []byte {
	b = appendHeader(b, '$', int64(len(value)))
	b = append(b, value...)
	return append(b, '\r', '\n')
}

// appendDouble writes 17 significant digits, as Redis 7.0 does: they bring
// back the same number.
func appendDouble(b []byte, f float64, proto int) []byte {
	var scratch [32]byte
	var text []byte
	switch {
	case math.IsInf(f, 1):
		text = append(scratch[:0], "inf"...)
	case math.IsInf(f, -1):
		text = append(scratch[:0], "-inf"...)
	case math.IsNaN(f):
		text = append(scratch[:0], "nan"...)
	default:
		text = strconv.AppendFloat(scratch[:0], f, 'g', 17, 64)
	}
	return appendNumber(b, text, proto)
}

func appendNumber(b, text []byte, proto int) []byte {
	if proto == resp3 {
		b = append(b, ',')
		b = append(b, text...)
		return append(b, '\r', '\n')
	}
	return appendBulk(b, text)
}

func appendBool(b []byte, v bool, proto int) []byte {
	switch {
	case proto == resp3 && v:
		return append(b, "#t\r\n"...)
	case proto == resp3:
		return append(b, "#f\r\n"...)
	case v:
		return append(b, ":1\r\n"...)
	}
	return append(b, ":0\r\n"...)
}
