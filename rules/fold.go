package rules

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// fold brings texts that differ only in case to the same form, one letter for
// one letter (Unicode simple folding): "STRASSE" and "strasse", "Σ" and "ς".
func fold(s string) string {
	upper := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= utf8.RuneSelf {
			return strings.Map(foldRune, s)
		}
		upper = upper || 'A' <= c && c <= 'Z'
	}
	if !upper {
		return s
	}
	return strings.ToLower(s)
}

// foldRune stands for all runes that are equal but for case: the smallest of
// them, and of ASCII letters the lower-case one.
func foldRune(r rune) rune {
	smallest := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		smallest = min(smallest, f)
	}
	if 'A' <= smallest && smallest <= 'Z' {
		smallest += 'a' - 'A'
	}
	return smallest
}
