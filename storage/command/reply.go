package command

import (
	"errors"
	"strconv"

	"github.com/parlorchat/parlor/storage/keyspace"
)

// Kind is the kind of a Reply. The values follow RESP3; an encoder for RESP2
// flattens what RESP2 does not have.
type Kind uint8

const (
	KindNull      Kind = iota // no such value
	KindNullArray             // RESP2's *-1: a blocking pop that timed out, an aborted EXEC
	KindSimple                // +OK
	KindError                 // -ERR …
	KindInt                   // :1
	KindBulk                  // $5 hello
	KindDouble                // ,1.5
	KindBool                  // #t
	KindArray                 // *2
	KindMap                   // %1: Elems holds keys and values in turn
	KindSet                   // ~2
	KindVerbatim              // =txt:
	// KindPairs holds firsts and seconds in turn: a flat array in RESP2, an
	// array of arrays of two in RESP3 (WITHSCORES).
	KindPairs
	// KindTable holds keys and values in turn: an array of arrays of two in
	// RESP2, a map in RESP3 (XREAD).
	KindTable
)

// Reply is what a command answers. It owns its bytes: nothing in it refers to
// storage or to a request buffer.
type Reply struct {
	Kind  Kind
	Int   int64   // KindInt; KindBool as 0 or 1; how many elements Str holds
	Float float64 // KindDouble
	Str   []byte  // KindSimple, KindError, KindBulk, KindVerbatim; see DoubleAs; elements, see Pack
	Elems []Reply // KindArray, KindMap, KindSet, KindPairs, KindTable; or they are in Str
}

// OK is the simple string that most writes answer.
var OK = Simple("OK")

// Null is the answer for a value that does not exist.
func Null() Reply { return Reply{Kind: KindNull} }

// NullArray is the answer for a list of values that does not exist.
func NullArray() Reply { return Reply{Kind: KindNullArray} }

// Simple is a short status that holds neither CR nor LF.
func Simple(s string) Reply { return Reply{Kind: KindSimple, Str: []byte(s)} }

// Int is an integer.
func Int(n int64) Reply { return Reply{Kind: KindInt, Int: n} }

// Bool is 0 or 1: an integer to clients of either protocol, as Redis has it.
func Bool(b bool) Reply {
	if b {
		return Int(1)
	}
	return Int(0)
}

// Bulk is a binary-safe string; b is copied.
func Bulk(b []byte) Reply { return Reply{Kind: KindBulk, Str: append([]byte{}, b...)} }

// BulkString is a binary-safe string.
func BulkString(s string) Reply { return Reply{Kind: KindBulk, Str: []byte(s)} }

// Double is a floating point number; RESP2 clients see it as a bulk string.
func Double(f float64) Reply { return Reply{Kind: KindDouble, Float: f} }

// DoubleAs is a Double that is written in a certain way, such as with more
// digits than it has.
func DoubleAs(f float64, text string) Reply {
	return Reply{Kind: KindDouble, Float: f, Str: []byte(text)}
}

// Array is an ordered list.
func Array(elems ...Reply) Reply { return Reply{Kind: KindArray, Elems: elems} }

// Map is a list of keys and values in turn; RESP2 clients see a flat array.
func Map(keysAndValues ...Reply) Reply { return Reply{Kind: KindMap, Elems: keysAndValues} }

// Pairs is a list of twos, as WITHSCORES answers: RESP2 clients see it flat.
func Pairs(firstsAndSeconds ...Reply) Reply {
	return Reply{Kind: KindPairs, Elems: firstsAndSeconds}
}

// KeyTable is a map, as XREAD answers: RESP2 clients see an array of twos.
func KeyTable(keysAndValues ...Reply) Reply { return Reply{Kind: KindTable, Elems: keysAndValues} }

// Set is a list without order; RESP2 clients see an array.
func Set(elems ...Reply) Reply { return Reply{Kind: KindSet, Elems: elems} }

// Verbatim is a text for people, such as INFO.
func Verbatim(s string) Reply { return Reply{Kind: KindVerbatim, Str: []byte(s)} }

// Error is a failed command as clients see it.
type Error = keyspace.Error

// Errorf makes an Error. The message holds neither CR nor LF; encoders strip
// what arguments bring in.
func Errorf(code, message string) *Error { return &Error{Code: code, Message: message} }

// Fail turns an error into a Reply. An error that is not an *Error becomes
// code ERR.
func Fail(err error) Reply {
	var e *Error
	if errors.As(err, &e) {
		return Reply{Kind: KindError, Str: []byte(e.Error())}
	}
	return Reply{Kind: KindError, Str: []byte("ERR " + err.Error())}
}

// Err gives the error that a reply stands for, or nil.
func (r Reply) Err() error {
	if r.Kind != KindError {
		return nil
	}
	s := string(r.Str)
	for i := 0; i < len(s); i++ {
		if s[i] == ' ' {
			return &Error{Code: s[:i], Message: s[i+1:]}
		}
	}
	return &Error{Code: s}
}

// Text gives a simple string, bulk string or number as text, and "" for
// everything else.
func (r Reply) Text() string {
	switch r.Kind {
	case KindSimple, KindBulk, KindVerbatim, KindError:
		return string(r.Str)
	case KindInt, KindBool:
		return strconv.FormatInt(r.Int, 10)
	case KindDouble:
		return strconv.FormatFloat(r.Float, 'g', 17, 64)
	}
	return ""
}

// IsNull says whether the reply stands for a value that does not exist.
func (r Reply) IsNull() bool { return r.Kind == KindNull || r.Kind == KindNullArray }

// Errors that more than one package answers. Clients probe on these texts.
var (
	ErrWrongType  = keyspace.ErrWrongType
	ErrNotInteger = Errorf("ERR", "value is not an integer or out of range")
	ErrNotFloat   = Errorf("ERR", "value is not a valid float")
	ErrSyntax     = Errorf("ERR", "syntax error")
	ErrNoSuchKey  = Errorf("ERR", "no such key")
)

// ErrArity is the answer to a command with too few or too many arguments.
func ErrArity(name string) *Error {
	return Errorf("ERR", "wrong number of arguments for '"+name+"' command")
}
