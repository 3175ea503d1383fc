package redis

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
)

func geoCommands() []entry {
	const options = " [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC]"
	const store = " [STORE key] [STOREDIST key]"
	const search = " <FROMMEMBER member|FROMLONLAT longitude latitude> <BYRADIUS radius <M|KM|FT|MI>|BYBOX width height <M|KM|FT|MI>> [ASC|DESC] [COUNT count [ANY]]"
	const around, member = "key longitude latitude radius <M|KM|FT|MI>", "key member radius <M|KM|FT|MI>"
	return []entry{
		{"GEOADD", -5, write, oneKey, "3.2.0", "key [NX|XX] [CH] <longitude latitude member> …", "Adds members with their places.", geoadd},
		{"GEOPOS", -2, read, oneKey, "3.2.0", "key [member …]", "Gives the places of members.", geopos},
		{"GEODIST", -4, read, oneKey, "3.2.0", "key member member [M|KM|FT|MI]", "Gives the distance of two members.", geodist},
		{"GEOHASH", -2, read, oneKey, "3.2.0", "key [member …]", "Gives the places of members as geohashes.", geohash},
		{"GEOSEARCH", -7, read, oneKey, "6.2.0", "key" + search + " [WITHCOORD] [WITHDIST] [WITHHASH]", "Gives the members in an area.", geosearch(geoKind{search: true})},
		{"GEOSEARCHSTORE", -8, write, twoKeys, "6.2.0", "destination source" + search + " [STOREDIST]", "Stores the members in an area.", geosearch(geoKind{search: true, store: true})},
		{"GEORADIUS", -6, write, oneKey, "3.2.0", around + options + store, "Gives or stores the members around a place.", geosearch(geoKind{})},
		{"GEORADIUS_RO", -6, read, oneKey, "3.2.10", around + options, "Gives the members around a place.", geosearch(geoKind{readOnly: true})},
		{"GEORADIUSBYMEMBER", -5, write, oneKey, "3.2.0", member + options + store, "Gives or stores the members around another.", geosearch(geoKind{member: true})},
		{"GEORADIUSBYMEMBER_RO", -5, read, oneKey, "3.2.10", member + options, "Gives the members around another.", geosearch(geoKind{member: true, readOnly: true})},
	}
}

// placeArgs reads a longitude and a latitude.
func placeArgs(lon, lat []byte) (p geoPoint, err error) {
	if p.lon, err = floatArg(lon); err != nil {
		return p, err
	}
	if p.lat, err = floatArg(lat); err != nil {
		return p, err
	}
	if p.lon < -180 || p.lon > 180 || p.lat < -maxLat || p.lat > maxLat {
		text := strings.ReplaceAll(fmt.Sprintf("%f,%f", p.lon, p.lat), "+Inf", "inf")
		return p, command.Errorf("ERR", "invalid longitude,latitude pair "+strings.ReplaceAll(text, "-Inf", "-inf"))
	}
	return p, nil
}

// unitArg gives the meters of a unit.
func unitArg(arg []byte) (float64, error) {
	switch {
	case is(arg, "M"):
		return 1, nil
	case is(arg, "KM"):
		return 1000, nil
	case is(arg, "FT"):
		return 0.3048, nil
	case is(arg, "MI"):
		return 1609.34, nil
	}
	return 0, command.Errorf("ERR", "unsupported unit provided. please use M, KM, FT, MI")
}

func geoadd(c *command.Call, args [][]byte) (command.Reply, error) {
	var o zaddOptions
	rest := args[2:]
	for len(rest) > 0 && (is(rest[0], "NX") || is(rest[0], "XX") || is(rest[0], "CH")) {
		o.keyword(rest[0])
		rest = rest[1:]
	}
	if len(rest)%3 != 0 || (o.nx && o.xx) {
		return command.Reply{}, command.ErrSyntax
	}
	var pairs [][]byte
	for ; len(rest) > 0; rest = rest[3:] {
		p, err := placeArgs(rest[0], rest[1])
		if err != nil {
			return command.Reply{}, err
		}
		pairs = append(pairs, strconv.AppendUint(nil, p.cell(), 10), rest[2])
	}
	if len(pairs) == 0 {
		return command.Reply{}, command.ErrArity("zadd") // as Redis, which passes it on
	}
	return zaddMembers(c, args[1], o, pairs)
}

// eachPlace answers the place of each member after the key; absent is the
// answer where there is none.
func eachPlace(c *command.Call, args [][]byte, absent command.Reply, fn func(p geoPoint) command.Reply) (command.Reply, error) {
	if _, err := c.ZLen(args[1]); err != nil {
		return command.Reply{}, err
	}
	out := make([]command.Reply, 0, len(args)-2)
	for _, m := range args[2:] {
		score, ok, err := c.ZScore(args[1], m)
		if err != nil {
			return command.Reply{}, err
		}
		if !ok {
			out = append(out, absent)
			continue
		}
		out = append(out, fn(placeOf(score)))
	}
	return command.Array(out...), nil
}

func geopos(c *command.Call, args [][]byte) (command.Reply, error) {
	return eachPlace(c, args, command.NullArray(), geoPoint.reply)
}

func geohash(c *command.Call, args [][]byte) (command.Reply, error) {
	return eachPlace(c, args, command.Null(), func(p geoPoint) command.Reply { return command.BulkString(p.text()) })
}

// reply gives longitude and latitude with 17 decimals.
func (p geoPoint) reply() command.Reply {
	return command.Array(decimal(p.lon), decimal(p.lat))
}

func decimal(f float64) command.Reply {
	s := strconv.FormatFloat(f, 'f', 17, 64)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	return command.DoubleAs(f, s)
}

func distanceReply(meters float64) command.Reply {
	return command.BulkString(strconv.FormatFloat(meters, 'f', 4, 64))
}

func geodist(c *command.Call, args [][]byte) (command.Reply, error) {
	unit := 1.0
	if len(args) > 5 {
		return command.Reply{}, command.ErrSyntax
	}
	if len(args) == 5 {
		var err error
		if unit, err = unitArg(args[4]); err != nil {
			return command.Reply{}, err
		}
	}
	var p [2]geoPoint
	for i, m := range args[2:4] {
		score, ok, err := c.ZScore(args[1], m)
		if err != nil || !ok {
			return command.Null(), err
		}
		p[i] = placeOf(score)
	}
	return distanceReply(p[0].distance(p[1]) / unit), nil
}
