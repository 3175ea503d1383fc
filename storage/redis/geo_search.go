package redis

import (
	"cmp"
	"slices"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// geoKind says which of the commands that search it is.
type geoKind struct {
	search   bool // GEOSEARCH, GEOSEARCHSTORE
	store    bool // GEOSEARCHSTORE
	member   bool // GEORADIUSBYMEMBER
	readOnly bool
}

// geoSearch is what a search is asked for.
type geoSearch struct {
	geoArea
	unit                   float64
	dist, hash, coord, any bool
	order                  int   // 1: nearest first; -1: farthest first
	count                  int64 // 0: all
	store                  []byte
	storeDist              bool
	from, by               byte // of GEOSEARCH: m member, l place; r radius, b box
	absent                 bool // there is no source
}

var (
	errGeoMember = command.Errorf("ERR", "could not decode requested zset member")
	errGeoCount  = command.Errorf("ERR", "COUNT must be > 0")
)

func (s *geoSearch) fromMember(c *command.Call, key, member []byte) error {
	if s.absent {
		return nil
	}
	score, ok, err := c.ZScore(key, member)
	if err != nil || !ok {
		return errGeoMember
	}
	s.center = placeOf(score)
	return nil
}

// length reads a number that must not be negative.
func length(arg []byte, what, negative string) (float64, error) {
	f, ok := parseFloat(arg)
	if !ok {
		return 0, command.Errorf("ERR", "need numeric "+what)
	}
	if f < 0 && negative != "" {
		return 0, command.Errorf("ERR", negative)
	}
	return f, nil
}

// circle reads a radius and its unit.
func (s *geoSearch) circle(args [][]byte) (err error) {
	if s.radius, err = length(args[0], "radius", "radius cannot be negative"); err != nil {
		return err
	}
	s.unit, err = unitArg(args[1])
	s.radius *= s.unit
	s.width = -1
	return err
}

// box reads width, height and their unit.
func (s *geoSearch) box(args [][]byte) (err error) {
	if s.width, err = length(args[0], "width", ""); err != nil {
		return err
	}
	if s.height, err = length(args[1], "height", ""); err != nil {
		return err
	}
	if s.width < 0 || s.height < 0 {
		return command.Errorf("ERR", "height or width cannot be negative")
	}
	s.unit, err = unitArg(args[2])
	s.width *= s.unit
	s.height *= s.unit
	return err
}

// flag notes a keyword that stands by itself, and says whether it is one.
func (s *geoSearch) flag(a []byte) bool {
	switch {
	case is(a, "WITHDIST"):
		s.dist = true
	case is(a, "WITHHASH"):
		s.hash = true
	case is(a, "WITHCOORD"):
		s.coord = true
	case is(a, "ANY"):
		s.any = true
	case is(a, "ASC"):
		s.order = 1
	case is(a, "DESC"):
		s.order = -1
	default:
		return false
	}
	return true
}

// options reads what follows the fixed arguments.
func (s *geoSearch) options(c *command.Call, k geoKind, key []byte, args [][]byte) (err error) {
	for len(args) > 0 && err == nil {
		a, more, used := args[0], len(args)-1, 1
		switch {
		case s.flag(a):
		case is(a, "COUNT") && more >= 1:
			used = 2
			if s.count, err = intArg(args[1]); err == nil && s.count <= 0 {
				err = errGeoCount
			}
		case !k.search && !k.readOnly && (is(a, "STORE") || is(a, "STOREDIST")) && more >= 1:
			used = 2
			s.store, s.storeDist = args[1], is(a, "STOREDIST")
		case k.search && is(a, "FROMMEMBER") && more >= 1 && s.from != 'l':
			used, s.from = 2, 'm'
			err = s.fromMember(c, key, args[1])
		case k.search && is(a, "FROMLONLAT") && more >= 2 && s.from != 'm':
			used, s.from = 3, 'l'
			s.center, err = placeArgs(args[1], args[2])
		case k.search && is(a, "BYRADIUS") && more >= 2 && s.by != 'b':
			used, s.by = 3, 'r'
			err = s.circle(args[1:])
		case k.search && is(a, "BYBOX") && more >= 3 && s.by != 'r':
			used, s.by = 4, 'b'
			err = s.box(args[1:])
		case k.store && is(a, "STOREDIST"):
			s.storeDist = true
		default:
			return command.ErrSyntax
		}
		args = args[used:]
	}
	return err
}

// check refuses options that do not go together.
func (s *geoSearch) check(k geoKind, name string) error {
	switch {
	case s.store != nil && (s.dist || s.hash || s.coord):
		what := "STORE option in GEORADIUS"
		if k.store {
			what = "GEOSEARCHSTORE"
		}
		return command.Errorf("ERR", what+" is not compatible with WITHDIST, WITHHASH and WITHCOORD options")
	case k.search && s.from == 0:
		return command.Errorf("ERR", "exactly one of FROMMEMBER or FROMLONLAT can be specified for "+name)
	case k.search && s.by == 0:
		return command.Errorf("ERR", "exactly one of BYRADIUS and BYBOX can be specified for "+name)
	case s.any && s.count == 0:
		return command.Errorf("ERR", "the ANY argument requires COUNT argument")
	}
	return nil
}

func geosearch(k geoKind) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		s := geoSearch{unit: 1}
		key, at := args[1], 2
		if k.store {
			s.store, key, at = args[1], args[2], 3
		}
		n, err := c.ZLen(key)
		if err != nil {
			return command.Reply{}, err
		}
		s.absent = n == 0
		if !k.search {
			if at, err = s.around(c, k, args); err != nil {
				return command.Reply{}, err
			}
		}
		if err := s.options(c, k, key, args[at:]); err != nil {
			return command.Reply{}, err
		}
		if err := s.check(k, string(args[0])); err != nil {
			return command.Reply{}, err
		}
		found, err := s.find(c, key)
		if err != nil {
			return command.Reply{}, err
		}
		if s.store != nil {
			return s.keep(c, found)
		}
		return s.reply(found), nil
	}
}

// around reads the fixed arguments of GEORADIUS and GEORADIUSBYMEMBER, and
// gives where the options begin.
func (s *geoSearch) around(c *command.Call, k geoKind, args [][]byte) (at int, err error) {
	if !k.member {
		if s.center, err = placeArgs(args[2], args[3]); err != nil {
			return 0, err
		}
		return 6, s.circle(args[4:])
	}
	if s.absent {
		return 5, nil
	}
	if err := s.fromMember(c, args[1], args[2]); err != nil {
		return 0, err
	}
	return 5, s.circle(args[3:])
}

// geoFound is a member in the area.
type geoFound struct {
	keyspace.Scored
	place    geoPoint
	distance float64
}

// find gives the members in the area, in the order and number asked for.
func (s *geoSearch) find(c *command.Call, key []byte) (out []geoFound, err error) {
	if s.absent {
		return nil, nil
	}
	for _, r := range s.ranges() {
		err := c.ZEach(key, float64(r.from), float64(r.to), false, func(m []byte, score float64) bool {
			if score >= float64(r.to) || score < 0 {
				return true
			}
			p := placeOf(score)
			if d, ok := s.holds(p); ok {
				out = append(out, geoFound{keyspace.Scored{Member: m, Score: score}, p, d})
			}
			return !s.any || int64(len(out)) < s.count
		})
		if err != nil {
			return nil, err
		}
		if s.any && int64(len(out)) >= s.count {
			break
		}
	}
	order := s.order
	if order == 0 && s.count > 0 && !s.any {
		order = 1
	}
	if order != 0 {
		slices.SortStableFunc(out, func(a, b geoFound) int { return order * cmp.Compare(a.distance, b.distance) })
	}
	if s.count > 0 {
		out = out[:min(s.count, int64(len(out)))]
	}
	return out, nil
}

func (s *geoSearch) reply(found []geoFound) command.Reply {
	out := make([]command.Reply, 0, len(found))
	for _, f := range found {
		r := []command.Reply{command.Bulk(f.Member)}
		if s.dist {
			r = append(r, distanceReply(f.distance/s.unit))
		}
		if s.hash {
			r = append(r, command.Int(int64(f.Score)))
		}
		if s.coord {
			r = append(r, f.place.reply())
		}
		if len(r) == 1 {
			out = append(out, r[0])
		} else {
			out = append(out, command.Array(r...))
		}
	}
	return command.Array(out...)
}

// keep stores what was found.
func (s *geoSearch) keep(c *command.Call, found []geoFound) (command.Reply, error) {
	members := make([]keyspace.Scored, len(found))
	for i, f := range found {
		members[i] = f.Scored
		if s.storeDist {
			members[i].Score = f.distance / s.unit
		}
	}
	return storeScored(c, s.store, members)
}
