package redis

import (
	"bytes"
	"math"
	"slices"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

func sortCommands() []entry {
	const options = "key [BY pattern] [LIMIT offset count] [GET pattern …] [ASC|DESC] [ALPHA]"
	return []entry{
		{"SORT", -2, write, oneKey, "1.0.0", options + " [STORE destination]", "Gives or stores the elements of a list, set or sorted set in order.", sortElements(false)},
		{"SORT_RO", -2, read, oneKey, "7.0.0", options, "Gives the elements of a list, set or sorted set in order.", sortElements(true)},
	}
}

// sorting is what SORT is asked for.
type sorting struct {
	by, store     []byte // nil: none
	get           [][]byte
	offset, count int64 // count < 0: all
	desc, alpha   bool
}

func parseSorting(args [][]byte, readOnly bool) (s sorting, err error) {
	s.count = -1
	for i := 0; i < len(args); i++ {
		more := len(args) - i - 1
		switch a := args[i]; {
		case is(a, "ASC"):
			s.desc = false
		case is(a, "DESC"):
			s.desc = true
		case is(a, "ALPHA"):
			s.alpha = true
		case is(a, "LIMIT") && more >= 2:
			if s.offset, err = intArg(args[i+1]); err != nil {
				return s, err
			}
			if s.count, err = intArg(args[i+2]); err != nil {
				return s, err
			}
			i += 2
		case !readOnly && is(a, "STORE") && more >= 1:
			i++
			s.store = args[i]
		case is(a, "BY") && more >= 1:
			i++
			s.by = args[i]
		case is(a, "GET") && more >= 1:
			i++
			s.get = append(s.get, args[i])
		default:
			return s, command.ErrSyntax
		}
	}
	return s, nil
}

// lookUp gives what a pattern of BY or GET stands for: "#" the element itself,
// "name:*" the string at a key, "name:*->field" a field of a hash. Keys that
// clients must not read do not exist here.
func lookUp(c *command.Call, pattern, element []byte) (value []byte, ok bool) {
	if string(pattern) == "#" {
		return element, true
	}
	before, behind, ok := bytes.Cut(pattern, []byte("*"))
	if !ok {
		return nil, false
	}
	var field []byte
	if len(behind) > 0 {
		if i := bytes.Index(behind, []byte("->")); i >= 0 && i+2 < len(behind) {
			behind, field = behind[:i], behind[i+2:]
		}
	}
	key := slices.Concat(before, element, behind)
	if IsHidden(key) {
		return nil, false
	}
	var err error
	if field != nil {
		value, ok, err = c.HGet(key, field)
	} else {
		value, ok, err = c.Get(key)
	}
	return value, ok && err == nil
}

// elementsOf gives the elements of a list, set or sorted set as they are kept.
func elementsOf(c *command.Call, key []byte) (out [][]byte, err error) {
	add := func(e []byte) bool { out = append(out, e); return true }
	switch c.Type(key) {
	case keyspace.None:
	case keyspace.List:
		err = c.LEach(key, 0, math.MaxInt64, false, add)
	case keyspace.Set:
		err = c.SEach(key, add)
	case keyspace.ZSet:
		err = c.ZEach(key, math.Inf(-1), math.Inf(1), false, func(m []byte, _ float64) bool { return add(m) })
	default:
		err = command.ErrWrongType
	}
	return out, err
}

// sortItem is an element and what it is ordered by.
type sortItem struct {
	element, text []byte
	known         bool // text is there
	score         float64
}

// sortNumber reads a number as C does: nothing is 0, what follows a zero byte
// does not count.
func sortNumber(b []byte) (float64, bool) {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	if len(b) == 0 {
		return 0, true
	}
	return parseFloat([]byte(strings.TrimLeft(string(b), " \t\n\v\f\r")))
}

// order sorts the elements.
func (s *sorting) order(c *command.Call, elements [][]byte) error {
	if s.alpha && s.by == nil {
		slices.SortFunc(elements, bytes.Compare)
		if s.desc {
			slices.Reverse(elements)
		}
		return nil
	}
	items := make([]sortItem, len(elements))
	for i, e := range elements {
		it := sortItem{element: e, text: e, known: true}
		if s.by != nil {
			it.text, it.known = lookUp(c, s.by, e)
		}
		if !s.alpha && it.known {
			var ok bool
			if it.score, ok = sortNumber(it.text); !ok {
				return command.Errorf("ERR", "One or more scores can't be converted into double")
			}
		}
		items[i] = it
	}
	slices.SortFunc(items, func(a, b sortItem) int {
		n := a.compare(&b, s.alpha)
		if s.desc {
			return -n
		}
		return n
	})
	for i := range items {
		elements[i] = items[i].element
	}
	return nil
}

func (it *sortItem) compare(o *sortItem, alpha bool) int {
	switch {
	case alpha && it.known && o.known:
		if n := bytes.Compare(it.text, o.text); n != 0 {
			return n
		}
	case alpha && it.known:
		return 1
	case alpha && o.known:
		return -1
	case it.score < o.score:
		return -1
	case it.score > o.score:
		return 1
	}
	return bytes.Compare(it.element, o.element)
}

// limit gives the elements that LIMIT leaves.
func (s *sorting) limit(elements [][]byte) [][]byte {
	n := int64(len(elements))
	from := min(max(s.offset, 0), n)
	to := n
	if s.count >= 0 {
		to = min(n, from+min(s.count, n))
	}
	return elements[from:to]
}

func sortElements(readOnly bool) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		s, err := parseSorting(args[2:], readOnly)
		if err != nil {
			return command.Reply{}, err
		}
		if s.store != nil {
			defer c.Borrow()()
		}
		elements, err := elementsOf(c, args[1])
		if err != nil {
			return command.Reply{}, err
		}
		unsorted := s.by != nil && !bytes.ContainsRune(s.by, '*')
		if typ := c.Type(args[1]); unsorted && typ == keyspace.Set && s.store != nil {
			unsorted, s.by, s.alpha = false, nil, true // stored must be the same on every node
		} else if unsorted && s.desc && typ != keyspace.Set {
			slices.Reverse(elements)
		}
		if !unsorted {
			if err := s.order(c, elements); err != nil {
				return command.Reply{}, err
			}
		}
		return s.answer(c, s.limit(elements))
	}
}

// answer gives or stores what GET says of the elements.
func (s *sorting) answer(c *command.Call, elements [][]byte) (command.Reply, error) {
	get := s.get
	if len(get) == 0 {
		if s.store != nil {
			return s.keep(c, elements)
		}
		get = [][]byte{[]byte("#")}
	}
	out := make([]command.Reply, 0, len(elements)*len(get))
	for _, e := range elements {
		for _, pattern := range get {
			v, ok := lookUp(c, pattern, e)
			out = append(out, bulkOrNull(v, ok))
		}
	}
	if s.store == nil {
		return command.Array(out...), nil
	}
	stored := make([][]byte, len(out))
	for i, r := range out {
		stored[i] = r.Str // of what is absent: empty
	}
	return s.keep(c, stored)
}

// keep stores a list.
func (s *sorting) keep(c *command.Call, elements [][]byte) (command.Reply, error) {
	c.Delete(s.store)
	n, err := c.LPush(s.store, false, elements)
	return command.Int(n), err
}
