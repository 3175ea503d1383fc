package core

import (
	"math"
	"strconv"
	"strings"

	"github.com/parlorchat/parlor/storage/keyspace"
)

const (
	// DefaultPage is how many objects a list answers unless told.
	DefaultPage = 50
	// MaxPage is how many objects a list answers at most.
	MaxPage = 1000
	// maxExamined is how many objects a list looks at for one page, so that a
	// filter that hardly anything passes does not hold up the others.
	maxExamined = 1000
)

// lastID is above every id that a stream may have.
var lastID = keyspace.StreamID{Ms: math.MaxUint64, Seq: math.MaxUint64}

// pageThrough calls take for the members of a sorted set, highest score first,
// from the one after cursor, until take says that the page is full. It
// returns the cursor to go on from, "" at the end. A full page that happens to
// be the last one has an empty page after it.
func pageThrough(tx *keyspace.Tx, key, cursor string, take func(member string) (full bool, err error)) (next string, err error) {
	top, from, err := readCursor(cursor)
	if err != nil {
		return "", err
	}
	for examined := 0; examined < maxExamined; {
		batch, err := below(tx, key, top, from, pageBatch)
		if err != nil {
			return "", err
		}
		for _, e := range batch {
			full, err := take(string(e.Member))
			if err != nil {
				return "", err
			}
			top, from = e.Score, string(e.Member)
			if full {
				return makeCursor(top, from), nil
			}
		}
		if len(batch) < pageBatch {
			return "", nil
		}
		examined += len(batch)
	}
	return makeCursor(top, from), nil
}

// pageBatch is how many members of a sorted set are looked up at once.
const pageBatch = 100

// below gives the first n members of a sorted set, highest first, that come
// after the one called from with the score top; "": from top on.
func below(tx *keyspace.Tx, key string, top float64, from string, n int) ([]keyspace.Scored, error) {
	var batch []keyspace.Scored
	err := tx.ZEach([]byte(key), math.Inf(-1), top, true, func(member []byte, score float64) bool {
		if score == top && from != "" && string(member) >= from {
			return true
		}
		batch = append(batch, keyspace.Scored{Member: append([]byte(nil), member...), Score: score})
		return len(batch) < n
	})
	return batch, err
}

func makeCursor(score float64, member string) string {
	return strconv.FormatInt(int64(score), 10) + "-" + member
}

func readCursor(cursor string) (score float64, member string, err error) {
	if cursor == "" || cursor == "0" {
		return math.Inf(1), "", nil
	}
	number, member, ok := strings.Cut(cursor, "-")
	n, convErr := strconv.ParseInt(number, 10, 64)
	if !ok || convErr != nil || member == "" {
		return 0, "", fail(CodeInvalid, "cursor %q is not one that a list answered", clip(cursor, 80))
	}
	return float64(n), member, nil
}
