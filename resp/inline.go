package resp

import "bytes"

// splitInline splits a line that a person typed into arguments, with the
// quoting of Redis: blanks separate; "…" knows \xHH \n \r \t \b \a and \c for
// any other c; '…' knows only \'. A closing quote must be followed by a blank
// or the end. ok is false if a quote is not closed or followed by something. A
// NUL ends the line, as in Redis.
func splitInline(line []byte) (args [][]byte, ok bool) {
	if i := bytes.IndexByte(line, 0); i >= 0 {
		line = line[:i]
	}
	for i := 0; ; {
		for i < len(line) && isBlank(line[i]) {
			i++
		}
		if i == len(line) {
			return args, true
		}
		arg, n, ok := inlineArg(line[i:])
		if !ok {
			return nil, false
		}
		args = append(args, arg)
		i += n
	}
}

// inlineArg takes one argument from the start of s and says how many bytes it
// stood on.
func inlineArg(s []byte) (arg []byte, n int, ok bool) {
	arg = []byte{}
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case isBlank(c):
			return arg, i, true
		case c == '"' || c == '\'':
			var used int
			arg, used, ok = inlineQuoted(arg, s[i:])
			i += used
			if !ok || i < len(s) && !isBlank(s[i]) {
				return nil, 0, false
			}
			return arg, i, true
		default:
			arg = append(arg, c)
			i++
		}
	}
	return arg, len(s), true
}

// inlineQuoted appends what stands between the quote at s[0] and its partner.
func inlineQuoted(arg, s []byte) (out []byte, n int, ok bool) {
	quote := s[0]
	for i := 1; i < len(s); i++ {
		c := s[i]
		switch {
		case c == quote:
			return arg, i + 1, true
		case c == '\\' && quote == '"' && i+1 < len(s):
			i++
			if s[i] == 'x' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
				arg = append(arg, unhex(s[i+1])<<4|unhex(s[i+2]))
				i += 2
				continue
			}
			arg = append(arg, unescape(s[i]))
		case c == '\\' && quote == '\'' && i+1 < len(s) && s[i+1] == '\'':
			i++
			arg = append(arg, '\'')
		default:
			arg = append(arg, c)
		}
	}
	return nil, 0, false
}

func isBlank(c byte) bool {
	return c == ' ' || c >= '\t' && c <= '\r'
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

// printableByte shows a byte in an error message, where control bytes have no
// place.
func printableByte(c byte) string {
	if c < ' ' || c > '~' {
		return "?"
	}
	return string(rune(c))
}
