package resp

import (
	"strconv"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

func (s *session) selectDB(args [][]byte) (command.Reply, error) {
	db, err := parseDB(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	s.db.Store(int32(db))
	return command.OK, nil
}

// dbIndex is the database that the connection has selected.
func (s *session) dbIndex() uint8 { return uint8(s.db.Load()) }

func parseDB(arg []byte) (uint8, error) {
	n, err := strconv.ParseInt(string(arg), 10, 32)
	switch {
	case err != nil:
		return 0, command.ErrNotInteger
	case n < 0 || n >= keyspace.Databases:
		return 0, errDBIndex
	}
	return uint8(n), nil
}

// placeCommands notes in which database each command of a transaction runs,
// which began in db: SELECT holds for those after it.
func (t *transaction) placeCommands(db uint8) {
	for i := range t.queue {
		it := &t.queue[i]
		it.db = db
		if it.entry.spec.Name != "SELECT" {
			continue
		}
		if n, err := parseDB(it.args[1]); err == nil {
			db = n
		}
	}
}
