package core

import (
	"encoding/hex"

	"github.com/parlorchat/parlor/storage/command"
)

// runSessionCreate is SESSION.CREATE.
func runSessionCreate(s *step, args []string) (command.Reply, error) {
	if err := checkSHA256("the session", args[1]); err != nil {
		return command.Reply{}, err
	}
	a, err := s.agent(args[2])
	if err != nil {
		return command.Reply{}, err
	}
	expires, err := parseNumber("expires-at", args[3], s.Now+1, 1<<53)
	if err != nil {
		return command.Reply{}, err
	}
	key := []byte(keySession(args[1]))
	if s.Type(key) != 0 {
		return command.Reply{}, fail(CodeExists, "the session exists already")
	}
	if err := setHash(s.Tx, string(key), field{"agent", a.ID}, field{"created_at", count(s.Now)}); err != nil {
		return command.Reply{}, err
	}
	s.SetExpire(key, expires)
	return command.OK, nil
}

// runSessionRemove is SESSION.REMOVE.
func runSessionRemove(s *step, args []string) (command.Reply, error) {
	return command.Bool(s.Delete([]byte(keySession(args[1])))), nil
}

func checkSHA256(what, text string) error {
	if b, err := hex.DecodeString(text); err != nil || len(b) != 32 {
		return fail(CodeInvalid, "%s is not named by the SHA-256 of its token in 64 hex digits", what)
	}
	return nil
}
