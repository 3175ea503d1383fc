package command

import (
	"fmt"
	"strconv"

	"github.com/parlorchat/parlor/storage/keyspace"
)

// A feature level says what may stand in the log and in the state of a group:
// which commands, which formats of entries, and what a command does. All
// members of a group work at one level, which is part of the state, whatever
// program each of them runs. An operator raises it when all of them run one
// that supports the next. Until then a newer program does nothing that the one
// before would not do as well, so that it can be taken back.
//
// Whoever adds a command that writes, or changes what one does, adds a level
// (one for a release), gives the command that Level, and asks Call.Level where
// an old command does something new.

// Level is one feature level.
type Level struct {
	Number  int
	Entries byte   // format of log entries that a group of this level writes
	Brought string // what there is since this level, for people
}

// FirstLevel is the level of a group whose state names none: all groups begun
// before there were levels.
const FirstLevel = 1

// oldestLevel is the lowest level that this program can work at. Who raises
// it makes groups below it finalize with a program in between.
const oldestLevel = 1

// Levels is all levels that this program knows, in order.
func Levels() []Level {
	return append([]Level{
		{Number: 1, Entries: 1, Brought: "all that there is in the first release"},
	}, unreleasedLevels()...)
}

// LevelRange is the feature levels that a program supports.
type LevelRange struct {
	Oldest int `json:"oldest"`
	Newest int `json:"newest"`
}

// OrFirst is r, or what a program supports that says nothing: it is from
// before there were levels.
func (r LevelRange) OrFirst() LevelRange {
	if r == (LevelRange{}) {
		return LevelRange{Oldest: FirstLevel, Newest: FirstLevel}
	}
	return r
}

// Has says whether a level is supported.
func (r LevelRange) Has(level int) bool { return r.Oldest <= level && level <= r.Newest }

func (r LevelRange) String() string {
	if r.Oldest == r.Newest {
		return strconv.Itoa(r.Oldest)
	}
	return fmt.Sprintf("%d to %d", r.Oldest, r.Newest)
}

// LevelKey is where the state keeps the group's level, in database 0.
const LevelKey = "system:level"

// LevelOf reads the level of a state.
func LevelOf(tx *keyspace.Tx) (int, error) {
	tx.Select(0)
	v, ok, err := tx.Get([]byte(LevelKey))
	if err != nil || !ok {
		return FirstLevel, err
	}
	level, err := strconv.Atoi(string(v))
	if err != nil || level < FirstLevel {
		return 0, fmt.Errorf("%s is %.20q, which is no feature level", LevelKey, v)
	}
	return level, nil
}

// LevelCommand is SYSTEM.LEVEL level, which raises the group's level: the
// commands after it in the log are carried out at the new one. Lowering it
// changes nothing. The answer is the level then. A state machine whose program
// does not support the level stops after it.
func LevelCommand() Spec {
	return Spec{
		Name: "SYSTEM.LEVEL", Arity: 2, Flags: Write | Module | Internal, Summary: "Raises the group's feature level.",
		Group: "module", Since: "0.1.0", Categories: []string{"write", "system", "admin"},
		Args: []Arg{{Name: "level", Type: "integer"}},
		Run: func(c *Call, args [][]byte) (Reply, error) {
			level, err := strconv.Atoi(string(args[1]))
			if err != nil || level < FirstLevel {
				return Reply{}, ErrNotInteger
			}
			if level <= c.Level {
				return Int(int64(c.Level)), nil
			}
			if err := c.Set([]byte(LevelKey), strconv.AppendInt(nil, int64(level), 10)); err != nil {
				return Reply{}, err
			}
			c.Level = level
			return Int(int64(level)), nil
		},
	}
}

// ErrLevel is the answer to a command that the group's level does not have
// yet.
func ErrLevel(s *Spec, level int) *Error {
	return Errorf("LEVEL", fmt.Sprintf("'%s' came with feature level %d, the group is at %d: nothing was changed; "+
		"parlor cluster upgrade status tells what hinders raising it", s.Name, s.FromLevel(), level))
}

// FromLevel is the level from which a group has the command.
func (s *Spec) FromLevel() int { return max(s.Level, FirstLevel) }
