package core

import (
	"crypto/subtle"

	"github.com/parlorchat/parlor/storage/command"
)

// minTokenKey is the shortest key for visitor tokens, in bytes.
const minTokenKey = 32

// runSystemInit is SYSTEM.INIT.
func runSystemInit(s *step, args []string) (command.Reply, error) {
	formed, err := Epoch(s.Tx)
	if err != nil {
		return command.Reply{}, err
	}
	if formed != "" {
		return command.Reply{}, fail(CodeConflict, "the group was formed already")
	}
	if err := checkID("epoch", args[1]); err != nil {
		return command.Reply{}, err
	}
	if len(args[2]) < minTokenKey {
		return command.Reply{}, fail(CodeInvalid, "the token key has %d bytes; at least %d are needed", len(args[2]), minTokenKey)
	}
	if err := checkSHA256("the setup token", args[3]); err != nil {
		return command.Reply{}, err
	}
	if err := setHash(s.Tx, keyGroup, field{"epoch", args[1]}, field{"formed_at", count(s.Now)}); err != nil {
		return command.Reply{}, err
	}
	if err := s.Set([]byte(keyTokenKey), []byte(args[2])); err != nil {
		return command.Reply{}, err
	}
	return command.OK, s.Set([]byte(keySetup), []byte(args[3]))
}

// runSystemResume is SYSTEM.RESUME. While there was no leader nobody could
// give a sign of himself; leases count from now on.
func runSystemResume(s *step, _ []string) (command.Reply, error) {
	return command.OK, setHash(s.Tx, keyGroup, field{"resumed_at", count(s.Now)})
}

var setupWords = keywords{"SITE-NAME": 1, "NAME": 1, "PASSWORD": 1, "PASSWORD-HASH": 1}

// firstDepartmentID is the department that SYSTEM.SETUP makes.
const firstDepartmentID = "general"

// runSystemSetup is SYSTEM.SETUP.
func runSystemSetup(s *step, args []string) (command.Reply, error) {
	o, err := setupWords.parse(args[4:])
	if err != nil {
		return command.Reply{}, err
	}
	want, ok, err := s.Get([]byte(keySetup))
	if err != nil {
		return command.Reply{}, err
	}
	if !ok || subtle.ConstantTimeCompare(want, []byte(args[1])) != 1 {
		return command.Reply{}, fail(CodeDenied, "the setup token is not valid; it works once, and is printed when the group is formed")
	}
	s.Delete([]byte(keySetup))
	site := options{}
	if o.given("SITE-NAME") {
		site["NAME"] = o["SITE-NAME"]
	}
	if err := s.createSite(args[2], site); err != nil {
		return command.Reply{}, err
	}
	made, err := s.site(args[2])
	if err != nil {
		return command.Reply{}, err
	}
	if err := s.createDepartment(firstDepartmentID, made, "General"); err != nil {
		return command.Reply{}, err
	}
	agent := options{"ROLE": {RoleAdmin}, "DEPARTMENTS": {firstDepartmentID}}
	for _, word := range []string{"NAME", "PASSWORD", "PASSWORD-HASH"} {
		if o.given(word) {
			agent[word] = o[word]
		}
	}
	return command.OK, s.createAgent(args[3], made, agent)
}
