package rules

import (
	"fmt"
	"strconv"
	"strings"
)

// formula says whether a condition holds, given the outcome of each leaf of
// its rule.
type formula func(leaves []bool) bool

func always([]bool) bool { return true }

// leafFormula is the outcome of one leaf.
func leafFormula(i int) formula {
	return func(leaves []bool) bool { return leaves[i] }
}

func not(f formula) formula {
	return func(leaves []bool) bool { return !f(leaves) }
}

func and(a, b formula) formula {
	return func(leaves []bool) bool { return a(leaves) && b(leaves) }
}

func or(a, b formula) formula {
	return func(leaves []bool) bool { return a(leaves) || b(leaves) }
}

// allOf holds if all do; allOf of none holds.
func allOf(fs []formula) formula {
	return func(leaves []bool) bool {
		for _, f := range fs {
			if !f(leaves) {
				return false
			}
		}
		return true
	}
}

// anyOf holds if at least one does; anyOf of none does not.
func anyOf(fs []formula) formula {
	return func(leaves []bool) bool {
		for _, f := range fs {
			if f(leaves) {
				return true
			}
		}
		return false
	}
}

const (
	maxExpression      = 1024 // bytes
	maxExpressionDepth = 32   // brackets and nots inside one another
)

// expressionError is a place where an expression is wrong.
type expressionError struct {
	column  int // in bytes, from 1
	message string
}

func (e *expressionError) Error() string {
	return fmt.Sprintf("column %d: %s", e.column, e.message)
}

// parseExpression reads "(1 or 2) and not 3" over n conditions, whose outcome
// stands from leaf first on. The grammar:
//
//	expression = term { "or" term }
//	term       = factor { "and" factor }
//	factor     = "not" factor | "(" expression ")" | number
func parseExpression(s string, first, n int) (formula, *expressionError) {
	if len(s) > maxExpression {
		return nil, &expressionError{maxExpression + 1, fmt.Sprintf("longer than %d bytes", maxExpression)}
	}
	p := &expressionParser{rest: s, first: first, count: n}
	p.next()
	f := p.expression()
	if p.err == nil && p.token != "" {
		p.fail("expected \"and\", \"or\" or the end, but found %q", clip(p.token))
	}
	if p.err != nil {
		return nil, p.err
	}
	return f, nil
}

type expressionParser struct {
	rest   string // what follows the token
	offset int    // of rest
	token  string // at hand; "" at the end
	column int    // of the token, from 1
	depth  int
	first  int
	count  int
	err    *expressionError
}

func (p *expressionParser) fail(format string, args ...any) formula {
	if p.err == nil {
		p.err = &expressionError{p.column, fmt.Sprintf(format, args...)}
	}
	return always
}

// next moves to the next token: a bracket, a run of digits, a run of letters,
// or a single other byte.
func (p *expressionParser) next() {
	trimmed := strings.TrimLeft(p.rest, " \t\r\n")
	p.offset += len(p.rest) - len(trimmed)
	n := 0
	for n < len(trimmed) && isWordByte(trimmed[n]) {
		n++
	}
	if n == 0 {
		n = min(1, len(trimmed))
	}
	p.token, p.rest = strings.ToLower(trimmed[:n]), trimmed[n:]
	p.column = p.offset + 1
	p.offset += n
}

func isWordByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

func (p *expressionParser) expression() formula {
	f := p.term()
	for p.err == nil && p.token == "or" {
		p.next()
		f = or(f, p.term())
	}
	return f
}

func (p *expressionParser) term() formula {
	f := p.factor()
	for p.err == nil && p.token == "and" {
		p.next()
		f = and(f, p.factor())
	}
	return f
}

func (p *expressionParser) factor() formula {
	if p.depth++; p.depth > maxExpressionDepth {
		return p.fail("nested deeper than %d", maxExpressionDepth)
	}
	defer func() { p.depth-- }()
	switch {
	case p.token == "not":
		p.next()
		return not(p.factor())
	case p.token == "(":
		return p.brackets()
	case p.token != "" && p.token[0] >= '0' && p.token[0] <= '9':
		return p.number()
	case p.token == "":
		return p.fail("expected the number of a condition, \"not\" or \"(\", but the expression ends")
	}
	return p.fail("expected the number of a condition, \"not\" or \"(\", but found %q", clip(p.token))
}

func (p *expressionParser) brackets() formula {
	opened := p.column
	p.next()
	f := p.expression()
	if p.err != nil {
		return f
	}
	if p.token != ")" {
		found := "the expression ends"
		if p.token != "" {
			found = fmt.Sprintf("found %q", clip(p.token))
		}
		return p.fail("expected \")\" for the \"(\" in column %d, but %s", opened, found)
	}
	p.next()
	return f
}

func (p *expressionParser) number() formula {
	n, err := strconv.Atoi(p.token)
	if err != nil || n < 1 || n > p.count {
		return p.fail("there is no condition %s; they are numbered from 1 to %d", clip(p.token), p.count)
	}
	p.next()
	return leafFormula(p.first + n - 1)
}
