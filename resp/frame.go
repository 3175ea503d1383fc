package resp

import (
	"bytes"
	"fmt"
)

// FrameLimits bound one command. A command beyond them is a protocol error,
// which ends the connection.
type FrameLimits struct {
	Elements int // arguments, with the name
	Bulk     int // bytes of one argument
	Inline   int // bytes of a line: an inline command, or a length
	Command  int // bytes of all the arguments of a command
}

// preAuthLimits hold for a client that has not given its password yet. They
// are those of Redis.
var preAuthLimits = FrameLimits{Elements: 10, Bulk: 16384, Inline: 16384, Command: 10 * 16384}

// protocolError is a violation of the protocol. The client is told and the
// connection ends, because the place where the next command begins is lost.
type protocolError string

func (e protocolError) Error() string { return "Protocol error: " + string(e) }

// allocStep is how much memory an announced length may cost before a single
// byte of it has arrived.
const allocStep = 64 << 10

const (
	// shortArg is how long an argument may be to share its memory with others.
	shortArg = 64
	// sharedRoom is how much memory they share: whoever keeps one of them keeps
	// all of it.
	sharedRoom = 512
	// shortList is how many arguments a command may have to share the memory
	// of their list with others, and sharedLists how many arguments those have.
	shortList   = 8
	sharedLists = 32
)

// maxLengthDigits keeps the arithmetic on lengths far from overflow.
const maxLengthDigits = 10

// frameParser turns a stream of bytes into commands. It keeps its place when
// bytes run out, so no byte is looked at twice however slowly they come, and
// the result does not depend on where the stream was cut.
//
// Arguments are copied out of the buffer: they belong to the caller.
type frameParser struct {
	limits FrameLimits
	strict bool // limits are those of a client that is not authenticated

	state   parserState
	args    [][]byte // of the command under way
	want    int      // number of arguments it announced
	total   int      // bytes of its arguments, announced
	bulk    []byte   // the argument under way
	bulkLen int      // its announced length
	scanned int      // bytes of the line under way that hold no newline
	room    []byte   // for short arguments; what is used of it is theirs
	lists   [][]byte // for short lists of arguments, likewise
}

type parserState uint8

const (
	atStart   parserState = iota // before the first byte of a command
	atBulk                       // before the header of an argument
	inBulk                       // in the bytes of an argument
	afterBody                    // before the CR LF that ends an argument
)

// midway says whether a command has begun and is not complete. buffered is
// what parse left unread.
func (p *frameParser) midway(buffered []byte) bool {
	return p.state != atStart || len(buffered) > 0
}

// missing says how many bytes the argument under way still lacks, 0 if none
// is.
func (p *frameParser) missing() int {
	if p.state != inBulk {
		return 0
	}
	return p.bulkLen - len(p.bulk)
}

// size is how many bytes the command under way takes so far.
func (p *frameParser) size() int {
	if p.state == atStart {
		return 0
	}
	return max(p.total-p.bulkLen, 0) + cap(p.bulk) + cap(p.args)*argOverhead
}

// argOverhead is what an argument costs besides its bytes.
const argOverhead = 24

// spare gives room for bytes of the argument under way, so that a long one is
// read from the network into its place. The room grows with what has arrived.
func (p *frameParser) spare() []byte {
	if len(p.bulk) == cap(p.bulk) {
		p.grow(1)
	}
	room := p.bulk[len(p.bulk):cap(p.bulk)]
	return room[:min(len(room), p.missing())]
}

// filled takes note of n bytes that were put into spare.
func (p *frameParser) filled(n int) {
	p.bulk = p.bulk[:len(p.bulk)+n]
	if len(p.bulk) == p.bulkLen {
		p.state = afterBody
	}
}

// grow makes room for n more bytes of the argument: at least doubling, so that
// copying stays linear, and never more than announced.
func (p *frameParser) grow(n int) {
	need := len(p.bulk) + n
	if need <= cap(p.bulk) {
		return
	}
	size := min(max(need, 2*len(p.bulk), allocStep), p.bulkLen)
	b := make([]byte, len(p.bulk), size)
	copy(b, p.bulk)
	p.bulk = b
}

// list gives room for so many arguments.
func (p *frameParser) list(n int) [][]byte {
	if n > shortList {
		return make([][]byte, 0, min(n, 64))
	}
	return carve(&p.lists, n, sharedLists)
}

// carve gives room for n values out of what is left of a piece of memory, or of
// a new one of that size.
func carve[T any](piece *[]T, n, size int) []T {
	if cap(*piece)-len(*piece) < n {
		*piece = make([]T, 0, size)
	}
	used := len(*piece)
	*piece = (*piece)[:used+n]
	return (*piece)[used : used : used+n]
}

// parse takes bytes from b until a command is complete. It returns the
// command, or nil if b holds no more, and how many bytes it took. An inline
// line or a length that is not complete is not taken.
func (p *frameParser) parse(b []byte) (args [][]byte, n int, err error) {
	for {
		var took int
		var done bool
		switch p.state {
		case atStart:
			took, done, err = p.parseStart(b[n:])
		case atBulk:
			took, err = p.parseBulkHeader(b[n:])
		case inBulk:
			took = p.parseBody(b[n:])
		case afterBody:
			took, done, err = p.parseBodyEnd(b[n:])
		}
		n += took
		if err != nil {
			return nil, n, err
		}
		if done {
			args, p.args = p.args, nil
			p.state, p.total = atStart, 0
			if len(args) > 0 {
				return args, n, nil
			}
			continue // an empty command: nothing to answer
		}
		if took == 0 {
			return nil, n, nil
		}
	}
}

// line gives the line at the start of b without its newline, and its length
// with it; 0 if it is not complete.
func (p *frameParser) line(b []byte, tooLong protocolError) (line []byte, n int, err error) {
	i := bytes.IndexByte(b[p.scanned:], '\n')
	if i < 0 {
		p.scanned = len(b)
		if len(b) > p.limits.Inline {
			return nil, 0, tooLong
		}
		return nil, 0, nil
	}
	i += p.scanned
	p.scanned = 0
	if i > p.limits.Inline {
		return nil, 0, tooLong
	}
	return b[:i], i + 1, nil
}

// parseLength reads the number of a line such as "*3\r". Redis takes neither
// a plus sign nor leading zeros. A negative number is -1.
func parseLength(line []byte) (n int, ok bool) {
	if len(line) < 3 || line[len(line)-1] != '\r' {
		return 0, false
	}
	digits := line[1 : len(line)-1]
	negative := digits[0] == '-'
	if negative {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > maxLengthDigits {
		return 0, false
	}
	if digits[0] == '0' && (len(digits) > 1 || negative) {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	if negative {
		return -1, true
	}
	return n, true
}

func (p *frameParser) parseStart(b []byte) (n int, done bool, err error) {
	if len(b) == 0 {
		return 0, false, nil
	}
	if b[0] != '*' {
		return p.parseInline(b)
	}
	line, n, err := p.line(b, "too big mbulk count string")
	if n == 0 || err != nil {
		return 0, false, err
	}
	count, ok := parseLength(line)
	switch {
	case !ok || count > p.limits.Elements && !p.strict:
		return 0, false, protocolError("invalid multibulk length")
	case count > p.limits.Elements:
		return 0, false, protocolError("unauthenticated multibulk length")
	case count <= 0:
		return n, true, nil
	}
	p.want = count
	p.args = p.list(count)
	p.state = atBulk
	return n, false, nil
}

func (p *frameParser) parseInline(b []byte) (n int, done bool, err error) {
	line, n, err := p.line(b, "too big inline request")
	if n == 0 || err != nil {
		return 0, false, err
	}
	args, ok := splitInline(bytes.TrimSuffix(line, []byte{'\r'}))
	if !ok {
		return 0, false, protocolError("unbalanced quotes in request")
	}
	if len(args) > p.limits.Elements {
		if p.strict {
			return 0, false, protocolError("unauthenticated multibulk length")
		}
		return 0, false, protocolError("invalid multibulk length")
	}
	p.args = args
	return n, true, nil
}

func (p *frameParser) parseBulkHeader(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	if b[0] != '$' {
		return 0, protocolError(fmt.Sprintf("expected '$', got '%s'", printableByte(b[0])))
	}
	line, n, err := p.line(b, "too big bulk count string")
	if n == 0 || err != nil {
		return 0, err
	}
	size, ok := parseLength(line)
	switch {
	case !ok || size < 0 || size > p.limits.Bulk && !p.strict:
		return 0, protocolError("invalid bulk length")
	case size > p.limits.Bulk:
		return 0, protocolError("unauthenticated bulk length")
	case p.total+size > p.limits.Command:
		return 0, protocolError(fmt.Sprintf("command is larger than %d bytes", p.limits.Command))
	}
	p.total += size
	p.bulk, p.bulkLen = nil, size
	p.state = inBulk
	if size == 0 {
		p.bulk, p.state = []byte{}, afterBody
	}
	return n, nil
}

func (p *frameParser) parseBody(b []byte) (n int) {
	n = min(len(b), p.missing())
	if n == 0 {
		return 0
	}
	if p.bulk == nil && p.bulkLen <= shortArg {
		p.bulk = carve(&p.room, p.bulkLen, sharedRoom)
	} else {
		p.grow(n)
	}
	p.bulk = append(p.bulk, b[:n]...)
	if len(p.bulk) == p.bulkLen {
		p.state = afterBody
	}
	return n
}

func (p *frameParser) parseBodyEnd(b []byte) (n int, done bool, err error) {
	if len(b) < 2 {
		return 0, false, nil
	}
	if b[0] != '\r' || b[1] != '\n' {
		return 0, false, protocolError("invalid bulk length")
	}
	p.args = append(p.args, p.bulk)
	p.bulk, p.bulkLen = nil, 0
	p.state = atBulk
	return 2, len(p.args) == p.want, nil
}
