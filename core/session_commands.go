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
	key := []byte(keySession(args[1]))
	agent, _, err := s.HGet(key, []byte("agent"))
	if err != nil || !s.Delete(key) {
		return command.Bool(false), err
	}
	return command.Bool(true), s.tellSessionEnd(string(agent))
}

// tellSessionEnd wakes all nodes: those on which somebody listens with the
// session look at it again. Nobody reads the entry, so only the last is kept.
func (s *step) tellSessionEnd(agent string) error {
	key := []byte(keySessionsEnd)
	last, err := s.XLast(key)
	if err != nil {
		return err
	}
	fields := pairs(field{"agent", agent}, field{"at", count(s.Now)})
	if err := s.XAdd(key, seqID(int64(last.Ms)+1), fields); err != nil {
		return err
	}
	_, err = s.XTrimLen(key, 1, 0)
	return err
}

func checkSHA256(what, text string) error {
	if b, err := hex.DecodeString(text); err != nil || len(b) != 32 {
		return fail(CodeInvalid, "%s is not named by the SHA-256 of its token in 64 hex digits", what)
	}
	return nil
}
