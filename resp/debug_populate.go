package resp

import (
	"fmt"

	"github.com/parlorchat/parlor/storage/command"
)

// How much DEBUG POPULATE puts into one request, and into one value at most.
const (
	populateKeys  = 1000
	populateBytes = 4 << 20
	populateSize  = 512 << 20
)

// debugPopulate makes keys with values that tell their numbers, all of a size
// if one is given.
func (s *session) debugPopulate(args [][]byte) (command.Reply, error) {
	count, err := positiveArg(args[0])
	if err != nil {
		return command.Reply{}, err
	}
	prefix, size := "key", int64(0)
	if len(args) > 1 {
		prefix = string(args[1])
	}
	if len(args) > 2 {
		if size, err = positiveArg(args[2]); err != nil {
			return command.Reply{}, err
		}
		if size > populateSize {
			return command.Reply{}, command.ErrTooLarge
		}
	}
	if err := checkDomainKeys(s.server.catalog.find([]byte("SETNX")), [][]byte{nil, []byte(prefix + ":")}); err != nil {
		return command.Reply{}, err
	}
	step := min(populateKeys, max(populateBytes/max(size, 1), 1))
	for from := int64(0); from < count; from += step {
		req := command.Request{DB: s.dbIndex()}
		for i := from; i < min(count, from+step); i++ {
			value := fmt.Appendf(nil, "value:%d", i)
			if size > 0 {
				value = append(value, make([]byte, max(int(size)-len(value), 0))...)[:size]
			}
			req.Commands = append(req.Commands, command.Args{[]byte("SETNX"), fmt.Appendf(nil, "%s:%d", prefix, i), value})
		}
		results := s.server.store.Propose(s.server.requests.context(), []command.Request{req})
		s.noteOwn(results)
		if err := results[0].Err; err != nil {
			return command.Reply{}, storeError(err, command.ErrUnknownOutcome)
		}
	}
	return command.OK, nil
}
