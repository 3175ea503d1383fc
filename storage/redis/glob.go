package redis

// glob says whether s matches a pattern of KEYS and SCAN: ? and * , [a-c],
// [^a], and \ before a character that stands for itself. It goes back to the
// last star only, which is enough, and so takes at most len(s) times
// len(pattern) steps.
func glob(s, pattern []byte) bool {
	starP, starS := -1, 0
	i, p := 0, 0
	for i < len(s) {
		if p < len(pattern) && pattern[p] == '*' {
			starP, starS = p, i
			p++
			continue
		}
		if p < len(pattern) {
			if next, ok := globOne(s[i], pattern, p); ok {
				i, p = i+1, next
				continue
			}
		}
		if starP < 0 {
			return false
		}
		starS++
		i, p = starS, starP+1
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// globOne compares one character with the pattern at p, which is no star, and
// gives where the pattern goes on.
func globOne(c byte, pattern []byte, p int) (next int, ok bool) {
	switch pattern[p] {
	case '?':
		return p + 1, true
	case '[':
		return globClass(c, pattern, p+1)
	case '\\':
		if p+1 < len(pattern) {
			p++
		}
	}
	return p + 1, c == pattern[p]
}

// globClass compares with the class that begins after the bracket. A class
// without an end goes to the end of the pattern.
func globClass(c byte, pattern []byte, p int) (next int, ok bool) {
	not := p < len(pattern) && pattern[p] == '^'
	if not {
		p++
	}
	for ; p < len(pattern) && pattern[p] != ']'; p++ {
		switch {
		case pattern[p] == '\\' && p+1 < len(pattern):
			p++
			ok = ok || pattern[p] == c
		case p+2 < len(pattern) && pattern[p+1] == '-':
			lo, hi := pattern[p], pattern[p+2]
			if lo > hi {
				lo, hi = hi, lo
			}
			ok = ok || (lo <= c && c <= hi)
			p += 2
		default:
			ok = ok || pattern[p] == c
		}
	}
	if p < len(pattern) {
		p++
	}
	return p, ok != not
}
