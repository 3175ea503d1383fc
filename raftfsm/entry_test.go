package raftfsm

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/parlorchat/parlor/storage/command"
)

func drawItem(t *rapid.T) Item {
	text := rapid.SliceOfN(rapid.Byte(), 0, 20)
	it := Item{
		Boot: rapid.Uint64().Draw(t, "boot"), Seq: rapid.Uint64().Draw(t, "seq"), DoneBelow: rapid.Uint64().Draw(t, "below"),
	}
	copy(it.Origin[:], text.Draw(t, "origin"))
	db := rapid.Uint8Range(0, 15)
	it.Request.DB = db.Draw(t, "db")
	for range rapid.IntRange(1, 4).Draw(t, "commands") {
		it.Request.Commands = append(it.Request.Commands, rapid.SliceOfN(text, 1, 5).Draw(t, "args"))
	}
	for range rapid.IntRange(0, 3).Draw(t, "watches") {
		it.Request.Watches = append(it.Request.Watches, command.Watch{DB: db.Draw(t, "watched db"), Key: text.Draw(t, "key"), Revision: rapid.Uint64().Draw(t, "revision")})
	}
	for range rapid.IntRange(0, 2).Draw(t, "selects") {
		it.Request.Selects = append(it.Request.Selects, command.Select{
			Before: rapid.IntRange(0, len(it.Request.Commands)-1).Draw(t, "before"), DB: db.Draw(t, "selected db")})
	}
	return it
}

func TestEntryComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := &Entry{LeaderTime: rapid.Int64().Draw(t, "time"), Seed: rapid.Uint64().Draw(t, "seed")}
		var parts [][]byte
		for range rapid.IntRange(0, 5).Draw(t, "items") {
			it := drawItem(t)
			e.Items = append(e.Items, it)
			parts = append(parts, AppendItem(nil, &it))
		}
		prefix := []byte("before")
		encoded := EncodeEntry(slices.Clone(prefix), e)
		if !bytes.HasPrefix(encoded, prefix) {
			t.Fatal("the buffer was overwritten")
		}
		encoded = encoded[len(prefix):]
		if !bytes.Equal(encoded, EncodeParts(e.LeaderTime, e.Seed, len(parts), parts)) {
			t.Fatal("parts make another entry")
		}
		if err := CheckItems(bytes.Join(parts, nil), len(parts)); err != nil {
			t.Fatal(err)
		}
		got, err := DecodeEntry(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, e) {
			t.Fatalf("got %+v, want %+v", got, e)
		}
	})
}

// Whatever single bit flips, or wherever the entry is cut, it is noticed.
func TestDamagedEntryIsNoticed(t *testing.T) {
	it := request(alice, 1, 2, cmd("SET", "k", "v"), cmd("GET", "k"))
	it.Request.Watches = []command.Watch{{Key: []byte("k"), Revision: 300}}
	good := EncodeEntry(nil, &Entry{LeaderTime: 1, Seed: 2, Items: []Item{it, it}})
	for bit := range len(good) * 8 {
		bad := slices.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := DecodeEntry(bad); !errors.Is(err, ErrDamaged) {
			t.Fatalf("bit %d: %v", bit, err)
		}
	}
	for n := range good {
		if _, err := DecodeEntry(good[:n]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut to %d: %v", n, err)
		}
	}
}

// Items from another member are refused before they reach the log.
func TestBadItemsAreRefused(t *testing.T) {
	it := request(alice, 1, 2, cmd("SET", "k", "v"))
	good := AppendItem(nil, &it)
	nothing, nameless := request(alice, 1, 2), request(alice, 1, 2, command.Args{})
	for name, c := range map[string]struct {
		b     []byte
		items int
	}{
		"fewer than said":       {good, 2},
		"more than said":        {append(slices.Clone(good), good...), 1},
		"cut":                   {good[:len(good)-1], 1},
		"one byte more":         {append(slices.Clone(good), 0), 1},
		"no commands":           {AppendItem(nil, &nothing), 1},
		"command without words": {AppendItem(nil, &nameless), 1},
		"count too high":        {append(slices.Clone(good[:itemHeadSize+itemFixed]), 0xff, 0xff, 0xff, 0xff, 0x0f), 1},
	} {
		if err := CheckItems(c.b, c.items); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := CheckItems(nil, 0); err != nil {
		t.Error(err)
	}
}

// Any bytes are either an entry, which says the same when encoded again, or an
// error. The checksum is made right so that what is behind it is reached.
func FuzzDecodeEntry(f *testing.F) {
	it := request(alice, 1, 2, cmd("SET", "k", "v"), cmd("INCR", "n"))
	it.Request.Watches = []command.Watch{{Key: []byte("k"), Revision: 300}}
	f.Add(EncodeEntry(nil, &Entry{LeaderTime: 1, Seed: 2, Items: []Item{it, it}}))
	f.Add(EncodeEntry(nil, &Entry{}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := DecodeEntry(b); err == nil && len(b) == 0 {
			t.Fatal("nothing is an entry")
		}
		if len(b) >= trailerSize {
			b = appendTrailer(slices.Clone(b[:len(b)-trailerSize]), 0)
		}
		before := allocated()
		e, err := DecodeEntry(b)
		// An argument of no bytes takes one in the entry and a slice in memory.
		if took := allocated() - before; took > 64*uint64(len(b))+64<<10 {
			t.Fatalf("%d bytes took %d bytes of memory", len(b), took)
		}
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion) {
				t.Fatalf("unexpected error %v", err)
			}
			return
		}
		again, err := DecodeEntry(EncodeEntry(nil, e))
		if err != nil || !reflect.DeepEqual(e, again) {
			t.Fatalf("%+v became %+v, %v", e, again, err)
		}
	})
}

// allocated is how much memory was ever asked for.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// A database that there is not, and a change before a command that is not
// there, are damage.
func TestDatabasesOfAnItemAreChecked(t *testing.T) {
	cmd := []command.Args{command.New("SET", "k", "v")}
	for name, r := range map[string]command.Request{
		"of the request":  {DB: 16, Commands: cmd},
		"of a watch":      {Commands: cmd, Watches: []command.Watch{{DB: 16, Key: []byte("k")}}},
		"of a select":     {Commands: cmd, Selects: []command.Select{{DB: 16}}},
		"after the last":  {Commands: cmd, Selects: []command.Select{{Before: 1}}},
		"with no command": {Selects: []command.Select{{Before: 0}}},
	} {
		if err := CheckItems(AppendItem(nil, &Item{Request: r}), 1); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
