package rules

import (
	"slices"
	"strings"
)

// suggest gives ` (did you mean "x"?)` for the candidate nearest to word, or
// nothing if none is near.
func suggest(word string, candidates []string) string {
	best, bestDistance := "", len(word)/4+2
	for _, c := range candidates {
		d := distance(strings.ToLower(word), strings.ToLower(c))
		if d < bestDistance {
			best, bestDistance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return ` (did you mean "` + best + `"?)`
}

// distance is the number of letters to insert, delete or replace to get from
// a to b. Long words are not compared letter by letter.
func distance(a, b string) int {
	const longest = 64
	if len(a) > longest || len(b) > longest {
		return longest
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next := min(row[j]+1, row[j-1]+1, diagonal+cost)
			diagonal, row[j] = row[j], next
		}
	}
	return row[len(b)]
}

// quoted gives a list of words for an error message: "a", "b" or "c".
func quoted(words []string) string {
	words = slices.Clone(words)
	for i := range words {
		words[i] = `"` + words[i] + `"`
	}
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " or " + words[n-1]
	}
	return strings.Join(words, "")
}
