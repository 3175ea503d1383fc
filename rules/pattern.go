package rules

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// maxProgram bounds a compiled regular expression, in instructions: what a
// match costs at most is instructions times bytes of the text.
const maxProgram = 1000

// compileRegexp compiles an RE2 expression. Its size is estimated before it
// is compiled, since a short expression such as (x{1000}){1000} makes a huge
// program.
func compileRegexp(pattern string, foldCase bool) (*regexp.Regexp, error) {
	flags := syntax.Perl
	if foldCase {
		flags |= syntax.FoldCase
	}
	tree, err := syntax.Parse(pattern, flags)
	if err != nil {
		var s *syntax.Error
		if errors.As(err, &s) {
			return nil, fmt.Errorf("not a regular expression (RE2): %s: %q", s.Code, clip(s.Expr))
		}
		return nil, fmt.Errorf("not a regular expression (RE2): %w", err)
	}
	if size := programSize(tree); size > maxProgram {
		return nil, fmt.Errorf("the regular expression is too large: about %d steps, at most %d are allowed", size, maxProgram)
	}
	if foldCase {
		pattern = "(?i)" + pattern
	}
	return regexp.Compile(pattern)
}

// programSize estimates how many instructions an expression compiles to; it
// stops counting somewhere above maxProgram.
func programSize(re *syntax.Regexp) int {
	size := 1
	switch re.Op {
	case syntax.OpLiteral:
		size = len(re.Rune)
	case syntax.OpCharClass:
		size = 1 + len(re.Rune)/8 // ranges are searched one after another
	}
	for _, sub := range re.Sub {
		size += programSize(sub)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Min, re.Max, 1)
	}
	return min(size, 1000*maxProgram)
}

// compileGlob compiles a pattern in which * stands for any letters, ? for
// one, [a-z] or [!a-z] for one of a class, {a,b} for one of some texts, and \
// takes the meaning from the next letter. It must match the whole text.
//
// It becomes a regular expression, because RE2 is linear in the length of the
// text, while glob matchers that go back at every * are not.
func compileGlob(pattern string, foldCase bool) (*regexp.Regexp, error) {
	g := globber{}
	g.out.WriteString("^(?s:")
	runes := []rune(pattern)
	for i := 0; i < len(runes); {
		n, err := g.step(runes[i:])
		if err != nil {
			return nil, fmt.Errorf("not a pattern: %w", err)
		}
		i += n
	}
	if g.braces > 0 {
		return nil, errors.New(`not a pattern: a "{" is not closed`)
	}
	g.out.WriteString(")$")
	return compileRegexp(g.out.String(), foldCase)
}

// globber translates a glob; braces counts the open ones.
type globber struct {
	out    strings.Builder
	braces int
}

// step translates what stands at the front and says how many runes that was.
func (g *globber) step(rest []rune) (int, error) {
	switch r := rest[0]; {
	case r == '*':
		g.out.WriteString(".*")
	case r == '?':
		g.out.WriteString(".")
	case r == '[':
		return g.class(rest)
	case r == '{':
		g.braces++
		g.out.WriteString("(?:")
	case r == '}' && g.braces > 0:
		g.braces--
		g.out.WriteString(")")
	case r == ',' && g.braces > 0:
		g.out.WriteString("|")
	case r == '\\':
		if len(rest) == 1 {
			return 0, errors.New(`nothing follows the last "\"`)
		}
		g.out.WriteString(regexp.QuoteMeta(string(rest[1])))
		return 2, nil
	default:
		g.out.WriteString(regexp.QuoteMeta(string(r)))
	}
	return 1, nil
}

// class translates [abc], [a-z] and [!a-z].
func (g *globber) class(rest []rune) (int, error) {
	i := 1
	g.out.WriteString("[")
	if i < len(rest) && (rest[i] == '!' || rest[i] == '^') {
		g.out.WriteString("^")
		i++
	}
	for first := i; i < len(rest); i++ {
		switch r := rest[i]; {
		case r == ']' && i > first:
			g.out.WriteString("]")
			return i + 1, nil
		case r == '-' && i > first && i+1 < len(rest) && rest[i+1] != ']':
			g.out.WriteString("-")
		case strings.ContainsRune(`\]^[-&~`, r):
			g.out.WriteString(`\` + string(r))
		default:
			g.out.WriteRune(r)
		}
	}
	return 0, errors.New(`a "[" is not closed`)
}
