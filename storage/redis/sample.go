package redis

import "github.com/parlorchat/parlor/storage/command"

// item is a field and its value, or a member and its score.
type item struct{ a, b []byte }

// sampler is a collection to choose from.
type sampler struct {
	one     func() (a, b []byte, err error)
	all     func(fn func(a, b []byte)) error
	shuffle func(n int, swap func(i, j int))
}

// sample chooses n different items, or all, in their order, if there are no
// more; if n is negative, -n items that need not be different.
func sample(n, size int64, s sampler) ([]item, error) {
	if size == 0 || n == 0 {
		return nil, nil
	}
	if n < 0 {
		return sampleAgain(-n, s)
	}
	if n*3 < size && n <= size {
		return sampleSome(n, s)
	}
	var items []item
	err := s.all(func(a, b []byte) { items = append(items, item{a, b}) })
	if n < size {
		s.shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	}
	return items[:min(n, int64(len(items)))], err
}

func sampleAgain(n int64, s sampler) ([]item, error) {
	if n > maxRandom {
		return nil, errTooRandom
	}
	items := make([]item, 0, n)
	for range n {
		a, b, err := s.one()
		if err != nil {
			return nil, err
		}
		items = append(items, item{a, b})
	}
	return items, nil
}

// sampleSome draws until there are n different items, of many.
func sampleSome(n int64, s sampler) ([]item, error) {
	items := make([]item, 0, n)
	seen := make(map[string]struct{}, n)
	for int64(len(items)) < n {
		a, b, err := s.one()
		if err != nil {
			return nil, err
		}
		if _, ok := seen[string(a)]; !ok {
			seen[string(a)] = struct{}{}
			items = append(items, item{a, b})
		}
	}
	return items, nil
}

// pairsOrFirsts answers items with or without what belongs to them.
func pairsOrFirsts(items []item, pairs bool) command.Reply {
	out := make([]command.Reply, 0, 2*len(items))
	for _, it := range items {
		out = append(out, command.Bulk(it.a))
		if pairs {
			out = append(out, command.Bulk(it.b))
		}
	}
	if pairs {
		return command.Pairs(out...)
	}
	return command.Array(out...)
}
