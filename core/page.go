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
// returns the cursor to go on from, "" at the end.
func pageThrough(tx *keyspace.Tx, key, cursor string, take func(member string) (full bool, err error)) (next string, err error) {
	top, from, err := readCursor(cursor)
	if err != nil {
		return "", err
	}
	type entry struct {
		id    string
		score float64
	}
	var batch []entry
	err = tx.ZEach([]byte(key), math.Inf(-1), top, true, func(member []byte, score float64) bool {
		id := string(member)
		if score == top && from != "" && id >= from {
			return true
		}
		batch = append(batch, entry{id, score})
		return len(batch) <= maxExamined
	})
	if err != nil {
		return "", err
	}
	for i, e := range batch {
		if i == maxExamined {
			return makeCursor(batch[i-1].score, batch[i-1].id), nil
		}
		full, err := take(e.id)
		if err != nil {
			return "", err
		}
		if full && i+1 < len(batch) {
			return makeCursor(e.score, e.id), nil
		}
		if full {
			break
		}
	}
	return "", nil
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
