package redis

import (
	"slices"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// combination makes one set of several. limit bounds the result; 0: it does not.
type combination func(c *command.Call, keys [][]byte, limit int) ([][]byte, error)

const (
	// fewMembers is up to how many members sets are combined by looking them
	// up; larger ones are walked side by side.
	fewMembers = 256
	// farLarger is how many times as large a set is whose members are looked up
	// in any case.
	farLarger = 16
)

// allSets answers the error if one of the keys is no set.
func allSets(c *command.Call, keys [][]byte) error {
	for _, key := range keys {
		if _, err := c.SLen(key); err != nil {
			return err
		}
	}
	return nil
}

// inScanOrder gives the members of a set in the order that large sets have.
func inScanOrder(c *command.Call, key []byte) ([][]byte, error) {
	members, err := setMembers(c, key)
	if c.Inlined(key) {
		slices.SortFunc(members, keyspace.ScanOrder)
	}
	return members, err
}

// sideBySide walks two sets in scan order and calls fn with each member and
// whether the first and the second have it.
func sideBySide(a, b [][]byte, fn func(m []byte, inA, inB bool)) {
	for len(a) > 0 || len(b) > 0 {
		order := 0
		switch {
		case len(b) == 0:
			order = -1
		case len(a) == 0:
			order = 1
		default:
			order = keyspace.ScanOrder(a[0], b[0])
		}
		switch {
		case order < 0:
			fn(a[0], true, false)
			a = a[1:]
		case order > 0:
			fn(b[0], false, true)
			b = b[1:]
		default:
			fn(a[0], true, true)
			a, b = a[1:], b[1:]
		}
	}
}

// choose gives those members, which are in scan order if they are many, that a
// set has, or those that it has not. limit bounds them; 0: it does not.
func choose(c *command.Call, members [][]byte, key []byte, has bool, limit int) ([][]byte, error) {
	n, err := c.SLen(key)
	if err != nil {
		return nil, err
	}
	out := [][]byte{}
	if limit == 0 && len(members) > fewMembers && n <= int64(farLarger*len(members)) {
		others, err := inScanOrder(c, key)
		sideBySide(members, others, func(m []byte, in, inOther bool) {
			if in && inOther == has {
				out = append(out, m)
			}
		})
		return out, err
	}
	for _, m := range members {
		in, err := c.SHas(key, m)
		if err != nil {
			return nil, err
		}
		if in == has {
			out = append(out, m)
		}
		if limit > 0 && len(out) >= limit {
			break
		}
	}
	return out, nil
}

func intersect(c *command.Call, keys [][]byte, limit int) ([][]byte, error) {
	if err := allSets(c, keys); err != nil {
		return nil, err
	}
	smallest := 0
	least, _ := c.SLen(keys[0])
	for i, key := range keys[1:] {
		if n, _ := c.SLen(key); n < least {
			smallest, least = i+1, n
		}
	}
	members, err := setMembers(c, keys[smallest])
	others := slices.Delete(slices.Clone(keys), smallest, smallest+1)
	for i, key := range others {
		if err != nil {
			return nil, err
		}
		most := limit
		if i < len(others)-1 {
			most = 0 // the sets behind may not have them
		}
		members, err = choose(c, members, key, true, most)
	}
	if limit > 0 && len(members) > limit {
		members = members[:limit]
	}
	return members, err
}

func unite(c *command.Call, keys [][]byte, _ int) ([][]byte, error) {
	all := int64(0)
	for _, key := range keys {
		n, err := c.SLen(key)
		if err != nil {
			return nil, err
		}
		all += n
	}
	if all <= fewMembers {
		return uniteFew(c, keys)
	}
	out := [][]byte{}
	for _, key := range keys {
		members, err := inScanOrder(c, key)
		if err != nil {
			return nil, err
		}
		if len(out) == 0 || len(members) == 0 {
			out = append(out, members...)
			continue
		}
		both := make([][]byte, 0, len(out)+len(members))
		sideBySide(out, members, func(m []byte, _, _ bool) { both = append(both, m) })
		out = both
	}
	return out, nil
}

// uniteFew gives the members as they come.
func uniteFew(c *command.Call, keys [][]byte) ([][]byte, error) {
	out := [][]byte{}
	seen := map[string]struct{}{}
	for _, key := range keys {
		err := c.SEach(key, func(m []byte) bool {
			if _, ok := seen[string(m)]; !ok {
				seen[string(m)] = struct{}{}
				out = append(out, m)
			}
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func subtract(c *command.Call, keys [][]byte, _ int) ([][]byte, error) {
	if err := allSets(c, keys); err != nil {
		return nil, err
	}
	members, err := setMembers(c, keys[0])
	for _, key := range keys[1:] {
		if err != nil {
			return nil, err
		}
		members, err = choose(c, members, key, false, 0)
	}
	return members, err
}
